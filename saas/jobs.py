"""Background jobs: the queue (Huey) passes ids of rows to workers; a schedule runs periodic tasks.

A package registers background tasks with `@jobs.task`, periodic ones with `@jobs.periodic_task`,
and daily ones with `@jobs.daily`. Pending work is stored in rows: if a job is lost, a periodic task
finds its row. The schedule does not use the queue, so this also works while it is unreachable.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import cached_property
from pathlib import Path
from time import monotonic
from typing import Any, Generic, ParamSpec

from flask import Flask, current_app
from huey import Huey, MemoryHuey
from sqlalchemy import make_url, or_, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Mapped, mapped_column

from saas import database, postgres_timeouts
from saas.database import Model, UTCDateTime, db, now

Args = ParamSpec("Args")
log = logging.getLogger("saas.jobs")

_CHECK_EVERY = 5.0  # seconds between checks for due tasks
MAX_OVERDUE = timedelta(minutes=5)  # of a periodic task; beyond it no worker seems to run
_QUEUE_RETRY = 30.0  # seconds after an error in which no job is sent to the queue
_RECONNECT_EVERY = 5.0  # seconds between attempts to reach the queue

_tasks: dict[str, Callable[..., None]] = {}


class TaskLease(Model):
    """The next due time of a periodic task. The worker that moves it forward runs the task."""

    __tablename__ = "task_leases"

    name: Mapped[str] = mapped_column(primary_key=True)
    due_at: Mapped[datetime] = mapped_column(UTCDateTime)


@dataclass(frozen=True)
class Task(Generic[Args]):
    """A function that a worker can run, with a name that all processes know."""

    function: Callable[Args, None]

    def __call__(self, *args: Args.args, **kwargs: Args.kwargs) -> None:
        self.function(*args, **kwargs)

    def enqueue(self, *args: Args.args, **kwargs: Args.kwargs) -> None:
        """Run in a worker after the current transaction commits.

        Pass only ids as arguments: the queue is no place for personal data.
        """
        name = self.function.__name__
        queue: Queue = current_app.extensions["queue"]
        database.after_commit(lambda: queue.send(name, args, kwargs))


def task(function: Callable[Args, None]) -> Task[Args]:
    """Register a function as a task under its name, which must be unique."""
    registered = _tasks.setdefault(function.__name__, function)
    _refuse_duplicate("tasks", registered, function)
    return Task(function)


def _refuse_duplicate(kind: str, first: Callable[..., Any], second: Callable[..., Any]) -> None:
    if (first.__module__, first.__qualname__) != (second.__module__, second.__qualname__):
        raise ValueError(
            f"Two {kind} are called {first.__name__}: one in {first.__module__}, one in "
            f"{second.__module__}. Rename one of them."
        )


def init_app(app: Flask) -> None:
    """Set up the application's queue."""
    app.extensions["queue"] = Queue(app)


class Queue:
    """Huey for one application, created on first use.

    Huey opens its storage in its constructor. Pages that queue nothing should not wait for it, and
    an unreachable queue should not prevent the application from starting.
    """

    def __init__(self, app: Flask) -> None:
        self.app = app
        self._retry_at = 0.0

    @cached_property
    def huey(self) -> Huey:
        huey = _huey(self.app.config["JOBS_URL"], Path(self.app.instance_path))
        self.run = huey.task()(self._run_task)
        return huey

    def ping(self) -> None:
        """Check that the queue is reachable; raise the storage's exception if not."""
        self.huey.storage.queue_size()

    def send(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Pass a job to the next free worker.

        An unreachable queue must not fail what is already committed, and must not delay every
        request: after an error, jobs are left to the periodic tasks for a while.
        """
        if monotonic() < self._retry_at:
            return
        try:
            self.huey  # noqa: B018 - creates it, and the task for jobs
            self.run(name, args, kwargs)
        except Exception:
            self._retry_at = monotonic() + _QUEUE_RETRY
            log.exception(
                "a job could not be queued; a periodic task will do it", extra={"job": name}
            )

    def _run_task(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        with self.app.app_context():
            _tasks[name](*args, **kwargs)


def run_worker(app: Flask, workers: int = 2) -> None:
    """Run jobs and periodic tasks until SIGTERM or SIGINT; a running task may finish."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())  # until the consumer handles them
    scheduler = threading.Thread(target=_follow_schedule, args=(app, stop), name="schedule")
    scheduler.start()
    try:
        if huey := _connect(app.extensions["queue"], stop):
            huey.create_consumer(
                workers=workers,
                worker_type="thread",
                periodic=False,
                initial_delay=0.05,
                max_delay=0.5,
                graceful_signal="TERM",
            ).run()
    finally:
        stop.set()
        scheduler.join()


def _follow_schedule(app: Flask, stop: threading.Event) -> None:
    """Run due tasks until `stop` is set."""
    while True:
        try:
            with app.app_context():
                run_periodic_tasks()
        except Exception:
            log.exception("the periodic tasks could not be run")
        if stop.wait(_CHECK_EVERY):
            return


def _connect(queue: Queue, stop: threading.Event) -> Huey | None:
    """Return the queue once it is reachable, or None if `stop` is set first."""
    is_logged = False
    while not stop.is_set():
        try:
            queue.ping()
            return queue.huey
        except Exception as error:  # each storage raises its own exceptions
            if not is_logged:
                reason = str(error).strip().partition("\n")[0] or type(error).__name__
                log.warning("the queue is unreachable, so only periodic tasks run: %s", reason)
            is_logged = True
            stop.wait(_RECONNECT_EVERY)
    return None


class Schedule:
    """Functions that run on a schedule, each in one worker at a time."""

    def __init__(self, lease: timedelta = timedelta(minutes=1)) -> None:
        """Create an empty schedule.

        Args:
            lease: the time by which a running task extends its lease. If its worker dies, another
                one runs the task after that time.
        """
        self.lease = lease
        self._periodic_tasks: list[tuple[Callable[[], None], timedelta]] = []
        self._daily: list[tuple[Callable[[], None], time]] = []

    def periodic_task(
        self, *, minutes: float
    ) -> Callable[[Callable[[], None]], Callable[[], None]]:
        """Register a function that runs at this interval."""

        def register(function: Callable[[], None]) -> Callable[[], None]:
            self._refuse_duplicate(function)
            self._periodic_tasks.append((function, timedelta(minutes=minutes)))
            return function

        return register

    def daily(self, *, at: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
        """Register a function that runs once a day, at a time such as "03:30" in UTC.

        If no worker is running at that time, it runs when one starts.
        """
        moment = time.fromisoformat(at)
        if moment.tzinfo is not None or len(at) != len("03:30"):
            raise ValueError(f"{at!r} is not a time such as '03:30'.")

        def register(function: Callable[[], None]) -> Callable[[], None]:
            self._refuse_duplicate(function)
            self._daily.append((function, moment))
            return function

        return register

    def run(self, *, now_even_if_not_due: bool = False) -> None:
        """Run every task that is due; a failing task does not stop the others."""
        leases = _leases()
        for function, every in list(self._periodic_tasks):
            name = function.__name__
            is_due = _may_be_due(leases.get(name), every) and _acquire_lease(name, every)
            if is_due or now_even_if_not_due:
                with self._holding_lease(name):
                    _run(function)
        for function, moment in list(self._daily):
            due_at = leases.get(function.__name__)
            may_be_due = _may_be_due(due_at, timedelta(days=1))
            if (
                may_be_due
                and _acquire_daily_lease(function.__name__, moment)
                or now_even_if_not_due
            ):
                _run(function)

    def overdue(self) -> timedelta | None:
        """Return the time since the most overdue task was due; None if no worker has run yet.

        With a running worker this is a few seconds, or the duration of its longest task.
        """
        names = [function.__name__ for function, _ in (*self._periodic_tasks, *self._daily)]
        due = [due_at for name, due_at in _leases().items() if name in names]
        return max(now() - min(due), timedelta(0)) if due else None

    def _refuse_duplicate(self, function: Callable[[], None]) -> None:
        """Raise for a duplicate name: leases are stored under the names of the functions."""
        for other, _ in (*self._periodic_tasks, *self._daily):
            if other.__name__ == function.__name__:
                _refuse_duplicate("periodic or daily tasks", other, function)

    @contextmanager
    def _holding_lease(self, name: str) -> Iterator[None]:
        """Extend the lease for as long as the task runs.

        Each extension is short, so that the task is soon due again if the process dies.
        """
        app = current_app._get_current_object()  # type: ignore[attr-defined]  # for another thread
        done = threading.Event()

        def hold() -> None:
            while not done.wait(self.lease.total_seconds() / 3):
                with app.app_context():
                    _extend_lease(name, now() + self.lease)

        thread = threading.Thread(target=hold, daemon=True, name=f"lease of {name}")
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def _run(function: Callable[[], None]) -> None:
    try:
        function()
    except Exception:
        log.exception("a periodic task failed", extra={"job": function.__name__})


def _leases() -> dict[str, datetime]:
    rows = db.session.execute(select(TaskLease.name, TaskLease.due_at)).all()
    database.release_connection()
    return {row.name: row.due_at for row in rows}


def _may_be_due(due_at: datetime | None, every: timedelta) -> bool:
    """Return whether to ask for the lease; a change of clock may have set it too far ahead."""
    return due_at is None or due_at <= now() or due_at > now() + every


def _acquire_lease(name: str, every: timedelta) -> bool:
    at = now()
    with database.write_transaction():
        if database.insert_or_ignore(TaskLease, name=name, due_at=at + every):
            return True
        due = or_(TaskLease.due_at <= at, TaskLease.due_at > at + 2 * every)
        claim = update(TaskLease).where(TaskLease.name == name, due).values(due_at=at + every)
        return database.execute(claim) == 1


def _acquire_daily_lease(name: str, moment: time) -> bool:
    """Move the due time to the next day; return True for the one worker that did."""
    at = now()
    next_at = at.replace(hour=moment.hour, minute=moment.minute, second=0, microsecond=0)
    next_at += timedelta(days=next_at <= at)
    with database.write_transaction():
        if database.insert_or_ignore(TaskLease, name=name, due_at=next_at):
            return False
        # A later due time was set before the configured time of day changed.
        database.execute(
            update(TaskLease)
            .where(TaskLease.name == name, TaskLease.due_at > next_at)
            .values(due_at=next_at)
        )
        claim = update(TaskLease).where(TaskLease.name == name, TaskLease.due_at <= at)
        return database.execute(claim.values(due_at=next_at)) == 1


def _extend_lease(name: str, until: datetime) -> None:
    lease = update(TaskLease).where(TaskLease.name == name, TaskLease.due_at < until)
    try:
        with database.write_transaction():
            database.execute(lease.values(due_at=until))
    except SQLAlchemyError:
        log.warning("the lease of a periodic task could not be extended", extra={"job": name})


# The tasks that packages register and the worker runs.
_schedule = Schedule()
periodic_task = _schedule.periodic_task
daily = _schedule.daily
run_periodic_tasks = _schedule.run
overdue = _schedule.overdue


def _huey(url: str, instance: Path) -> Huey:
    if url == "inline:":
        return MemoryHuey("saas", immediate=True, results=False)
    if url.startswith("sqlite:///"):
        from huey import SqliteHuey

        path = instance / url.removeprefix("sqlite:///")
        path.parent.mkdir(parents=True, exist_ok=True)
        return SqliteHuey("saas", filename=str(path), results=False)
    if url.startswith("postgresql"):
        from huey import PostgresHuey

        # libpq does not know SQLAlchemy's driver names, as in postgresql+psycopg://.
        dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        # Not blocking: LISTEN needs a dedicated connection, which a pooler does not provide.
        return PostgresHuey(
            "saas", dsn=dsn, results=False, blocking=False, **postgres_timeouts.POOLABLE
        )
    from huey import RedisHuey
    from redis import ConnectionPool

    # A worker's blocking read ends after a second, by Huey's `read_timeout`.
    pool = ConnectionPool.from_url(url, socket_connect_timeout=1.0, socket_timeout=2.0)
    return RedisHuey("saas", connection_pool=pool, results=False)

"""Background jobs: Huey passes on "row X is waiting" and runs the periodic tasks.

A package registers background tasks with `@jobs.task`, periodic ones with `@jobs.periodic_task`,
and daily ones with `@jobs.daily`. Pending work is stored in rows: if a job is lost, a periodic task
finds its row.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, ParamSpec

from flask import Flask, current_app
from huey import Huey, MemoryHuey, crontab
from sqlalchemy import make_url, or_, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Mapped, mapped_column

from saas import database, postgres_timeouts
from saas.database import Model, UTCDateTime, now

Args = ParamSpec("Args")
log = logging.getLogger("saas.jobs")

_EARLY = 12  # fraction of the interval that a task may start early, because workers wake unevenly

_tasks: dict[str, Callable[..., None]] = {}


class TaskLease(Model):
    """When a periodic task is due next. The worker that moves the time forward runs the task."""

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
        database.after_commit(lambda: _send(name, args, kwargs))


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
    an unreachable queue should not keep the application from starting.
    """

    def __init__(self, app: Flask) -> None:
        self.app = app

    @cached_property
    def huey(self) -> Huey:
        huey = _huey(self.app.config["JOBS_URL"], Path(self.app.instance_path))
        self.run = huey.task()(self._run_task)
        self.run_schedule = huey.periodic_task(crontab(minute="*"))(self._run_schedule)
        return huey

    def ping(self) -> None:
        """Check that the queue is reachable; raise the storage's exception if not."""
        self.huey.storage.queue_size()

    def send(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Pass a job to the next free worker."""
        self.huey  # noqa: B018 - creates it, and the task for jobs
        self.run(name, args, kwargs)

    def _run_task(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        with self.app.app_context():
            _tasks[name](*args, **kwargs)

    def _run_schedule(self) -> None:
        with self.app.app_context():
            run_periodic_tasks()


def run_worker(app: Flask, workers: int = 2) -> None:
    """Run the consumer until SIGTERM or SIGINT; a running task may finish.

    It first runs the periodic tasks that are due, to pick up unfinished work of other workers.
    """
    queue = app.extensions["queue"]
    consumer = queue.huey.create_consumer(
        workers=workers,
        worker_type="thread",
        initial_delay=0.05,
        max_delay=0.5,
        graceful_signal="TERM",
    )
    queue.run_schedule()
    consumer.run()


class Schedule:
    """Functions that run by the clock, each in one worker at a time."""

    def __init__(self, lease: timedelta = timedelta(minutes=1)) -> None:
        """Create an empty schedule.

        Args:
            lease: how far ahead a running task extends its lease. If its worker dies, another one
                runs the task after that time.
        """
        self.lease = lease
        self._periodic_tasks: list[tuple[Callable[[], None], timedelta]] = []
        self._daily: list[tuple[Callable[[], None], time]] = []

    def periodic_task(
        self, *, minutes: float
    ) -> Callable[[Callable[[], None]], Callable[[], None]]:
        """Register a function that runs every so many minutes."""

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
        for function, every in list(self._periodic_tasks):
            if _acquire_lease(function.__name__, every) or now_even_if_not_due:
                with self._holding_lease(function.__name__):
                    _run(function)
        for function, moment in list(self._daily):
            if _acquire_daily_lease(function.__name__, moment) or now_even_if_not_due:
                _run(function)

    def _refuse_duplicate(self, function: Callable[[], None]) -> None:
        """Raise for a duplicate name: leases are stored under the names of the functions."""
        for other, _ in (*self._periodic_tasks, *self._daily):
            if other.__name__ == function.__name__:
                _refuse_duplicate("periodic or daily tasks", other, function)

    @contextmanager
    def _holding_lease(self, name: str) -> Iterator[None]:
        """Extend the lease while the task runs, however long that takes.

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


def _acquire_lease(name: str, every: timedelta) -> bool:
    at = now()
    with database.write_transaction():
        if database.insert_or_ignore(TaskLease, name=name, due_at=at + every):
            return True
        due = or_(TaskLease.due_at <= at + every / _EARLY, TaskLease.due_at > at + 2 * every)
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
        # A due time that is too late means that the time of day was changed.
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


# What packages register and the worker runs.
_schedule = Schedule()
periodic_task = _schedule.periodic_task
daily = _schedule.daily
run_periodic_tasks = _schedule.run


def _send(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Pass a job to the queue. An unreachable queue must not fail what is already committed."""
    try:
        current_app.extensions["queue"].send(name, args, kwargs)
    except Exception:
        log.exception("a job could not be queued; a periodic task will do it", extra={"job": name})


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

    return RedisHuey("saas", url=url, results=False)

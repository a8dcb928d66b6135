"""Background jobs: Huey carries "row X is waiting" and runs the periodic tasks.

A room registers what it can do with `@jobs.task`, what it looks after with `@jobs.periodic_task`,
and what is done once a day with `@jobs.daily`. The rows are the truth: when a job is lost, a
periodic task finds its row.
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

_EARLY = 12  # a share of its interval by which a task may begin early: workers wake unevenly

_tasks: dict[str, Callable[..., None]] = {}


class TaskLease(Model):
    """When a sweep is due next: whoever moves the time forward runs it, however many workers."""

    __tablename__ = "task_leases"

    name: Mapped[str] = mapped_column(primary_key=True)
    due_at: Mapped[datetime] = mapped_column(UTCDateTime)


@dataclass(frozen=True)
class Task(Generic[Args]):
    """A function that a worker can run, named so that every process finds it."""

    function: Callable[Args, None]

    def __call__(self, *args: Args.args, **kwargs: Args.kwargs) -> None:
        self.function(*args, **kwargs)

    def enqueue(self, *args: Args.args, **kwargs: Args.kwargs) -> None:
        """Run in a worker, once what is being written has been committed.

        Arguments are ids, never content: the queue is not a place for personal data.
        """
        name = self.function.__name__
        database.after_commit(lambda: _send(name, args, kwargs))


def task(function: Callable[Args, None]) -> Task[Args]:
    """Register a function as a task. Its name is how other processes find it, so it is unique."""
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
    """Give the application its queue."""
    app.extensions["queue"] = Queue(app)


class Queue:
    """Huey for one application, made when it is first needed.

    Huey opens its storage when it is constructed: a page that queues nothing shall not wait for
    it, and a queue that is away shall not keep the application from starting.
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
        """See that the queue is there; raises whatever its storage raises when it is not."""
        self.huey.storage.queue_size()

    def send(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Hand a job to whichever worker is free."""
        self.huey  # noqa: B018 - made now, with the task that carries the job
        self.run(name, args, kwargs)

    def _run_task(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        with self.app.app_context():
            _tasks[name](*args, **kwargs)

    def _run_schedule(self) -> None:
        with self.app.app_context():
            run_periodic_tasks()


def run_worker(app: Flask, workers: int = 2) -> None:
    """Run the consumer until SIGTERM or SIGINT; a task that has begun may finish.

    It begins with the sweeps that are due: what another worker has left behind waits for no clock.
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
    """Functions that run by the clock, each in one worker at a time, however many there are."""

    def __init__(self, lease: timedelta = timedelta(minutes=1)) -> None:
        """Create an empty schedule.

        Args:
            lease: how far ahead a running task extends its lease; after the death of its worker
                another one runs it when that time is over.
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

        Where no worker runs at that time, it runs as soon as one does.
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
        """Run every task that is due; one that fails does not stop the others."""
        for function, every in list(self._periodic_tasks):
            if _acquire_lease(function.__name__, every) or now_even_if_not_due:
                with self._holding_lease(function.__name__):
                    _run(function)
        for function, moment in list(self._daily):
            if _acquire_daily_lease(function.__name__, moment) or now_even_if_not_due:
                _run(function)

    def _refuse_duplicate(self, function: Callable[[], None]) -> None:
        """Leases are rows under the names of the functions, so each name is unique."""
        for other, _ in (*self._periodic_tasks, *self._daily):
            if other.__name__ == function.__name__:
                _refuse_duplicate("sweeps or daily tasks", other, function)

    @contextmanager
    def _holding_lease(self, name: str) -> Iterator[None]:
        """Extend the lease while the task runs, however long that takes.

        It is extended by a little at a time, so that the task is soon due again when we die.
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
        log.exception("a sweep failed", extra={"job": function.__name__})


def _acquire_lease(name: str, every: timedelta) -> bool:
    at = now()
    with database.write_transaction():
        if database.insert_or_ignore(TaskLease, name=name, due_at=at + every):
            return True
        due = or_(TaskLease.due_at <= at + every / _EARLY, TaskLease.due_at > at + 2 * every)
        claim = update(TaskLease).where(TaskLease.name == name, due).values(due_at=at + every)
        return database.execute(claim) == 1


def _acquire_daily_lease(name: str, moment: time) -> bool:
    """Move the due time to the next day; True for the one worker that did, which runs the task."""
    at = now()
    next_at = at.replace(hour=moment.hour, minute=moment.minute, second=0, microsecond=0)
    next_at += timedelta(days=next_at <= at)
    with database.write_transaction():
        if database.insert_or_ignore(TaskLease, name=name, due_at=next_at):
            return False
        # One that is due later than it can be was given another time of day since.
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
        log.warning("a sweep's turn could not be held", extra={"job": name})


# What the rooms register and the worker runs.
_schedule = Schedule()
periodic_task = _schedule.periodic_task
daily = _schedule.daily
run_periodic_tasks = _schedule.run


def _send(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Hand a job to the queue. A queue that is away must not fail what was already committed."""
    try:
        current_app.extensions["queue"].send(name, args, kwargs)
    except Exception:
        log.exception("a job could not be queued; the sweep will find its row", extra={"job": name})


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

        # SQLAlchemy's name of the driver, as in postgresql+psycopg://, is none of libpq's.
        dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        # Not blocking: LISTEN would need a connection of its own, which a pooler does not give.
        return PostgresHuey(
            "saas", dsn=dsn, results=False, blocking=False, **postgres_timeouts.POOLABLE
        )
    from huey import RedisHuey

    return RedisHuey("saas", url=url, results=False)

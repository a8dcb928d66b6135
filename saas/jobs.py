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

_EARLY = 12  # a share of its interval by which a sweep may begin early: workers wake unevenly
_HOLD = timedelta(minutes=1)  # how far ahead a running sweep holds its turn

_tasks: dict[str, Callable[..., None]] = {}
_periodic_tasks: list[tuple[Callable[[], None], timedelta]] = []
_daily: list[tuple[Callable[[], None], time]] = []


class TaskLease(Model):
    """When a sweep is due next: whoever moves the time forward runs it, however many workers."""

    __tablename__ = "sweep_turns"

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


def periodic_task(*, minutes: int) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Register a function that looks every so many minutes for what was left behind."""

    def register(function: Callable[[], None]) -> Callable[[], None]:
        _refuse_duplicate_lease(function)
        _periodic_tasks.append((function, timedelta(minutes=minutes)))
        return function

    return register


def daily(*, at: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Register a function that runs once a day, at a time such as "03:30" in UTC.

    Where no worker runs at that time, it runs as soon as one does.
    """
    moment = time.fromisoformat(at)
    if moment.tzinfo is not None or len(at) != len("03:30"):
        raise ValueError(f"{at!r} is not a time such as '03:30'.")

    def register(function: Callable[[], None]) -> Callable[[], None]:
        _refuse_duplicate_lease(function)
        _daily.append((function, moment))
        return function

    return register


def _refuse_duplicate_lease(function: Callable[[], None]) -> None:
    """Sweeps and daily tasks take turns by their names, so each has its own."""
    for other, _ in (*_periodic_tasks, *_daily):
        if other.__name__ == function.__name__:
            _refuse_duplicate("sweeps or daily tasks", other, function)


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
        self.sweep = huey.periodic_task(crontab(minute="*"))(self._run_sweeps)
        return huey

    def reach(self) -> None:
        """See that the queue is there; raises whatever its storage raises when it is not."""
        self.huey.storage.queue_size()

    def send(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Hand a job to whichever worker is free."""
        self.huey  # noqa: B018 - made now, with the task that carries the job
        self.run(name, args, kwargs)

    def _run_task(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        with self.app.app_context():
            _tasks[name](*args, **kwargs)

    def _run_sweeps(self) -> None:
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
    queue.sweep()
    consumer.run()


def run_periodic_tasks(*, now_even_if_not_due: bool = False) -> None:
    """Run every sweep whose turn has come; one that fails does not keep the others."""
    for function, every in list(_periodic_tasks):
        if _acquire_lease(function.__name__, every) or now_even_if_not_due:
            with _holding_lease(function.__name__):
                _run(function)
    for function, moment in list(_daily):
        if _acquire_daily_lease(function.__name__, moment) or now_even_if_not_due:
            _run(function)


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


@contextmanager
def _holding_lease(name: str) -> Iterator[None]:
    """While a sweep runs it is nobody else's turn, however long it takes.

    The turn is held a little ahead of the present, so that after our death it is soon due again.
    """
    app = current_app._get_current_object()  # type: ignore[attr-defined]  # for another thread
    done = threading.Event()

    def hold() -> None:
        while not done.wait(_HOLD.total_seconds() / 3):
            with app.app_context():
                _extend_lease(name)

    thread = threading.Thread(target=hold, daemon=True, name=f"turn of {name}")
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _extend_lease(name: str) -> None:
    until = now() + _HOLD
    held = update(TaskLease).where(TaskLease.name == name, TaskLease.due_at < until)
    try:
        with database.write_transaction():
            database.execute(held.values(due_at=until))
    except SQLAlchemyError:
        log.warning("a sweep's turn could not be held", extra={"job": name})


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

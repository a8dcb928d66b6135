"""The schedule: functions that run by the clock, each in one worker at a time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, time, timedelta
from typing import Any

from flask import current_app
from sqlalchemy import or_, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Mapped, mapped_column

from saas import database, metrics
from saas.database import Model, UTCDateTime, db, now

log = logging.getLogger("saas.jobs")


class TaskLease(Model):
    """The next due time of a periodic task. The worker that moves it forward runs the task."""

    __tablename__ = "task_leases"

    name: Mapped[str] = mapped_column(primary_key=True)
    due_at: Mapped[datetime] = mapped_column(UTCDateTime)


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
        seconds = self.overdue_by_task().values()
        return timedelta(seconds=max(seconds)) if seconds else None

    def overdue_by_task(self) -> dict[str, float]:
        """Return the seconds since each task was due; 0 for one that is not due."""
        at = now()
        names = [function.__name__ for function, _ in (*self._periodic_tasks, *self._daily)]
        return {
            name: max((at - due_at).total_seconds(), 0.0)
            for name, due_at in _leases().items()
            if name in names
        }

    def _refuse_duplicate(self, function: Callable[[], None]) -> None:
        """Raise for a duplicate name: leases are stored under the names of the functions."""
        for other, _ in (*self._periodic_tasks, *self._daily):
            if other.__name__ == function.__name__:
                refuse_duplicate("periodic or daily tasks", other, function)

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
        with metrics.counting_job(function.__name__):
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


def refuse_duplicate(kind: str, first: Callable[..., Any], second: Callable[..., Any]) -> None:
    """Raise if two functions with one name are registered."""
    if (first.__module__, first.__qualname__) != (second.__module__, second.__qualname__):
        raise ValueError(
            f"Two {kind} are called {first.__name__}: one in {first.__module__}, one in "
            f"{second.__module__}. Rename one of them."
        )

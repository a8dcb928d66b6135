"""A periodic task runs in one worker at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
import time_machine
from flask import Flask
from flask_migrate import check
from sqlalchemy import update

from saas import database
from saas.database import db, now
from saas.schedule import Schedule, TaskLease
from tests.harness.apps import both_databases
from tests.harness.waiting import eventually

A_MOMENT = timedelta(seconds=0.5)


def run(app: Flask, schedule: Schedule) -> None:
    with app.app_context():
        schedule.run()


def due_at(app: Flask, name: str) -> datetime | None:
    with app.app_context():
        lease = db.session.get(TaskLease, name)
        return lease.due_at if lease else None


def set_due(app: Flask, at: datetime) -> None:
    with app.app_context(), database.write_transaction():
        database.execute(update(TaskLease).values(due_at=at))


@both_databases
def test_a_task_that_lasts_longer_than_its_interval_is_not_started_again(app: Flask) -> None:
    started: list[str] = []
    enough = threading.Event()
    schedule = Schedule(lease=A_MOMENT)

    @schedule.periodic_task(minutes=A_MOMENT / timedelta(minutes=1))
    def slow_task() -> None:
        started.append(threading.current_thread().name)
        enough.wait(20)

    first = threading.Thread(target=run, args=(app, schedule))
    first.start()
    try:
        eventually(lambda: started)
        seen = set()
        while len(seen) < 8:  # the lease was extended repeatedly, beyond the interval
            seen.add(due_at(app, "slow_task"))
            run(app, schedule)
        assert len(started) == 1
    finally:
        enough.set()
        first.join()


def test_a_task_runs_once_per_interval_with_many_workers(app: Flask) -> None:
    ran: list[int] = []
    schedule = Schedule()

    @schedule.periodic_task(minutes=1)
    def task() -> None:
        ran.append(1)

    for _ in range(3):
        run(app, schedule)
    with time_machine.travel(now() + timedelta(seconds=61)):
        run(app, schedule)

    assert ran == [1, 1]


def test_a_task_of_a_killed_worker_soon_runs_in_another(app: Flask) -> None:
    ran: list[int] = []
    schedule = Schedule()

    @schedule.periodic_task(minutes=1)
    def task() -> None:
        ran.append(1)

    run(app, schedule)
    set_due(app, now() + schedule.lease)  # as after a worker was killed a moment ago
    run(app, schedule)
    assert len(ran) == 1
    set_due(app, now())
    run(app, schedule)
    assert len(ran) == 2


@pytest.mark.postgres
@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_the_tables_of_the_queue_are_not_reported_as_missing_migrations(
    make_app: Callable[..., Flask], database_url: str
) -> None:
    app = make_app(JOBS_URL=database_url)
    app.extensions["queue"].ping()

    with app.app_context():
        check()  # exits when a migration is missing

"""One sweep at a time, however many workers look at the clock and however long it lasts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from flask_migrate import check
from sqlalchemy import update

from saas import database, jobs
from saas.database import db, now
from tests.conftest import both_databases
from tests.visitor import eventually


def due_at(app: Flask, name: str) -> object:
    with app.app_context():
        turn = db.session.get(jobs.TaskLease, name)
        return turn and turn.due_at


@both_databases
def test_a_sweep_that_lasts_longer_than_its_interval_is_not_begun_again(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    enough = threading.Event()

    def slow_sweep() -> None:
        begun.append(threading.current_thread().name)
        enough.wait(20)

    def look() -> None:
        with app.app_context():
            jobs.run_periodic_tasks()

    monkeypatch.setattr(jobs, "_HOLD", timedelta(seconds=0.5))
    monkeypatch.setattr(jobs, "_periodic_tasks", [(slow_sweep, timedelta(seconds=0.5))])
    first = threading.Thread(target=look)
    first.start()
    try:
        eventually(lambda: begun)
        seen = set()
        while len(seen) < 8:  # the turn was held on to, again and again, beyond its interval
            seen.add(due_at(app, "slow_sweep"))
            look()
        assert len(begun) == 1
    finally:
        enough.set()
        first.join()


def test_a_sweep_whose_worker_died_is_soon_somebody_else_s(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[int] = []

    def sweep() -> None:
        ran.append(1)

    monkeypatch.setattr(jobs, "_periodic_tasks", [(sweep, timedelta(minutes=1))])
    with app.app_context():
        jobs.run_periodic_tasks()
        with database.write_transaction():  # as a worker leaves it that died an instant before
            database.execute(update(jobs.TaskLease).values(due_at=now() + jobs._HOLD))
        jobs.run_periodic_tasks()
        assert len(ran) == 1
        with database.write_transaction():
            database.execute(update(jobs.TaskLease).values(due_at=now()))
        jobs.run_periodic_tasks()
    assert len(ran) == 2


@pytest.mark.postgres
@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_the_queue_s_tables_are_no_difference_from_the_models(
    make_app: Callable[..., Flask], database_url: str
) -> None:
    app = make_app(JOBS_URL=database_url)
    app.extensions["queue"].reach()

    with app.app_context():
        check()  # exits when a migration is missing

"""Daily tasks run at their time, once, and later if no worker was running."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from types import FunctionType

import pytest
import time_machine
from flask import Flask
from sqlalchemy import func, select

from saas import database, jobs, mail
from saas.auth import accounts
from saas.database import db
from saas.schedule import Schedule
from tests.harness.apps import both_databases
from tests.harness.sample_product import tasks
from tests.harness.sample_product.models import Report

EVENING = datetime(2026, 11, 28, 20, 0, tzinfo=UTC)
NIGHT = datetime(2026, 11, 29, 3, 30, tzinfo=UTC)


def write_old_report() -> None:
    user = accounts.get_or_create("ann@example.com")
    with database.write_transaction() as session:
        session.add(Report(user_id=user.id, title="Old", written_at=EVENING - timedelta(days=366)))


def reports() -> int:
    count = db.session.scalar(select(func.count()).select_from(Report)) or 0
    database.release_connection()
    return count


@both_databases
def test_a_daily_task_runs_once_at_its_time(app: Flask) -> None:
    with app.app_context():
        with time_machine.travel(EVENING, tick=False):
            write_old_report()
            jobs.run_periodic_tasks()
            assert reports() == 1  # a new task waits for its first time
        with time_machine.travel(NIGHT, tick=False):
            jobs.run_periodic_tasks()
            assert reports() == 0
            write_old_report()
            jobs.run_periodic_tasks()
            assert reports() == 1
        with time_machine.travel(NIGHT + timedelta(days=1), tick=False):
            jobs.run_periodic_tasks()
            assert reports() == 0


def test_a_daily_task_runs_later_if_no_worker_was_running(app: Flask) -> None:
    with app.app_context():
        with time_machine.travel(EVENING, tick=False):
            write_old_report()
            jobs.run_periodic_tasks()
        with time_machine.travel(NIGHT + timedelta(hours=9), tick=False):
            jobs.run_periodic_tasks()
            assert reports() == 0


@both_databases
def test_one_of_several_workers_runs_a_daily_task(app: Flask) -> None:
    ran: list[int] = []
    schedule = Schedule()

    @schedule.daily(at="03:30")
    def task() -> None:
        ran.append(1)

    def run(_: int) -> None:
        with app.app_context():
            schedule.run()

    with time_machine.travel(EVENING, tick=False):
        run(0)
    with time_machine.travel(NIGHT, tick=False), ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(8)))

    assert ran == [1]


@pytest.mark.parametrize("at", ["3:30", "03:30:10", "25:00", "noon", "03:30+01:00"])
def test_an_invalid_time_is_refused(at: str) -> None:
    with pytest.raises(ValueError, match="03:30|format|hour"):
        jobs.daily(at=at)


def test_a_duplicate_task_name_is_refused() -> None:
    again = FunctionType(tasks.delete_old_reports.__code__, {"__name__": "elsewhere"})

    with pytest.raises(
        ValueError, match="Two periodic or daily tasks are called delete_old_reports"
    ):
        jobs.daily(at="04:00")(again)
    with pytest.raises(
        ValueError, match="Two periodic or daily tasks are called flush: one in saas"
    ):
        jobs.daily(at="04:00")(FunctionType(again.__code__, {"__name__": "elsewhere"}, "flush"))
    with pytest.raises(ValueError, match="Two emails are called 'welcome': one in saas.billing"):
        mail.email("welcome")(again)
    with pytest.raises(ValueError, match="Two tasks are called deliver: one in saas.mail.outbox"):
        jobs.task(FunctionType(again.__code__, {"__name__": "elsewhere"}, "deliver"))

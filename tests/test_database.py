"""SQLite without the problems of its defaults: no lost updates, no "database is locked"."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest
from flask import Flask
from sqlalchemy import select, text, update
from sqlalchemy.exc import StatementError

from saas import database
from saas.auth import accounts
from saas.auth.models import Session, User
from saas.database import db
from tests.harness.apps import both_databases


@both_databases
def test_many_writers_lose_no_update(app: Flask) -> None:
    with app.app_context():
        user_id = accounts.get_or_create("ann@example.com").id

    def increment_often() -> None:
        for _ in range(25):
            with app.app_context(), database.write_transaction():
                counter = db.session.scalar(
                    select(User.stripe_sync_counter).where(User.id == user_id).with_for_update()
                )
                database.execute(update(User).values(stripe_sync_counter=counter + 1))

    _in_threads(8, increment_often)

    with app.app_context():
        assert db.session.get_one(User, user_id).stripe_sync_counter == 200


def test_a_read_may_be_followed_by_a_write_while_others_write(app: Flask) -> None:
    with app.app_context():
        user_id = accounts.get_or_create("ann@example.com").id

    def look_then_write() -> None:
        for _ in range(25):
            with app.app_context():
                db.session.scalars(select(User)).all()  # a read transaction is now open
                with database.write_transaction():
                    database.execute(
                        update(User).values(stripe_sync_counter=User.stripe_sync_counter + 1)
                    )

    _in_threads(8, look_then_write)

    with app.app_context():
        assert db.session.get_one(User, user_id).stripe_sync_counter == 200


def test_a_failed_transaction_writes_nothing_and_enqueues_nothing(app: Flask) -> None:
    called: list[str] = []

    def fail_half_way() -> None:
        with database.write_transaction():
            accounts.get_or_create("ann@example.com")  # writes too, and joins the transaction
            database.after_commit(lambda: called.append("queued"))
            raise ValueError("half-way")

    with app.app_context():
        with pytest.raises(ValueError, match="half-way"):
            fail_half_way()

        assert accounts.find_by_email("ann@example.com") is None
        assert called == []


def test_no_external_service_may_be_called_in_a_write_transaction(app: Flask) -> None:
    with (
        app.app_context(),
        database.write_transaction(),
        pytest.raises(RuntimeError, match="must not be called inside"),
    ):
        database.release_connection()


def test_deleting_a_user_deletes_their_rows(app: Flask) -> None:
    with app.app_context():
        user = accounts.get_or_create("ann@example.com")
        with database.write_transaction() as session:
            session.add(Session(token_hash=b"x", user_id=user.id, expires_at=database.now()))
        with database.write_transaction():
            database.execute(User.__table__.delete())  # type: ignore[attr-defined]

        assert db.session.scalars(select(Session)).all() == []
        assert db.session.scalar(text("PRAGMA journal_mode")) == "wal"


@both_databases
def test_times_are_read_as_aware_utc(app: Flask) -> None:
    berlin = timezone(timedelta(hours=2))
    with app.app_context():
        user = accounts.get_or_create("ann@example.com")
        with database.write_transaction():
            database.execute(
                update(User).values(disabled_at=datetime(2026, 7, 1, 2, 30, tzinfo=berlin))
            )
        db.session.refresh(user)

        assert user.disabled_at == datetime(2026, 7, 1, 0, 30, tzinfo=UTC)
        assert user.disabled_at.tzinfo == UTC
        with pytest.raises(StatementError), database.write_transaction():
            database.execute(update(User).values(disabled_at=datetime(2026, 7, 1)))


def test_keys_increase_with_time() -> None:
    keys = [database.uuid7() for _ in range(3)]

    assert all(key.version == 7 for key in keys)
    assert keys[0].int >> 80 <= keys[2].int >> 80


def _in_threads(count: int, work: Callable[[], None]) -> None:
    failures: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=guarded) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []

"""Rows that nobody needs any more are deleted, and those that are needed stay."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from saas import database
from saas.auth import accounts, audit
from saas.auth.models import AuditEntry
from saas.billing import history
from saas.billing.models import SubscriptionChange
from saas.database import db, now
from saas.mail import outbox
from saas.mail.models import OutboxMessage
from tests.harness.apps import both_databases


def message(at: datetime, number: int, due_at: datetime | None = None) -> OutboxMessage:
    return OutboxMessage(
        id=row_id(at, number), key=f"{at}{number}", kind="x", subject_id=uuid.uuid4(), due_at=due_at
    )


def entry(at: datetime, number: int) -> AuditEntry:
    return AuditEntry(id=row_id(at, number), actor="operator", action="x", subject_id=uuid.uuid4())


def change(at: datetime, number: int) -> SubscriptionChange:
    user = accounts.get_or_create("ann@example.com")
    return SubscriptionChange(
        id=row_id(at, number), user_id=user.id, counter=1, cause="x", before={}, after={}
    )


def row_id(at: datetime, number: int) -> uuid.UUID:
    """Return a key of this time, as `uuid7` makes them."""
    return uuid.UUID(int=database.first_id(at).int + number)


@both_databases
@pytest.mark.parametrize(
    ("make", "kept", "delete_old"),
    [
        (message, outbox.KEPT, outbox.delete_old_messages),
        (entry, audit.KEPT, audit.delete_old_entries),
        (change, history.KEPT, history.delete_old_changes_of_subscriptions),
    ],
)
def test_old_rows_are_deleted(
    make: Callable[[datetime, int], Any],
    kept: timedelta,
    delete_old: Callable[[], None],
    app: Flask,
) -> None:
    day = timedelta(days=1)
    with app.app_context():
        rows = [make(now() - kept - day, number) for number in range(1, 1503)]
        young = make(now() - kept + day, 1)
        with database.write_transaction() as session:
            session.add_all([*rows, young])
        young_id = young.id

        delete_old()

        left = db.session.scalars(select(type(young).id)).all()
    assert left == [young_id]


def test_an_old_email_that_still_waits_is_kept(app: Flask) -> None:
    with app.app_context():
        with database.write_transaction() as session:
            session.add(message(now() - 2 * outbox.KEPT, 1, due_at=now()))

        outbox.delete_old_messages()

        assert db.session.scalar(select(func.count()).select_from(OutboxMessage)) == 1

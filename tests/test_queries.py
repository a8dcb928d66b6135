"""Queries that would slow down as the number of users grows use an index."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, current_app
from sqlalchemy import text

from saas import database
from saas.auth import accounts, roles, sessions
from saas.billing import tasks
from saas.database import db
from saas.mail import outbox
from saas.metrics import DatabaseValues
from saas.users import account_deletion
from saas.users.export import export_user
from tests.harness import stripe_account
from tests.harness.apps import both_databases
from tests.harness.queries import full_scans, plan, recorded
from tests.harness.shop import Shop

WORK: dict[str, Callable[[], Any]] = {
    "expired sessions": sessions.delete_expired_sessions,
    "ended periods": tasks.sync_ended_periods,
    "ending trials": tasks.sync_ending_trials,
    "stale emails": tasks.update_stale_emails,
    "unfinished deletions": account_deletion.finish_deletions,
    "due emails": outbox.deliver_due,
    "last admin": lambda: roles.is_last_admin(accounts.get_by_email("ann@example.com")),
    "metrics": lambda: list(DatabaseValues(current_app).collect()),
    "users by page": lambda: next(accounts.list_all()),
}


@both_databases
@pytest.mark.parametrize("name", WORK)
def test_it_scans_no_growing_table(name: str, app: Flask) -> None:
    with app.app_context():
        accounts.get_or_create("ann@example.com", role="admin")
        database.release_connection()
        with recorded() as statements:
            WORK[name]()
        database.release_connection()

        assert statements
        assert full_scans(statements) == []


@both_databases
def test_a_full_scan_is_recognised(app: Flask) -> None:
    with app.app_context():
        with recorded() as statements:
            db.session.execute(text("SELECT id FROM users WHERE verified_at IS NULL"))
        database.release_connection()

        assert len(full_scans(statements)) == 1


def test_an_export_reads_only_rows_of_the_user(shop: Shop) -> None:
    """Its queries are sorted by the primary key, so SQLite could also read a whole index."""
    stripe_account.subscriber(shop, "ann@example.com")

    with shop.app.app_context():
        with recorded() as statements:
            export_user(accounts.get_by_email("ann@example.com"))
        lines = [line for statement in statements for line in plan(*statement)]

    assert len(lines) > 10
    assert [line for line in lines if line.startswith("SCAN")] == []

"""All data about a user can be downloaded, and is gone after the deletion."""

from __future__ import annotations

import base64
import json
from typing import Any

from flask import Flask
from sqlalchemy import Table, select

from saas import database
from saas.auth.models import Session, SignInLink
from saas.billing.models import StripeEvent
from saas.database import db, now
from saas.users import export
from tests.harness.apps import both_databases
from tests.harness.shop import Shop
from tests.harness.visitor import Visitor
from tests.users.full_account import (
    AT_PROVIDER,
    EMAIL,
    IDENTIFYING_WORDS,
    NAME,
    create_full_account,
)


def tables_of_users() -> set[str]:
    """Return every table with a foreign key to `users`."""
    return {
        table.name
        for table in db.metadata.tables.values()
        if any(key.column.table.name == "users" for key in table.foreign_keys)
    }


def test_every_table_that_refers_to_users_is_exported(app: Flask) -> None:
    listed = {model.__tablename__ for model in export.OWNED}

    assert tables_of_users() == listed, "List each new table in OWNED of saas/users/export.py."


def test_the_download_contains_a_row_of_every_table(shop: Shop, visitor: Visitor) -> None:
    create_full_account(shop, visitor)

    response = visitor.request("GET", "/dashboard/settings/export")

    assert response.headers["Content-Type"] == "application/json"
    assert "attachment" in response.headers["Content-Disposition"]
    assert response.headers["Cache-Control"] == "no-store"
    data = response.json()
    assert (data["account"]["email"], data["account"]["name"]) == (EMAIL, NAME)
    assert data["identities"][0]["email"] == AT_PROVIDER
    empty = [name for name, rows in data.items() if rows == []]
    assert empty == []
    assert tables_of_users() < set(data)


def test_the_download_contains_no_secret(shop: Shop, visitor: Visitor) -> None:
    create_full_account(shop, visitor)

    response = visitor.request("GET", "/dashboard/settings/export")

    names = {name for rows in response.json().values() if isinstance(rows, list) for row in rows
             for name in row}  # fmt: skip
    assert [name for name in names if "hash" in name] == []
    with shop.app.app_context():
        hashes = [
            *db.session.scalars(select(Session.token_hash)),
            *db.session.scalars(select(SignInLink.browser_hash)),
        ]
        texts = [base64.b64encode(value).decode() for value in hashes if value]
        assert len(texts) >= 2
        assert not any(text in response.text for text in texts)


def test_events_without_a_user_are_in_no_download(shop: Shop, visitor: Visitor) -> None:
    visitor.sign_in("ann@example.com")
    with shop.app.app_context(), database.write_transaction() as session:
        session.add(
            StripeEvent(id="evt_price", type="price.created", created=now(), livemode=False)
        )

    data = visitor.request("GET", "/dashboard/settings/export").json()

    assert data["account"]["stripe_customer_id"] is None
    assert data["stripe_events"] == []


def test_operators_get_the_same_export_and_it_is_recorded(shop: Shop, visitor: Visitor) -> None:
    visitor.sign_in("ann@example.com")
    run = shop.app.test_cli_runner().invoke
    downloaded = visitor.request("GET", "/dashboard/settings/export").json()

    exported = json.loads(run(args=["users", "export", "ann@example.com"]).output)

    assert {**exported, "exported_at": ""} == {**downloaded, "exported_at": ""}
    assert "export" in run(args=["users", "history", "ann@example.com"]).output
    nobody = run(args=["users", "export", "nobody@example.com"])
    assert (nobody.exit_code, "No account has the email" in nobody.output) == (1, True)


def everywhere(table: Table) -> list[tuple[str, Any]]:
    """Return every value of every column of a table."""
    return [
        (f"{table.name}.{column.name}", value)
        for column in table.columns
        for value in db.session.scalars(select(column))
    ]


@both_databases
def test_after_the_deletion_no_table_contains_the_name_or_email(
    shop: Shop, visitor: Visitor
) -> None:
    create_full_account(shop, visitor)
    visitor.visit("/dashboard/settings")

    page = visitor.submit("/dashboard/settings/delete", confirmation=EMAIL)

    assert "Your account was deleted" in page.text
    with shop.app.app_context():
        left = [
            (place, value)
            for table in db.metadata.sorted_tables
            for place, value in everywhere(table)
            if any(mark in _text(value) for mark in IDENTIFYING_WORDS)
        ]
        tables = [db.metadata.tables[name] for name in tables_of_users()]
        # Rows without a user, such as movements of revenue, are about nobody.
        rows = {table.name: db.session.execute(table.select().where(table.c.user_id.isnot(None)))
                .all() for table in tables}  # fmt: skip
    assert left == []
    assert rows == dict.fromkeys(tables_of_users(), [])


def _text(value: Any) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else repr(value)
    return text.lower()

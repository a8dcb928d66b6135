"""The lists of the admin pages use an index, whatever the filter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, request

from saas import database
from saas.admin import queries, search
from saas.admin.search import Filters
from saas.auth import accounts
from tests.harness.apps import both_databases
from tests.harness.queries import full_scans, recorded

LISTS = {
    "newest": Filters(),
    "by email": Filters(sort="email"),
    "plan": Filters(plan="solo"),
    "free plan": Filters(plan="hobby"),
    "plan by email": Filters(plan="solo", sort="email"),
    "status": Filters(status="past_due"),
    "any live subscription": Filters(status="live"),
    "highest payment": Filters(sort="payment"),
    "highest payment of a plan": Filters(sort="payment", plan="solo"),
    "administrators": Filters(role="admin"),
    "disabled": Filters(account="disabled"),
    "granted": Filters(account="granted"),
    "being deleted": Filters(account="closing"),
}
SEARCHES = ("ann", "Ann", "ann@example.com", "cus_unknown", "sub_unknown",
            "01a22b73-a2fb-7a49-aad1-e5f7adfa9479")  # fmt: skip
PATHS = (
    "/?state=failed", "/?state=waiting", "/?state=applied", "/?customer=cus_unknown",
    "/?kind=welcome", "/?type=invoice.paid", "/?state=failed&age=day", "/?state=sent",
    "/?action=grant", "/?actor=operator", "/?user=ann@example.com",
)  # fmt: skip


def scans_of(app: Flask, work: Callable[[], Any]) -> list[str]:
    with app.app_context():
        accounts.get_or_create("ann@example.com")
        database.release_connection()
        with recorded() as statements:
            work()
        database.release_connection()
        assert statements
        return full_scans(statements)


@both_databases
@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_users_scans_no_table(app: Flask, name: str) -> None:
    def read() -> None:
        LISTS[name].listing().page()
        user_id = database.uuid7()
        lasts = {"email": "ann@example.com", "payment": f"100~{user_id}"}
        LISTS[name].listing().page(lasts.get(LISTS[name].sort, str(user_id)))

    assert scans_of(app, read) == []


@pytest.mark.postgres
@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
@pytest.mark.parametrize("typed", SEARCHES)
def test_a_search_scans_no_table(app: Flask, typed: str) -> None:
    assert scans_of(app, lambda: search.matches(Filters(q=typed))) == []


@both_databases
@pytest.mark.parametrize("path", PATHS)
def test_events_emails_and_the_audit_log_scan_no_table(app: Flask, path: str) -> None:
    def read() -> None:
        with app.test_request_context(path):
            for listing in (queries.events, queries.emails, queries.audit_entries):
                listing(request.args).page()

    assert scans_of(app, read) == []

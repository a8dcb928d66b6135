"""View as a user: read-only, for an hour, never an administrator, and recorded."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from flask_login import login_user

from saas import logs
from saas.auth import accounts
from tests.harness.shop import Shop
from tests.harness.visitor import Page, Visitor

ANN, ADMIN = "ann@example.com", "admin@example.com"


def view_as(shop: Shop, admin: Visitor, email: str = ANN) -> Page:
    admin.visit(f"/admin/users/{shop.user(email).id}/view-as")
    return admin.submit(admin.page.path, reason="Their plan looks wrong")


@pytest.fixture(autouse=True)
def ann(shop: Shop) -> None:
    with shop.app.app_context():
        accounts.rename(accounts.get_or_create(ANN), "Ann Archer")


def test_the_pages_are_those_of_the_user_until_the_end(shop: Shop, admin: Visitor) -> None:
    page = view_as(shop, admin)
    assert page.path == "/dashboard"
    assert "You are viewing as ann@example.com." in page.text
    assert admin.request("GET", "/api/user").json()["user"]["email"] == ANN
    for path in ("/admin/users", "/pricing", "/dashboard/billing"):
        assert "Stop viewing" in admin.visit(path).response.text, path

    page = admin.submit("/admin/view-as/stop")

    assert page.path == f"/admin/users/{shop.user(ANN).id}"
    log = " ".join(page.text.split())
    assert f"View as by {ADMIN}: Their plan looks wrong" in log
    assert f"End view as by {ADMIN}" in log
    assert admin.request("GET", "/api/user").json()["user"]["email"] == ADMIN


def test_nothing_can_be_changed(shop: Shop, admin: Visitor) -> None:
    view_as(shop, admin)
    form = admin.page.form("/admin/view-as/stop").fields["csrf_token"]

    for path in ("/dashboard/settings/name", "/billing/portal", "/logout"):
        response = admin.request("POST", path, data={"csrf_token": form, "name": "Eve"})
        assert response.status_code == 403, path
        assert "so nothing can be changed" in response.text
    deleted = admin.request("DELETE", "/api/user", headers={"X-CSRFToken": form})
    assert (deleted.status_code, deleted.json()["error"]["code"]) == (403, "viewing")
    assert shop.user(ANN).name == "Ann Archer"


@pytest.mark.parametrize(
    "path",
    ["/dashboard/settings", "/dashboard/settings/export", "/dashboard/settings/tokens",
     "/dashboard/billing/invoices", "/dashboard/settings/passkeys/new",
     "/billing/return?session_id=cs_test_1"],
)  # fmt: skip
def test_private_pages_are_not_shown(shop: Shop, admin: Visitor, path: str) -> None:
    view_as(shop, admin)

    assert admin.visit(path).response.status_code == 403


@pytest.mark.parametrize("is_sent", [True, False])
def test_the_user_is_told_if_the_operator_wants_it(
    shop: Shop, admin: Visitor, is_sent: bool
) -> None:
    shop.app.config["VIEW_AS_EMAIL"] = is_sent

    view_as(shop, admin)

    subject = "We looked at your account at Acme"
    subjects = [email["subject"] for email in admin.emails_to(ANN)]
    assert (subject in subjects) is is_sent


def test_it_ends_after_an_hour(shop: Shop, admin: Visitor) -> None:
    view_as(shop, admin)

    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=61), tick=True):
        assert admin.request("GET", "/api/user").json()["user"]["email"] == ADMIN


def test_a_form_of_a_viewed_page_does_nothing_afterwards(shop: Shop, admin: Visitor) -> None:
    """It would change the administrator's own account."""
    view_as(shop, admin)
    token = admin.page.form("/admin/view-as/stop").fields["csrf_token"]
    stale = {"csrf_token": token, "name": "Eve"}

    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=61), tick=True):
        first = admin.request("POST", "/dashboard/settings/name", data=stale)
        second = admin.request("POST", "/dashboard/settings/name", data=stale)

    assert (first.status_code, second.status_code) == (403, 400)
    assert "Viewing has ended" in first.text
    assert shop.user(ADMIN).name is None
    assert "End view as" in admin.visit("/admin/audit").text


def test_the_log_has_both_ids(shop: Shop, admin: Visitor) -> None:
    formatter = logs.JSONFormatter()
    with shop.app.test_request_context():
        user = shop.user(ANN)
        user.viewer = shop.user(ADMIN)
        login_user(user)
        record = logging.makeLogRecord({"msg": "something happened"})
        line = json.loads(formatter.format(record))

    assert (line["user_id"], line["viewer_id"]) == (str(user.id), str(user.viewer.id))


def test_it_ends_when_the_user_becomes_an_administrator(shop: Shop, admin: Visitor) -> None:
    view_as(shop, admin)

    shop.app.test_cli_runner().invoke(args=["users", "promote", ANN])

    assert admin.request("GET", "/api/user").json()["user"]["email"] == ADMIN


def test_an_administrator_cannot_be_viewed(shop: Shop, admin: Visitor) -> None:
    page = admin.visit(f"/admin/users/{shop.user(ADMIN).id}/view-as")

    assert "is not possible now" in page.text


def test_users_cannot_stop_or_start_it(shop: Shop) -> None:
    ann = shop.visitor()
    ann.sign_in(ANN)

    assert ann.visit(f"/admin/users/{shop.user(ANN).id}/view-as").response.status_code == 404
    assert "viewing as" not in ann.visit("/dashboard").text

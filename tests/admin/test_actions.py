"""Actions on one user: each asks once, is recorded, and does what the command does."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from saas.auth import accounts
from tests.harness import stripe_account
from tests.harness.shop import Shop
from tests.harness.visitor import Page, Visitor
from tests.harness.waiting import eventually

ANN, ADMIN = "ann@example.com", "admin@example.com"
WHY = "Asked by phone"


def act(shop: Shop, admin: Visitor, action: str, email: str = ANN, **fields: str) -> Page:
    admin.visit(f"/admin/users/{shop.user(email).id}/{action}")
    return admin.submit(admin.page.path, **fields)


@pytest.fixture(autouse=True)
def ann(shop: Shop) -> None:
    with shop.app.app_context():
        accounts.get_or_create(ANN)


def test_a_plan_is_given_for_some_days_and_taken_away(shop: Shop, admin: Visitor) -> None:
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}"

    page = act(shop, admin, "grant", plan="solo", until="", reason=WHY)
    assert "ann@example.com is now on Solo" in page.text
    admin.visit(f"/admin/users/{shop.user(ANN).id}/grant")
    assert "This replaces the grant of Solo for good." in admin.page.text
    assert '<option selected value="solo">' in admin.page.response.text
    page = admin.submit(admin.page.path, plan="team", until=tomorrow, reason=WHY)
    assert "ann@example.com is now on Team" in page.text
    assert f"Grant team until {tomorrow} by {ADMIN}: {WHY}" in " ".join(page.text.split())
    assert f"{shop.user(ANN).granted_until:%Y-%m-%d}" == tomorrow

    page = act(shop, admin, "revoke-grant", reason="The month is over")
    assert "ann@example.com is now on Hobby" in page.text


def test_a_plan_is_not_given_without_a_reason_or_for_the_past(shop: Shop, admin: Visitor) -> None:
    page = act(shop, admin, "grant", plan="team", until="2020-01-01", reason=" ")

    assert page.response.status_code == 422
    assert "Give a reason of 1 to 200 characters." in page.text
    assert "Choose a day that has not passed" in page.text
    assert shop.user(ANN).granted is None


def test_a_disabled_user_is_signed_out_until_enabled(shop: Shop, admin: Visitor) -> None:
    ann = shop.visitor()
    ann.sign_in(ANN)

    act(shop, admin, "disable", reason=WHY)
    assert ann.visit("/dashboard").path == "/login"
    page = act(shop, admin, "enable")

    assert "can sign in again" in page.text
    assert f"Disable by {ADMIN}: {WHY}" in " ".join(page.text.split())
    ann.sign_in(ANN)
    assert ann.visit("/dashboard").path == "/dashboard"


def test_sessions_are_ended(shop: Shop, admin: Visitor) -> None:
    ann = shop.visitor()
    ann.sign_in(ANN)

    page = act(shop, admin, "end-sessions", reason=WHY)

    assert "Ended 1 session of ann@example.com" in page.text
    assert ann.visit("/dashboard").path == "/login"


def test_a_role_is_given_and_taken(shop: Shop, admin: Visitor) -> None:
    act(shop, admin, "promote", reason=WHY)
    assert shop.user(ANN).is_admin
    act(shop, admin, "demote", reason=WHY)
    assert not shop.user(ANN).is_admin


@pytest.mark.parametrize("action", ["demote", "disable", "delete", "end-sessions"])
def test_administrators_cannot_act_on_themselves(shop: Shop, admin: Visitor, action: str) -> None:
    page = admin.visit(f"/admin/users/{shop.user(ADMIN).id}/{action}")

    assert "is not possible now" in page.text
    assert not [link for link in page.links if link.endswith(f"/{action}")]


def test_an_account_is_closed_and_its_subscription_with_it(shop: Shop, admin: Visitor) -> None:
    ann, subscription = stripe_account.subscriber(shop, ANN, "solo")

    page = act(shop, admin, "delete", reason="A duplicate account")

    assert "The account of ann@example.com was deleted" in page.text
    assert stripe_account.client(shop).v1.subscriptions.retrieve(subscription).status == "canceled"
    log = " ".join(admin.visit("/admin/audit").text.split())
    assert f"by {ADMIN}: A duplicate account deleted, {ann.id}" in log
    page = admin.visit(f"/admin/users/{ann.id}")
    assert page.response.status_code == 404
    assert "This account does not exist" in page.text
    assert f"/admin/audit?user={ann.id}" in page.response.text


def test_the_data_of_a_user_is_downloaded(shop: Shop, admin: Visitor) -> None:
    page = act(shop, admin, "export", reason="Request by letter")

    assert json.loads(page.response.text)["account"]["email"] == ANN
    assert page.response.headers["Content-Disposition"].startswith("attachment")
    assert "Request by letter" in admin.visit("/admin/audit").text


def test_the_last_email_is_sent_again(shop: Shop, admin: Visitor) -> None:
    assert "There is no email to send again" in act(shop, admin, "resend-email").text
    stripe_account.subscriber(shop, ANN, "solo")
    eventually(lambda: len(admin.emails_to(ANN)) == 1)

    admin.visit(f"/admin/users/{shop.user(ANN).id}/resend-email")
    assert "It is “Welcome” of" in admin.page.text
    page = admin.submit(admin.page.path)

    assert "The email “Welcome” is sent again" in page.text
    eventually(lambda: len(admin.emails_to(ANN)) == 2)
    assert len({message["subject"] for message in admin.emails_to(ANN)}) == 1


def test_a_grant_below_the_subscription_says_that_nothing_changes(
    shop: Shop, admin: Visitor
) -> None:
    stripe_account.subscriber(shop, ANN, "team")

    page = act(shop, admin, "grant", plan="solo", reason=WHY)

    assert "Solo is granted. ann@example.com stays on Team, which is higher." in page.text


@pytest.mark.parametrize("path", ["/admin/users/{ann}/disable", "/admin/users.csv"])
def test_actions_and_files_require_a_recent_sign_in(shop: Shop, admin: Visitor, path: str) -> None:
    """The form asks for it when it opens, so that nothing typed is lost."""
    later = datetime.now(UTC) + timedelta(minutes=11)
    with time_machine.travel(later, tick=True):
        page = admin.visit(path.format(ann=shop.user(ANN).id))

        assert page.path == "/auth/confirm"


def test_an_unknown_action_or_an_impossible_one_is_refused(shop: Shop, admin: Visitor) -> None:
    ann = shop.user(ANN).id

    assert admin.visit(f"/admin/users/{ann}/explode").response.status_code == 404
    assert "is not possible now" in admin.visit(f"/admin/users/{ann}/revoke-grant").text

"""Find a user, and see why they have access."""

from __future__ import annotations

import csv
import io
from datetime import timedelta

import pytest
import time_machine

from saas.auth import accounts
from saas.billing import grants, subscriptions
from saas.database import now
from tests.harness import stripe_account
from tests.harness.apps import both_databases
from tests.harness.sample_product.catalogue import LIFETIME
from tests.harness.shop import Shop
from tests.harness.visitor import Visitor
from tests.harness.waiting import eventually

ANN, BOB = "ann@example.com", "bob@example.com"


def found(admin: Visitor, query: str) -> list[str]:
    """Return the emails in the list of users."""
    links = admin.visit(f"/admin/users?{query}").response.text.split("/admin/users/")
    return [link.partition(">")[2].partition("<")[0] for link in links[1:]]


def page_of(shop: Shop, admin: Visitor, email: str, query: str = "") -> str:
    return " ".join(admin.visit(f"/admin/users/{shop.user(email).id}{query}").text.split())


@both_databases
def test_users_are_found_by_what_the_operator_has(shop: Shop, admin: Visitor) -> None:
    ann, subscription = stripe_account.subscriber(shop, ANN, "solo")
    with shop.app.app_context():
        accounts.rename(accounts.get_or_create(BOB), "Robert Brown")

    for typed in ("ann", "ANN@EXAMPLE.COM", str(ann.id), ann.stripe_customer_id, subscription):
        assert found(admin, f"q={typed}") == [ANN], typed
    assert found(admin, "q=robert") == [BOB]
    assert found(admin, "q=%25") == []  # no wildcard
    assert "No user matches" in admin.visit("/admin/users?q=nobody").text


@both_databases
def test_users_are_filtered_by_plan_status_role_and_account(shop: Shop, admin: Visitor) -> None:
    shop.sell(LIFETIME)
    stripe_account.subscriber(shop, ANN, "solo")
    with shop.app.app_context():
        bob = accounts.get_or_create(BOB)
        grants.grant(bob, "team", reason="A gift", until=None, by="operator")

    assert found(admin, "plan=solo") == [ANN]
    assert found(admin, "plan=team") == [BOB]
    assert found(admin, "plan=hobby") == ["admin@example.com"]
    assert found(admin, "plan=lifetime") == []
    assert found(admin, "status=active") == [ANN]
    assert found(admin, "role=admin") == ["admin@example.com"]
    assert found(admin, "account=disabled") == []
    assert found(admin, "account=granted") == [BOB]
    assert found(admin, "q=ann&plan=team") == []
    assert found(admin, "status=live") == [ANN]
    assert found(admin, "plan=unknown") == []
    assert found(admin, "sort=email") == ["admin@example.com", ANN, BOB]


@both_databases
def test_who_pays_most_is_first(shop: Shop, admin: Visitor) -> None:
    stripe_account.subscriber(shop, ANN, "solo", "yearly")  # 12 a month
    stripe_account.subscriber(shop, BOB, "team")
    stripe_account.subscriber(shop, "cay@example.com", "solo")

    assert found(admin, "sort=payment") == [BOB, "cay@example.com", ANN]
    assert found(admin, "sort=payment&plan=solo") == ["cay@example.com", ANN]
    assert "€12" in admin.page.text


def test_those_who_no_longer_have_a_plan_are_on_the_free_one(shop: Shop, admin: Visitor) -> None:
    _, subscription = stripe_account.subscriber(shop, ANN, "solo")
    stripe_account.client(shop).v1.subscriptions.cancel(subscription)
    with shop.app.app_context():
        bob = accounts.get_or_create(BOB)
        grants.grant(bob, "team", reason="A day", until=now() + timedelta(days=1), by="operator")
        subscriptions.sync(shop.user(ANN).id, cause="test")

    with time_machine.travel(now() + timedelta(days=2), tick=True):
        assert set(found(admin, "plan=hobby")) == {"admin@example.com", ANN, BOB}
        assert found(admin, "plan=team") == []


def test_a_long_list_has_pages(shop: Shop, admin: Visitor) -> None:
    with shop.app.app_context():
        for number in range(60):
            accounts.get_or_create(f"user-{number:02}@example.com")
    for sort in ("", "&sort=email"):
        first = admin.visit(f"/admin/users?role=user{sort}")
        shown = found(admin, f"role=user{sort}")
        following = next(link for link in first.links if "after=" in link)
        rest = found(admin, following.partition("?")[2])

        assert (len(shown), len(rest)) == (50, 10)
        assert len({*shown, *rest}) == 60
    assert len(found(admin, "after=rubbish")) == 50


def test_the_page_says_why_a_user_has_access(shop: Shop, admin: Visitor) -> None:
    stripe_account.subscriber(shop, ANN, "solo")
    with shop.app.app_context():
        ann = accounts.get_by_email(ANN)
        grants.grant(ann, "team", reason="Winner of the raffle", until=None, by="operator")

    text = page_of(shop, admin, ANN)

    assert "Access Team Granted" in text
    assert "Subscription: gives Solo" in text
    assert "Price €15 a month" in text
    assert "Granted plan: gives Team" in text
    assert "Winner of the raffle" in text
    assert "Grant team by operator: Winner of the raffle" in text
    assert "No subscription, no purchase" in page_of(shop, admin, "admin@example.com")


def test_the_page_says_why_a_subscription_gives_nothing(shop: Shop, admin: Visitor) -> None:
    _, subscription = stripe_account.subscriber(shop, ANN, "solo")
    stripe_account.client(shop).v1.subscriptions.cancel(subscription)
    admin.visit(f"/admin/users/{shop.user(ANN).id}/sync")
    admin.submit(admin.page.path)

    text = page_of(shop, admin, ANN)

    assert "Subscription: gives nothing now" in text
    assert "Status canceled" in text
    assert "Solo (monthly) ended" in text


def test_the_page_says_that_a_plan_was_lost_because_a_payment_failed(
    shop: Shop, admin: Visitor
) -> None:
    ann, subscription = stripe_account.subscriber(shop, ANN, "solo")
    stripe_account.use_card(shop, ann.stripe_customer_id, "pm_card_chargeCustomerFail")
    stripe_account.advance(shop, ann.stripe_customer_id)
    eventually(lambda: "Status past_due" in page_of(shop, admin, ANN))

    stripe_account.client(shop).v1.subscriptions.cancel(subscription)

    eventually(lambda: "Solo (monthly) ended, after a payment failed" in page_of(shop, admin, ANN))


def test_stripe_says_on_demand_why_a_subscription_ended(shop: Shop, admin: Visitor) -> None:
    ann, _ = stripe_account.subscriber(shop, ANN, "solo")
    stripe_account.use_card(shop, ann.stripe_customer_id, "pm_card_chargeCustomerFail")
    stripe_account.advance(shop, ann.stripe_customer_id)
    stripe_account.advance(shop, ann.stripe_customer_id, "week", 6)
    eventually(lambda: "Status canceled" in page_of(shop, admin, ANN))

    text = page_of(shop, admin, ANN, "?stripe=1")

    assert "The subscription ended on" in text
    assert "(UTC), because its payment failed." in text
    assert "Period ends" not in text


def test_the_columns_are_compared_with_stripe_on_demand(
    quiet_shop: Shop, make_admin: Visitor
) -> None:
    shop, admin = quiet_shop, make_admin
    _, subscription = stripe_account.subscriber(shop, ANN, "solo")
    assert "The same as what is shown here." in page_of(shop, admin, ANN, "?stripe=1")
    stripe_account.client(shop).v1.subscriptions.cancel(subscription)

    text = page_of(shop, admin, ANN, "?stripe=1")

    assert "stripe_subscription_status active → canceled" in text
    assert shop.user(ANN).stripe_subscription_status == "active"  # nothing was written


def test_the_list_is_downloaded_without_formulas(shop: Shop, admin: Visitor) -> None:
    stripe_account.subscriber(shop, ANN, "solo")
    with shop.app.app_context():
        accounts.rename(accounts.get_or_create(BOB), "Bob; =1+1")
        accounts.rename(accounts.get_or_create("cay@example.com"), "=1+1")

    response = admin.request("GET", "/admin/users.csv")

    rows = {row["email"]: row for row in csv.DictReader(io.StringIO(response.text))}
    assert rows[ANN]["plan"] == "solo"
    assert (rows[ANN]["amount in smallest unit"], rows[ANN]["currency"]) == ("1500", "eur")
    assert (rows[BOB]["name"], rows["cay@example.com"]["name"]) == ("'Bob; =1+1", "'=1+1")
    assert "Download users" in admin.visit("/admin/audit").text


@pytest.fixture
def make_admin(quiet_shop: Shop) -> Visitor:
    """An administrator of the shop without webhooks."""
    with quiet_shop.app.app_context():
        accounts.get_or_create("admin@example.com", role="admin")
    visitor = quiet_shop.visitor()
    visitor.sign_in("admin@example.com")
    return visitor

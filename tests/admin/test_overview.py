"""The overview: figures from the history of changes, and what needs an operator."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta

import pytest
from sqlalchemy import delete, select, update

from saas.admin import figures, health, reports
from saas.auth import accounts
from saas.billing.models import RevenueMovement, StripeEvent
from saas.database import db, now
from saas.mail.models import OutboxMessage
from tests.harness import stripe_account
from tests.harness.apps import both_databases
from tests.harness.shop import Shop
from tests.harness.visitor import Visitor
from tests.harness.waiting import eventually

ANN, BOB = "ann@example.com", "bob@example.com"


def overview(admin: Visitor) -> str:
    """Return the text of the overview, after its figures were updated."""
    admin.visit("/admin")
    admin.submit("/admin/refresh")
    return " ".join(admin.visit("/admin").text.split())


@both_databases
def test_the_figures_are_those_of_the_subscriptions(shop: Shop, admin: Visitor) -> None:
    stripe_account.subscriber(shop, ANN, "solo")
    stripe_account.subscriber(shop, BOB, "team", "yearly")
    stripe_account.subscriber(shop, "cay@example.com", "team", "monthly", trial_days=7)

    text = overview(admin)

    assert "MRR €40" in text
    assert "Users 4 Active in 30 days 1 At risk €0 Trials now 1" in text
    assert "Team 2 1 active, 1 trialing" in text or "Team 2 1 trialing, 1 active" in text
    month = f"{now():%Y-%m}"
    assert f"{month} €40 €40 – – – – 1 0 0" in text
    rows = list(csv.DictReader(io.StringIO(admin.request("GET", "/admin/figures.csv").text)))
    value = "value in smallest unit"
    new = {"section": "month", "of": month, "what": "new", "currency": "eur", value: "4000"}
    assert new in rows
    assert {**new, "what": "trial_started", "currency": "", value: "1"} in rows


def test_revenue_that_is_past_due_is_at_risk(shop: Shop, admin: Visitor) -> None:
    ann, subscription = stripe_account.subscriber(shop, ANN, "solo")
    at_stripe = stripe_account.client(shop).v1
    card = at_stripe.payment_methods.attach(
        "pm_card_chargeCustomerFail", {"customer": str(ann.stripe_customer_id)}
    )
    at_stripe.subscriptions.update(subscription, {"default_payment_method": card.id})
    stripe_account.advance(shop, ann.stripe_customer_id)
    eventually(lambda: shop.user(ANN).stripe_subscription_status == "past_due")

    text = overview(admin)

    assert "1 subscription is past due." in text
    assert "At risk €15" in text


def test_the_figures_say_as_of_when_and_stay_until_they_are_updated(
    shop: Shop, admin: Visitor
) -> None:
    assert "MRR €0" in overview(admin)
    stripe_account.subscriber(shop, ANN, "solo")

    assert "MRR €0" in " ".join(admin.visit("/admin").text.split())
    assert "MRR €15" in overview(admin)
    assert "UTC. Updated every half hour." in admin.page.text


def test_the_command_prints_the_same(shop: Shop) -> None:
    stripe_account.subscriber(shop, ANN, "solo")
    run = shop.app.test_cli_runner().invoke

    lines = run(args=["admin", "figures"]).output
    assert "MRR                          15.00 eur" in lines
    assert "Subscriptions to solo        1" in lines
    assert json.loads(run(args=["admin", "figures", "--json"]).output)["mrr"] == {"eur": 1500}


@pytest.mark.parametrize(
    ("breaks", "says"),
    [
        (
            update(StripeEvent).values(processed_at=None, attempts=3, last_error="Stripe is down"),
            "They are tried again by themselves. See why:",
        ),
        (
            update(StripeEvent).values(
                processed_at=None, attempts=4320, last_error="Stripe is down"
            ),
            "Some are not tried again any more.",
        ),
        (
            update(OutboxMessage)
            .where(OutboxMessage.kind == "welcome")
            .values(due_at=now() + timedelta(hours=1), created_at=now() - timedelta(hours=1)),
            "1 email has been waiting for over 15 minutes.",
        ),
        (
            update(OutboxMessage)
            .where(OutboxMessage.kind == "welcome")
            .values(due_at=None, last_error="550 mailbox full"),
            "1 email of the last week could not be sent.",
        ),
    ],
)
def test_a_banner_says_what_needs_an_operator(
    shop: Shop, admin: Visitor, breaks: object, says: str
) -> None:
    stripe_account.subscriber(shop, ANN, "solo")
    eventually(lambda: is_recorded(shop))
    assert says not in overview(admin)
    with shop.app.app_context():
        db.session.execute(breaks)  # type: ignore[call-overload]  # an update
        db.session.commit()

    assert says in overview(admin)


def is_recorded(shop: Shop) -> bool:
    """Return whether the event and the email of the subscription are done."""
    with shop.app.app_context():
        sent = select(OutboxMessage).where(OutboxMessage.handed_over_at.isnot(None))
        applied = select(StripeEvent).where(StripeEvent.processed_at.isnot(None))
        return bool(db.session.scalars(sent).all() and len(db.session.scalars(applied).all()) > 2)


def test_a_banner_says_that_webhooks_do_not_arrive(quiet_shop: Shop) -> None:
    shop = quiet_shop
    stripe_account.subscriber(shop, ANN, "solo")
    with shop.app.app_context():
        accounts.get_or_create("admin@example.com", role="admin")
        assert db.session.scalars(select(StripeEvent)).all() == []
        health.check_events_arrive()
    admin = shop.visitor()
    admin.sign_in("admin@example.com")

    assert "No webhook has arrived for a day, although Stripe has events." in overview(admin)


def test_deleted_accounts_stay_in_past_months(shop: Shop, admin: Visitor) -> None:
    stripe_account.subscriber(shop, ANN, "solo")
    admin.visit(f"/admin/users/{shop.user(ANN).id}/delete")
    admin.submit(admin.page.path, reason="A test")

    with shop.app.app_context():
        [month] = figures.compute().months
    assert month.movements == {"new": {"eur": 1500}, "churn": {"eur": -1500}}
    assert month.mrr == {}


def test_a_banner_says_that_the_movements_are_not_complete(shop: Shop, admin: Visitor) -> None:
    """As after an update from a version that did not record them."""
    stripe_account.subscriber(shop, ANN, "solo")
    assert "do not add up" not in overview(admin)
    with shop.app.app_context():
        db.session.execute(delete(RevenueMovement))
        db.session.commit()
    assert "do not add up" in overview(admin)

    shop.app.test_cli_runner().invoke(args=["billing", "rebuild-revenue"])

    assert "do not add up" not in overview(admin)
    assert "MRR €15" in overview(admin)


def test_figures_that_another_version_stored_are_computed_again(shop: Shop, admin: Visitor) -> None:
    with shop.app.app_context():
        reports.store("figures", {"at": "2026-01-01T00:00:00+00:00", "unknown": 1, "months": []})

    assert "MRR €0" in " ".join(admin.visit("/admin").text.split())

"""Duplicate subscriptions of a user: the higher plan stays, and the other payment is refunded."""

from __future__ import annotations

import time
from typing import Any

import pytest

from saas import database
from saas.auth import accounts
from saas.auth.models import User
from saas.billing import customers
from saas.database import db
from tests.harness import stripe_account
from tests.harness.apps import both_databases
from tests.harness.mailbox import email_of, emails_of
from tests.harness.shop import Shop
from tests.harness.stripe_account import sync
from tests.harness.stripe_proxy import ProxiedShop, changing
from tests.harness.waiting import eventually

REFUND = "A second subscription was ended and refunded"


def buys(shop: Shop, user: User, plan: str, interval: str = "monthly") -> str:
    """Create another subscription, as by a page left open in a tab, and return its id."""
    with shop.app.app_context():
        metadata = customers.metadata_for(user)
    subscription = stripe_account.client(shop).v1.subscriptions.create(
        {
            "customer": str(user.stripe_customer_id),
            "items": [{"price": shop.price[plan, interval]}],
            "metadata": metadata,
        }
    )
    return subscription.id


def refunded(shop: Shop, user: User) -> list[int]:
    """Return the refunded amounts by charge, newest first."""
    customer = str(user.stripe_customer_id)
    charges = stripe_account.client(shop).v1.charges.list({"customer": customer}).data
    return [charge.amount_refunded for charge in charges]


def kept(shop: Shop, *result: str) -> list[bool]:
    at_stripe = stripe_account.client(shop).v1
    return [at_stripe.subscriptions.retrieve(item).status == "active" for item in result]


@both_databases
def test_a_lower_plan_bought_in_a_stale_tab_is_canceled_and_refunded_in_full(
    quiet_shop: Shop,
) -> None:
    ann, business = stripe_account.subscriber(quiet_shop, email_of(quiet_shop), "team", "yearly")
    pro = buys(quiet_shop, ann, "solo")

    for _ in range(3):
        sync(quiet_shop, ann)

    assert kept(quiet_shop, business, pro) == [True, False]
    assert refunded(quiet_shop, ann) == [1500, 0]
    after = quiet_shop.user(ann.email)
    assert after.stripe_price_id == quiet_shop.price["team", "yearly"]
    (mail,) = [item for item in emails_of(quiet_shop) if item["subject"] == REFUND]
    assert "We refunded €15.00" in mail["text"]


def test_a_higher_plan_stays_and_the_unused_time_of_the_lower_one_is_refunded(
    quiet_shop: Shop,
) -> None:
    """Half of the month of Solo had passed when Team was bought."""
    ann, clock = user_on_a_clock(quiet_shop)
    pro = buys(quiet_shop, ann, "solo")
    at_stripe = stripe_account.client(quiet_shop).v1
    item = at_stripe.subscriptions.retrieve(pro)["items"].data[0]
    half = (item.current_period_end - item.current_period_start) // 2
    at_stripe.test_helpers.test_clocks.advance(
        clock, {"frozen_time": item.current_period_start + half}
    )
    eventually(lambda: at_stripe.test_helpers.test_clocks.retrieve(clock).status == "ready")
    business = buys(quiet_shop, ann, "team")

    for _ in range(3):
        sync(quiet_shop, ann)

    assert kept(quiet_shop, pro, business) == [False, True]
    assert refunded(quiet_shop, ann) == [0, 750]
    (mail,) = [entry for entry in emails_of(quiet_shop) if entry["subject"] == REFUND]
    assert "We refunded €7.50" in mail["text"]


def test_a_free_duplicate_is_canceled_and_no_email_mentions_a_refund(quiet_shop: Shop) -> None:
    ann, business = stripe_account.subscriber(quiet_shop, email_of(quiet_shop), "team")
    with quiet_shop.app.app_context():
        metadata = customers.metadata_for(ann)
    trial = stripe_account.client(quiet_shop).v1.subscriptions.create(
        {
            "customer": str(ann.stripe_customer_id),
            "items": [{"price": quiet_shop.price["solo", "monthly"]}],
            "metadata": metadata,
            "trial_period_days": 14,
        }
    )

    sync(quiet_shop, ann)

    assert kept(quiet_shop, business, trial.id) == [True, False]
    assert refunded(quiet_shop, ann) == [0]
    (mail,) = [item for item in emails_of(quiet_shop) if "was ended" in item["subject"]]
    assert mail["subject"] == "A second subscription was ended"
    assert "there was nothing to refund" in mail["text"]


@pytest.mark.parametrize(("kind", "given_back"), [("charge", 1500), ("payment_record", 0)])
def test_a_duplicate_is_refunded_to_its_payment_method(
    proxied_shop: ProxiedShop, kind: str, given_back: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A charge without a payment intent, or a payment outside of Stripe that cannot be refunded."""
    stripe_account.remove_endpoints(
        proxied_shop
    )  # a webhook's sync would read the unchanged responses
    ann, business = stripe_account.subscriber(proxied_shop, email_of(proxied_shop), "team")
    pro = buys(proxied_shop, ann, "solo")
    at_stripe = stripe_account.client(proxied_shop).v1
    charge = at_stripe.charges.list({"customer": str(ann.stripe_customer_id)}).data[0].id

    def paid_otherwise(body: Any, _: list[str]) -> Any:
        for item in body["data"]:
            item["payment"] = {"type": kind, kind: charge if kind == "charge" else "pr_1"}
        return body

    gate = proxied_shop.proxy
    with gate.answering(changing(gate, paid_otherwise, "GET /v1/invoice_payments")):
        sync(proxied_shop, ann)

    assert kept(proxied_shop, business, pro) == [True, False]
    assert refunded(proxied_shop, ann) == [given_back, 0]
    assert ("was paid outside of Stripe" in caplog.text) == (kind == "payment_record")


def user_on_a_clock(shop: Shop) -> tuple[User, str]:
    """Return a user whose customer has a test clock, and the clock's id."""
    at_stripe = stripe_account.client(shop).v1
    clock = at_stripe.test_helpers.test_clocks.create({"frozen_time": int(time.time())}).id
    with shop.app.app_context():
        ann = accounts.get_or_create(email_of(shop))
        metadata = customers.metadata_for(ann)
        customer = at_stripe.customers.create(
            {"email": ann.email, "metadata": metadata, "test_clock": clock}
        ).id
        card = at_stripe.payment_methods.attach("pm_card_visa", {"customer": customer}).id
        at_stripe.customers.update(customer, {"invoice_settings": {"default_payment_method": card}})
        with database.write_transaction():
            db.session.get_one(User, ann.id).stripe_customer_id = customer
        return accounts.get_by_email(ann.email), clock

"""One-time plans after crashes: bought once, refunded once, ended once."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from saas.auth import accounts
from saas.auth.models import User
from saas.billing import customers, subscriptions
from tests.billing.buying import pay_at_stripe
from tests.billing.crashes.steps import email, every_step, run_tasks
from tests.harness import stripe_account
from tests.harness.live_shop import LiveShop, deliver_event

COMPLETED = "checkout.session.completed"


@pytest.mark.postgres
def test_a_purchase_ends_the_subscription_it_includes_after_a_crash_at_any_step(
    live_with_lifetime: LiveShop,
) -> None:
    live = live_with_lifetime
    at_stripe = stripe_account.client(live).v1
    responses: list[requests.Response | None] = []
    for die_at in every_step(
        responses,
        "INSERT stripe_events", "COMMIT", "GET /stripe/v1/subscriptions",
        "GET /stripe/v1/checkout/sessions", "POST /stripe/v1/subscriptions/<sub>",
        "UPDATE users", "INSERT subscription_changes", "UPDATE stripe_events", "COMMIT",
        "the response",
    ):  # fmt: skip
        ann, subscription = stripe_account.subscriber(live, email())
        session = pay_at_stripe(live, ann)

        responses.append(deliver(live, COMPLETED, session, die_at))
        deliver(live, COMPLETED, session)

        assert_bought_once(live, ann)
        ends = at_stripe.subscriptions.retrieve(subscription)
        assert (ends.status, ends.cancel_at_period_end) == ("active", True)
        run_tasks(live)
        assert len(set(live.inbox.to(ann.email, "You have bought Lifetime"))) == 1


@pytest.mark.postgres
def test_a_second_payment_is_refunded_once_after_a_crash_at_any_step(
    live_with_lifetime: LiveShop,
) -> None:
    live = live_with_lifetime
    responses: list[requests.Response | None] = []
    for die_at in every_step(
        responses,
        "INSERT stripe_events", "COMMIT", "GET /stripe/v1/checkout/sessions",
        "POST /stripe/v1/refunds", "UPDATE users", "COMMIT", "the response",
    ):  # fmt: skip
        ann = new_customer(live)
        pay_at_stripe(live, ann)
        second = pay_at_stripe(live, ann)

        responses.append(deliver(live, COMPLETED, second, die_at))
        deliver(live, COMPLETED, second)

        assert_bought_once(live, ann)
        assert len(stripe_account.refunds_of(live, str(ann.stripe_customer_id))) == 1


@pytest.mark.postgres
def test_a_refund_ends_the_plan_once_after_a_crash_at_any_step(
    live_with_lifetime: LiveShop,
) -> None:
    live = live_with_lifetime
    at_stripe = stripe_account.client(live).v1
    responses: list[requests.Response | None] = []
    for die_at in every_step(
        responses,
        "INSERT stripe_events", "COMMIT", "GET /stripe/v1/checkout/sessions",
        "UPDATE users", "INSERT subscription_changes", "UPDATE stripe_events", "COMMIT",
        "the response",
    ):  # fmt: skip
        ann = new_customer(live)
        deliver(live, COMPLETED, pay_at_stripe(live, ann))
        assert_bought_once(live, ann)
        [charge] = at_stripe.charges.list({"customer": str(ann.stripe_customer_id)}).data
        at_stripe.refunds.create({"charge": charge.id})
        refunded = at_stripe.charges.retrieve(charge.id).to_dict()

        responses.append(deliver(live, "charge.refunded", refunded, die_at))
        deliver(live, "charge.refunded", refunded)

        assert plan_of(live, ann) == "hobby"
        run_tasks(live)
        assert len(set(live.inbox.to(ann.email, "was refunded"))) == 1


def new_customer(shop: LiveShop) -> User:
    with shop.app.app_context():
        user = accounts.get_or_create(email())
        customers.ensure_customer(user)
        return accounts.get_by_email(user.email)


def deliver(
    shop: LiveShop, kind: str, subject: dict[str, Any], die_at: int = 0
) -> requests.Response | None:
    event = f"evt_{kind}_{subject['id']}"
    return deliver_event(shop, subject, id=event, kind=kind, die_at=die_at)


def plan_of(shop: LiveShop, user: User) -> str:
    with shop.app.app_context():
        stored = accounts.get_by_email(user.email)
        assert subscriptions.differences(stored) == {}
        return stored.plan.id


def assert_bought_once(shop: LiveShop, user: User) -> None:
    assert plan_of(shop, user) == "solo"
    with shop.app.app_context():
        stored = accounts.get_by_email(user.email)
        assert len([bought for bought, _ in stored.purchases if bought.is_valid]) == 1

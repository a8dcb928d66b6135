"""Each status and each change of a subscription, and the plan that it gives."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from saas.auth.models import User
from saas.database import now
from tests.billing.cases import case
from tests.billing.states.actions import (
    advance,
    at_stripe,
    deliver_update,
    new_email,
    plan,
    stored,
    stripe_listing,
    subscription_body,
    subscription_of,
    use_failing_card,
)
from tests.harness import stripe_account
from tests.harness.live_shop import LiveShop


@case(17)
@pytest.mark.parametrize(
    ("changes", "plan_id"),
    [
        ({"status": "incomplete"}, "hobby"),
        ({"status": "incomplete_expired"}, "hobby"),
        ({"status": "trialing"}, "solo"),
        ({"status": "past_due"}, "solo"),  # within the grace period
        ({"status": "unpaid"}, "hobby"),
        ({"status": "paused"}, "hobby"),
        (
            {"status": "active", "pause_collection": {"behavior": "void", "resumes_at": None}},
            "solo",
        ),
        ({"status": "brand_new"}, "hobby"),
    ],
    ids=lambda value: value["status"] if isinstance(value, dict) else value,
)
def test_each_status_gives_the_documented_plan(
    shop: LiveShop, ann: User, changes: dict[str, Any], plan_id: str
) -> None:
    with stripe_listing(shop, ann, subscription_body(shop, ann, **changes)):
        assert deliver_update(shop, ann) == "applied"

        assert plan(shop, ann) == plan_id
        assert stored(shop, ann).stripe_subscription_status == changes["status"]


@case(18)
def test_a_cancellation_can_be_scheduled_revoked_and_immediate(shop: LiveShop, ann: User) -> None:
    subscription = subscription_of(shop, ann)
    change = at_stripe(shop).subscriptions.update

    change(subscription.id, {"cancel_at_period_end": True})
    deliver_update(shop, ann)
    user = stored(shop, ann)
    assert user.stripe_cancel_at == user.stripe_current_period_end
    assert plan(shop, ann) == "solo"

    change(subscription.id, {"cancel_at_period_end": False})
    deliver_update(shop, ann)
    assert stored(shop, ann).stripe_cancel_at is None

    day = int((now() + timedelta(days=9)).timestamp())
    change(subscription.id, {"cancel_at": day})
    deliver_update(shop, ann)
    assert stored(shop, ann).stripe_cancel_at.timestamp() == day  # type: ignore[union-attr]
    assert plan(shop, ann) == "solo"

    at_stripe(shop).subscriptions.cancel(subscription.id)
    deliver_update(shop, ann)
    assert plan(shop, ann) == "hobby"


@case(19, "monthly to yearly with proration")
def test_a_change_to_yearly_with_prorations_shows_the_price_of_stripe(
    shop: LiveShop, ann: User
) -> None:
    subscription = subscription_of(shop, ann)
    yearly = shop.price["solo", "yearly"]
    item = subscription["items"].data[0].id
    at_stripe(shop).subscriptions.update(
        subscription.id,
        {"items": [{"id": item, "price": yearly}], "proration_behavior": "always_invoice"},
    )

    deliver_update(shop, ann)

    newest = at_stripe(shop).invoices.list({"customer": ann.stripe_customer_id}).data[0]
    assert len(newest.lines.data) > 1
    assert stored(shop, ann).stripe_price_id == yearly
    assert plan(shop, ann) == "solo"


@case(19, "pending update")
def test_a_change_with_a_pending_payment_has_no_effect_yet(shop: LiveShop, ann: User) -> None:
    subscription = subscription_of(shop, ann)
    use_failing_card(shop, ann)
    item = subscription["items"].data[0].id
    waiting = at_stripe(shop).subscriptions.update(
        subscription.id,
        {
            "items": [{"id": item, "price": shop.price["team", "yearly"]}],
            "payment_behavior": "pending_if_incomplete",
            "proration_behavior": "always_invoice",
        },
    )
    assert waiting.pending_update

    deliver_update(shop, ann)

    assert plan(shop, ann) == "solo"
    assert stored(shop, ann).stripe_price_id == shop.price["solo", "monthly"]


@case(19, "scheduled downgrade")
def test_a_scheduled_downgrade_takes_effect_on_its_day(shop: LiveShop) -> None:
    email = new_email()
    bob, subscription = stripe_account.subscriber(shop, email, "team", synced=False)
    plan_a_downgrade(shop, subscription)
    deliver_update(shop, bob)
    assert plan(shop, bob) == "team"

    advance(shop, bob, "renewal")
    deliver_update(shop, bob)

    assert plan(shop, bob) == "solo"


def plan_a_downgrade(shop: LiveShop, subscription: str) -> None:
    schedule = at_stripe(shop).subscription_schedules.create({"from_subscription": subscription})
    (phase,) = schedule.phases
    at_stripe(shop).subscription_schedules.update(
        schedule.id,
        {
            "phases": [
                {
                    "items": [{"price": shop.price["team", "monthly"], "quantity": 1}],
                    "start_date": phase.start_date, "end_date": phase.end_date,
                },
                {
                    "items": [{"price": shop.price["solo", "monthly"], "quantity": 1}],
                    "duration": {"interval": "month", "interval_count": 1},
                    "proration_behavior": "none",
                },
            ]
        },
    )  # fmt: skip


@case(21, "recovery restores")
def test_paying_a_failed_invoice_restores_the_subscription(shop: LiveShop, ann: User) -> None:
    use_failing_card(shop, ann)
    advance(shop, ann, "renewal")
    deliver_update(shop, ann, "invoice.payment_failed")
    assert stored(shop, ann).stripe_subscription_status == "past_due"
    assert stored(shop, ann).stripe_past_due_since is not None

    use_failing_card(shop, ann, "pm_card_visa")  # a card that works again
    open_ones = {"customer": ann.stripe_customer_id, "status": "open"}
    for invoice in at_stripe(shop).invoices.list(open_ones).data:
        at_stripe(shop).invoices.pay(invoice.id)
    deliver_update(shop, ann, "invoice.paid")

    assert stored(shop, ann).stripe_subscription_status == "active"
    assert stored(shop, ann).stripe_past_due_since is None
    assert plan(shop, ann) == "solo"

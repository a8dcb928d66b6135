"""What must hold of a life: after every step, and in the end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import stripe
from sqlalchemy import select

from saas.auth.models import User
from saas.billing import gateway, subscriptions
from saas.billing.models import ClosedAccount, StripeEvent, SubscriptionChange
from saas.database import db
from tests.billing.simulation import expected_emails
from tests.billing.simulation.customer import Customer
from tests.harness.sample_product.catalogue import catalogue


def holds_after_every_step(life: Customer) -> None:
    """The rules of access, whatever was missed so far."""
    life.look()
    user = life.person()
    if user and user.stripe_subscription_id:
        message = (user.stripe_subscription_status, user.stripe_price_id)
        assert message in life.seen[user.stripe_subscription_id], "Stripe never said this"
    if user and user.is_paid:
        assert user.stripe_subscription_status in ("active", "trialing", "past_due")
        assert user.stripe_customer_id
    for change in changes_of(life):
        assert change.before != change.after


def holds_in_the_end(life: Customer) -> None:
    """Once Stripe is back and one sync has run; and still, after every event that was kept back."""
    life.stripe_comes_back()
    life.sweep()
    subscriptions.sync(life.id, cause="the end")
    life.look()
    _is_as_at_stripe(life)
    while life.world.heap:
        life.deliver(0, 1)
    _is_as_at_stripe(life)
    _the_higher_plan_stayed(life)
    unprocessed = select(StripeEvent.id).where(StripeEvent.processed_at.is_(None))
    assert db.session.scalars(unprocessed).all() == []
    expected_emails.follow_the_history(life)


def changes_of(life: Customer) -> Sequence[SubscriptionChange]:
    """The recorded history."""
    mine = select(SubscriptionChange).where(SubscriptionChange.user_id == life.id)
    return db.session.scalars(mine).all()


def _is_as_at_stripe(life: Customer) -> None:
    user, ours = life.person(), life.live()
    for foreign in life.foreign:
        _is_untouched(life, foreign)
    if user is None:
        assert ours == [], "paid for by an account that is gone"
        buried = select(ClosedAccount).where(ClosedAccount.user_id == life.id)
        assert db.session.scalars(buried).one()
        return
    assert not user.is_closing
    assert subscriptions.differences(user) == {}
    entitled = [item for item in ours if item.status in ("active", "trialing")]
    assert len(entitled) <= 1, "somebody pays twice"
    for item in entitled:
        _copies(user, item)
        _costs(life, user, item.id)
    if not any(item.status in ("active", "trialing", "past_due") for item in ours):
        assert not user.is_paid


def _the_higher_plan_stayed(life: Customer) -> None:
    """No duplicate that was paid for was ended for the sake of lower plans alone."""
    ours = [item for item in life.at_stripe() if item.id not in life.foreign]
    for ended in ours:
        why = ended.cancellation_details.comment if ended.cancellation_details else None
        statuses = {status for status, _ in life.seen[ended.id]} - {"canceled"}
        if why != gateway.DUPLICATE or not statuses <= {"active", "trialing"}:
            continue
        others = [_highest(life, other.id) for other in ours if other.id != ended.id]
        assert max(others, default=0) >= _rank(life, ended["items"].data[0].price.id)


def _highest(life: Customer, subscription_id: str) -> int:
    return max((_rank(life, price) for _, price in life.seen[subscription_id]), default=0)


def _rank(life: Customer, price_id: str) -> int:
    sold = catalogue.sold_as(price_id, life.world.app.config["STRIPE_PRICES"])
    return sold[0].rank if sold else 0


def _copies(user: User, subscription: stripe.Subscription) -> None:
    assert user.is_paid
    assert user.stripe_subscription_id == subscription.id
    assert user.stripe_subscription_status == subscription.status
    assert user.stripe_price_id == subscription["items"].data[0].price.id
    assert _seconds(user.stripe_current_period_end) == _period_end(subscription)
    ends = _period_end(subscription) if subscription.cancel_at_period_end else None
    assert _seconds(user.stripe_cancel_at) == (subscription.cancel_at or ends)


def _costs(life: Customer, user: User, subscription_id: str) -> None:
    """What is shown is what is charged, worked out a second time."""
    at_stripe = life.world.at_stripe
    subscription = at_stripe.subscriptions.retrieve(
        subscription_id, {"expand": ["discounts.source.coupon"]}
    )
    full = sum(
        (item.price.unit_amount or 0) * (item.quantity or 0) for item in subscription["items"].data
    )
    amount = full
    for entry in subscription.discounts or []:
        coupon: Any = entry.source.coupon  # type: ignore[union-attr]
        lasts = entry.end is None or entry.end > _period_end(subscription)  # type: ignore[union-attr]
        if coupon.duration != "once" and lasts:
            amount = round(amount * (100 - coupon.percent_off) / 100)
    assert user.recurring
    assert (user.recurring.full_amount, user.recurring.amount) == (full, amount)
    if user.next_invoice:
        upcoming = at_stripe.invoices.create_preview({"subscription": subscription_id})
        assert user.next_invoice.amount_due == upcoming.amount_due


def _period_end(subscription: stripe.Subscription) -> int:
    return int(subscription["items"].data[0].current_period_end)


def _seconds(at: datetime | None) -> int | None:
    return int(at.timestamp()) if at else None


def _is_untouched(life: Customer, foreign: str) -> None:
    """What is not ours ends with its customer or for want of a payment, and never by our hand."""
    subscription = life.world.at_stripe.subscriptions.retrieve(foreign)
    if subscription.status == "canceled":
        customer = life.world.at_stripe.customers.retrieve(str(subscription.customer))
        why = (
            subscription.cancellation_details.reason if subscription.cancellation_details else None
        )
        assert getattr(customer, "deleted", False) or why == "payment_failed"

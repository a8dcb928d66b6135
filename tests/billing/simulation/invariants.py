"""Invariants of a subscriber, checked after every step and at the end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import stripe
from sqlalchemy import func, select

from saas.auth.models import User
from saas.billing import gateway, subscriptions
from saas.billing.models import (
    ClosedAccount,
    RevenueMovement,
    StripeEvent,
    SubscriptionChange,
)
from saas.database import db
from tests.billing.simulation import expected_emails
from tests.billing.simulation.customer import Subscriber
from tests.harness.sample_product.catalogue import SOLO


def check_after_step(subscriber: Subscriber) -> None:
    """Check the rules of access, which hold even before missed events are recovered."""
    subscriber.observe()
    user = subscriber.user()
    if user and user.stripe_subscription_id:
        message = (user.stripe_subscription_status, user.stripe_price_id)
        assert message in subscriber.seen[user.stripe_subscription_id], "Stripe never said this"
    if user and user.has_paid_subscription:
        assert user.stripe_subscription_status in ("active", "trialing", "past_due")
        assert user.stripe_customer_id
    for change in changes_of(subscriber):
        assert change.before != change.after


def check_at_end(subscriber: Subscriber) -> None:
    """Check after Stripe has recovered and one sync has run, and again after all held events."""
    subscriber.stripe_recovers()
    subscriber.run_tasks()
    subscriptions.sync(subscriber.id, cause="the end")
    subscriber.observe()
    _assert_in_sync(subscriber)
    while subscriber.world.undelivered:
        subscriber.deliver(0, 1)
    _assert_in_sync(subscriber)
    _assert_higher_plan_kept(subscriber)
    unprocessed = select(StripeEvent.id).where(StripeEvent.processed_at.is_(None))
    assert db.session.scalars(unprocessed).all() == []
    expected_emails.assert_emails_match_history(subscriber)


def changes_of(subscriber: Subscriber) -> Sequence[SubscriptionChange]:
    """Return the recorded history."""
    mine = select(SubscriptionChange).where(SubscriptionChange.user_id == subscriber.id)
    return db.session.scalars(mine).all()


def _assert_in_sync(subscriber: Subscriber) -> None:
    user, ours = subscriber.user(), subscriber.live()
    for foreign in subscriber.foreign:
        _assert_untouched(subscriber, foreign)
    if user is None:
        assert ours == [], "a deleted account is still charged"
        buried = select(ClosedAccount).where(ClosedAccount.user_id == subscriber.id)
        assert db.session.scalars(buried).one()
        return
    assert not user.is_closing
    assert subscriptions.differences(user) == {}
    entitled = [item for item in ours if item.status in ("active", "trialing")]
    assert len(entitled) <= 1, "the user pays twice"
    for item in entitled:
        _assert_columns(user, item)
        _assert_amounts(subscriber, user, item.id)
    if not any(item.status in ("active", "trialing", "past_due") for item in ours):
        assert not user.has_paid_subscription
    _assert_purchases(subscriber, user, ours)
    _assert_revenue(subscriber, user)


def _assert_purchases(
    subscriber: Subscriber, user: User, subscribed: list[stripe.Subscription]
) -> None:
    """Access is the highest of three sources, and nobody pays for the same plan twice."""
    charges = subscriber.purchase_charges()
    valid = [charge for charge in charges if _gives_plan(subscriber, charge)]
    stored = {item["payment"]: item["refunded"] for item in user.stripe_purchases or ()}
    assert stored == {charge.payment_intent: charge.amount_refunded for charge in charges}
    assert len(valid) <= 1, "the one-time plan was paid for twice"
    sources = [user.subscription_plan.rank]
    sources += [SOLO.rank] if valid else []
    sources += [user.granted.rank] if user.granted else []
    assert user.plan.rank == max(sources)
    for item in subscribed:
        is_covered = _rank(subscriber, item["items"].data[0].price.id) <= SOLO.rank
        if valid and is_covered and item.status in ("active", "trialing"):
            assert item.cancel_at_period_end or item.cancel_at, "charged for what was bought"


def _gives_plan(subscriber: Subscriber, charge: stripe.Charge) -> bool:
    if charge.amount_refunded >= charge.amount:
        return False
    disputes = subscriber.world.at_stripe.disputes.list({"charge": charge.id}).data
    return not any(dispute.status == "lost" for dispute in disputes)


def _assert_higher_plan_kept(subscriber: Subscriber) -> None:
    """No paid duplicate was canceled in favor of a lower plan."""
    ours = [item for item in subscriber.at_stripe() if item.id not in subscriber.foreign]
    for ended in ours:
        why = ended.cancellation_details.comment if ended.cancellation_details else None
        statuses = {status for status, _ in subscriber.seen[ended.id]} - {"canceled"}
        if why != gateway.DUPLICATE or not statuses <= {"active", "trialing"}:
            continue
        others = [_highest(subscriber, other.id) for other in ours if other.id != ended.id]
        assert max(others, default=0) >= _rank(subscriber, ended["items"].data[0].price.id)


def _highest(subscriber: Subscriber, subscription_id: str) -> int:
    return max(
        (_rank(subscriber, price) for _, price in subscriber.seen[subscription_id]), default=0
    )


def _rank(subscriber: Subscriber, price_id: str) -> int:
    plan = subscriber.world.plan_of(price_id)
    return plan.rank if plan else 0


def _assert_columns(user: User, subscription: stripe.Subscription) -> None:
    assert user.has_paid_subscription
    assert user.stripe_subscription_id == subscription.id
    assert user.stripe_subscription_status == subscription.status
    assert user.stripe_price_id == subscription["items"].data[0].price.id
    assert _seconds(user.stripe_current_period_end) == _period_end(subscription)
    ends = _period_end(subscription) if subscription.cancel_at_period_end else None
    assert _seconds(user.stripe_cancel_at) == (subscription.cancel_at or ends)


def _assert_revenue(subscriber: Subscriber, user: User) -> None:
    """The movements add up to what Stripe charges per month; to nothing for deleted accounts."""
    summed = select(func.sum(RevenueMovement.amount))
    recorded = db.session.scalar(summed.where(RevenueMovement.user_id == subscriber.id)) or 0
    charged = 0
    if user.stripe_subscription_status in ("active", "past_due"):
        amount, _ = _charged(subscriber, str(user.stripe_subscription_id))
        months = 12 if user.interval == "yearly" else 1
        charged = math.floor(amount / months + 0.5)
    assert recorded == charged
    assert not db.session.scalar(summed.where(RevenueMovement.user_id.is_(None)))


def _assert_amounts(subscriber: Subscriber, user: User, subscription_id: str) -> None:
    """The displayed amounts match the charged ones, which are computed independently here."""
    amount, full = _charged(subscriber, subscription_id)
    assert user.recurring
    assert (user.recurring.full_amount, user.recurring.amount) == (full, amount)
    if user.next_invoice:
        at_stripe = subscriber.world.at_stripe
        upcoming = at_stripe.invoices.create_preview({"subscription": subscription_id})
        assert user.next_invoice.amount_due == upcoming.amount_due


def _charged(subscriber: Subscriber, subscription_id: str) -> tuple[int, int]:
    """Return the amount of each period, with and without discounts."""
    at_stripe = subscriber.world.at_stripe
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
    return amount, full


def _period_end(subscription: stripe.Subscription) -> int:
    return int(subscription["items"].data[0].current_period_end)


def _seconds(at: datetime | None) -> int | None:
    return int(at.timestamp()) if at else None


def _assert_untouched(subscriber: Subscriber, foreign: str) -> None:
    """Other subscriptions end with their customer or a failed payment; we never cancel them."""
    subscription = subscriber.world.at_stripe.subscriptions.retrieve(foreign)
    if subscription.status == "canceled":
        customer = subscriber.world.at_stripe.customers.retrieve(str(subscription.customer))
        why = (
            subscription.cancellation_details.reason if subscription.cancellation_details else None
        )
        assert getattr(customer, "deleted", False) or why == "payment_failed"

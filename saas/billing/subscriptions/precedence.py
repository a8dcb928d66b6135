"""Choose which of a customer's subscriptions counts, and derive the columns from it."""

from __future__ import annotations

import logging
from typing import Any

from saas import products
from saas.billing.gateway import Overdue, Subscription, recurring_amount
from saas.subscriber import LIVE_STATUSES, SYNCED_COLUMNS

log = logging.getLogger("saas.billing")

_RECURRING = ("incomplete", *LIVE_STATUSES)

NO_SUBSCRIPTION: dict[str, Any] = dict.fromkeys(
    name for name in SYNCED_COLUMNS if name != "stripe_purchases"
)


def columns_from(
    subscriptions: list[Subscription], overdue: Overdue | None = None
) -> dict[str, Any]:
    """Return the columns that follow from a customer's subscriptions.

    `overdue` belongs to the chosen subscription, and is used while that is past due.
    """
    chosen = choose(subscriptions)
    if chosen is None:
        return dict(NO_SUBSCRIPTION)
    price = _plan_price(chosen)
    recurring = recurring_amount(chosen, price) if chosen.status in _RECURRING else None
    if chosen.status != "past_due":
        overdue = None
    return {
        "stripe_subscription_id": chosen.id,
        "stripe_subscription_status": chosen.status,
        "stripe_price_id": price,
        "stripe_current_period_end": chosen.period_end(price),
        "stripe_cancel_at": chosen.cancel_at,
        "stripe_past_due_since": overdue.since if overdue else None,
        "stripe_action_required": overdue.action_required if overdue else None,
        "stripe_recurring": recurring.to_json() if recurring else None,
    }


def choose(subscriptions: list[Subscription]) -> Subscription | None:
    """Return the subscription that counts."""
    return max(subscriptions, key=rank, default=None)


def rank(subscription: Subscription) -> tuple[Any, ...]:
    """Return the sort key by which one of several subscriptions counts: the highest does.

    First those that are paid and give a plan, then those in their grace period, then live ones,
    then those with a price from the catalogue; among live ones the higher plan, then the newest.
    """
    is_live = subscription.status in LIVE_STATUSES
    sold = [plan for price in subscription.price_ids if (plan := products.sold_as(price))]
    is_sold = bool(sold)
    return (
        is_sold and subscription.status in ("active", "trialing"),
        is_sold and subscription.status == "past_due",
        is_live,
        is_sold,
        max((plan.rank for plan, _ in sold), default=0) if is_live else 0,
        subscription.created,
        subscription.id,
    )


def _plan_price(subscription: Subscription) -> str | None:
    """Return the price of the highest plan; without a known price, the first one."""
    known = [
        (sold[0].rank, price)
        for price in subscription.price_ids
        if (sold := products.sold_as(price))
    ]
    if known:
        return max(known)[1]
    if subscription.status in LIVE_STATUSES:
        log.warning("subscription %s has no price from the catalogue", subscription.id)
    return subscription.price_ids[0] if subscription.price_ids else None

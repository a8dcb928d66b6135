"""Which of a customer's subscriptions counts, and the columns that follow from it."""

from __future__ import annotations

import logging
from typing import Any

from saas import products
from saas.billing import recurring
from saas.billing.gateway import Overdue, Subscription
from saas.subscriber import LIVE_STATUSES, SYNCED_COLUMNS

log = logging.getLogger("saas.billing")

_RECURRING = ("incomplete", *LIVE_STATUSES)  # what has ended recurs no more

NO_SUBSCRIPTION: dict[str, Any] = dict.fromkeys(SYNCED_COLUMNS)


def columns_from(found: list[Subscription], overdue: Overdue | None = None) -> dict[str, Any]:
    """The columns that a customer's subscriptions give, by the written rank.

    `overdue` is what the chosen one owes; it counts where that is past due.
    """
    chosen = choose(found)
    if chosen is None:
        return dict(NO_SUBSCRIPTION)
    price = _plan_price(chosen)
    costs = recurring.of(chosen, price) if chosen.status in _RECURRING else None
    owed = (overdue or Overdue()) if chosen.status == "past_due" else None
    return {
        "stripe_subscription_id": chosen.id,
        "stripe_subscription_status": chosen.status,
        "stripe_price_id": price,
        "stripe_current_period_end": chosen.period_end(price),
        "stripe_cancel_at": chosen.cancel_at,
        "stripe_past_due_since": owed.since if owed else None,
        "stripe_action_required": owed.action_required if owed else None,
        "stripe_recurring": costs.to_json() if costs else None,
    }


def choose(found: list[Subscription]) -> Subscription | None:
    """The one of several subscriptions that counts."""
    return max(found, key=rank, default=None)


def rank(subscription: Subscription) -> tuple[Any, ...]:
    """Which of several subscriptions of ours counts: the highest.

    One that is paid and gives a plan, one that gives it in its grace, one that lives, one with a
    price of the catalogue, of those that live the higher plan, then the newest.
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
    """The price that stands for a plan; of several the highest plan, an unknown one otherwise."""
    known = [
        (sold[0].rank, price)
        for price in subscription.price_ids
        if (sold := products.sold_as(price))
    ]
    if known:
        return max(known)[1]
    if subscription.status in LIVE_STATUSES:
        log.warning("subscription %s has no price of the catalogue", subscription.id)
    return subscription.price_ids[0] if subscription.price_ids else None

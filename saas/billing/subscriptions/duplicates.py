"""End and refund what was paid for twice: subscriptions, purchases, or one of each."""

from __future__ import annotations

import logging

from saas import products
from saas.billing import customers, gateway, purchases
from saas.billing.gateway import Subscription
from saas.billing.subscriptions import precedence
from saas.billing.subscriptions.stripe_state import StripeState
from saas.charges import Purchase
from saas.plans import Plan

log = logging.getLogger("saas.billing")

_PAID = ("active", "trialing")  # these run until the end of what was paid for
_UNPAID = ("past_due", "unpaid", "paused")


def cancel_subscriptions(state: StripeState) -> bool:
    """Cancel and refund all live subscriptions but one; return whether there were duplicates.

    They exist when two checkout pages were paid: at the same moment, or in a tab left open. Raises
    `gateway.StripeError`.
    """
    live = [
        subscription
        for subscription in state.subscriptions
        if subscription.status in (*_PAID, "past_due")
    ]
    kept = max(live, key=precedence.rank, default=None)
    if kept is None:
        return False
    duplicates = [
        subscription
        for subscription in live
        if subscription is not kept and customers.was_sold_by_us(subscription)
    ]
    for duplicate in duplicates:
        # Since the newer one was bought, the same time has been paid for twice.
        since = max(duplicate.created, kept.created)
        gateway.end_and_refund(duplicate.id, gateway.DUPLICATE, since)
    return bool(duplicates)


def settle_purchases(state: StripeState) -> bool:
    """Settle what was bought for good; return whether that changed anything in Stripe.

    A second purchase of a plan is refunded. A subscription whose plan was bought ends with its
    period, or at once if that is not paid. Raises `gateway.StripeError`.
    """
    has_refunded = _refund_purchases(state)
    covered = [
        subscription for subscription in state.subscriptions if _is_covered(state, subscription)
    ]
    return any([has_refunded, *map(_end, covered)])


def _refund_purchases(state: StripeState) -> bool:
    """Refund purchases of a plan that an earlier purchase has bought already."""
    owned: set[str] = set()
    has_refunded = False
    for purchase, plan in _bought(state):
        if plan.id in owned:
            has_refunded |= gateway.refund_purchase(purchase, gateway.DUPLICATE)
        owned.add(plan.id)
    return has_refunded


def _is_covered(state: StripeState, subscription: Subscription) -> bool:
    """Return whether we sold a subscription whose plans were all bought for good as well."""
    if not customers.was_sold_by_us(subscription):
        return False
    owned = [plan for _, plan in _bought(state)]
    sold = [products.sold_as(price_id) for price_id in subscription.price_ids]
    return all(item and purchases.covering_plan(owned, item[0]) for item in sold)


def _end(subscription: Subscription) -> bool:
    """End a subscription that is not needed; return whether that changed anything.

    One that starts with a pending payment is left until that is settled.
    """
    is_paid = subscription.status in _PAID and subscription.cancel_at is None
    if not is_paid and subscription.status not in _UNPAID:
        return False
    log.info("subscription %s ends: its plan was bought for good", subscription.id)
    end = gateway.cancel_at_period_end if is_paid else gateway.cancel
    try:
        end(subscription.id)
    except gateway.InvalidRequest as error:  # a schedule manages it, for example
        log.error("subscription %s could not be ended: %s", subscription.id, error)
        return False
    return True


def _bought(state: StripeState) -> list[tuple[Purchase, Plan]]:
    """Return the valid purchases with their plans, oldest first."""
    return [
        (purchase, sold[0])
        for purchase in state.purchases
        if purchase.is_valid and (sold := products.sold_as(purchase.price))
    ]

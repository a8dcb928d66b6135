"""One-time plans: what a purchase does to a subscription, and to a second purchase."""

from __future__ import annotations

import logging

from saas import products
from saas.billing import customers, gateway
from saas.billing.customers import Subscriber
from saas.billing.gateway import Subscription
from saas.billing.stripe_state import StripeState
from saas.charges import Purchase
from saas.plans import Plan

log = logging.getLogger("saas.billing")

_CHARGED = ("active", "trialing", "past_due")


def settle(state: StripeState) -> bool:
    """Prevent double payments; return whether anything was changed in Stripe.

    A second purchase of a plan is refunded. A subscription whose plan was bought for good ends with
    its period. Raises `gateway.StripeError`.
    """
    return _refund_duplicates(state) | _end_covered_subscription(state)


def covering(user: Subscriber, plan: Plan) -> Plan | None:
    """Return the one-time plan of a user that includes `plan`, or None."""
    return _covering([(purchase, bought) for purchase, bought in user.purchases], plan)


def receipt_url(user: Subscriber, session_id: str) -> str | None:
    """Return the URL of a receipt of a user's own purchase, or None if there is none."""
    for purchase, _ in user.purchases:
        if purchase.session == session_id and purchase.payment:
            return gateway.receipt_url(purchase.payment)
    return None


def _refund_duplicates(state: StripeState) -> bool:
    """Refund purchases of a plan that an earlier purchase has bought already."""
    owned: set[str] = set()
    has_refunded = False
    for purchase, plan in _bought(state):
        if plan.id in owned:
            has_refunded |= gateway.refund_purchase(purchase, gateway.DUPLICATE)
        owned.add(plan.id)
    return has_refunded


def _end_covered_subscription(state: StripeState) -> bool:
    chosen = state.chosen
    if chosen is None or chosen.status not in _CHARGED or chosen.cancel_at is not None:
        return False
    if not customers.was_sold_by_us(chosen):
        return False
    if any(_covering(_bought(state), plan) is None for plan in _plans_of(chosen)):
        return False
    log.info("subscription %s ends: its plan was bought for good", chosen.id)
    try:
        gateway.cancel_at_period_end(chosen.id)
    except gateway.InvalidRequest as error:  # a schedule manages it, for example
        log.error("subscription %s could not be set to end: %s", chosen.id, error)
        return False
    return True


def _plans_of(subscription: Subscription) -> list[Plan]:
    return [sold[0] for id in subscription.price_ids if (sold := products.sold_as(id))]


def _bought(state: StripeState) -> list[tuple[Purchase, Plan]]:
    sold = [(each, products.sold_as(each.price)) for each in state.purchases if each.is_valid]
    return [(purchase, plan[0]) for purchase, plan in sold if plan]


def _covering(bought: list[tuple[Purchase, Plan]], plan: Plan) -> Plan | None:
    access_plan = products.catalogue().access_plan
    owned = [mine for purchase, mine in bought if purchase.is_valid]
    return next((mine for mine in owned if access_plan(mine).includes(access_plan(plan))), None)

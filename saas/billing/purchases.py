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

_PAID = ("active", "trialing")  # these run until the end of what was paid for
_UNPAID = ("past_due", "unpaid", "paused")


def settle(state: StripeState) -> bool:
    """Prevent double payments; return whether anything was changed in Stripe.

    A second purchase of a plan is refunded. A subscription whose plan was bought for good ends with
    its period, or at once if that is not paid. Raises `gateway.StripeError`.
    """
    covered = [each for each in state.subscriptions if _is_covered(state, each)]
    return any([_refund_duplicates(state), *map(_end, covered)])


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


def _is_covered(state: StripeState, subscription: Subscription) -> bool:
    """Return whether we sold a subscription whose plans were all bought for good as well."""
    if not customers.was_sold_by_us(subscription):
        return False
    bought, sold = _bought(state), map(products.sold_as, subscription.price_ids)
    return all(each is not None and _covering(bought, each[0]) for each in sold)


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
    sold = [(each, products.sold_as(each.price)) for each in state.purchases if each.is_valid]
    return [(purchase, plan[0]) for purchase, plan in sold if plan]


def _covering(bought: list[tuple[Purchase, Plan]], plan: Plan) -> Plan | None:
    access_plan = products.catalogue().access_plan
    owned = [mine for purchase, mine in bought if purchase.is_valid]
    return next((mine for mine in owned if access_plan(mine).includes(access_plan(plan))), None)

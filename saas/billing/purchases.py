"""One-time purchases: which plan they include, and their receipts."""

from __future__ import annotations

from collections.abc import Iterable

from saas import products
from saas.billing import gateway
from saas.billing.customers import Subscriber
from saas.plans import Plan


def covering(user: Subscriber, plan: Plan) -> Plan | None:
    """Return the one-time plan of a user that includes `plan`, or None."""
    return covering_plan((owned for bought, owned in user.purchases if bought.is_valid), plan)


def covering_plan(owned: Iterable[Plan], plan: Plan) -> Plan | None:
    """Return the first of some one-time plans whose access includes `plan`, or None."""
    access_plan = products.catalogue().access_plan
    return next((mine for mine in owned if access_plan(mine).includes(access_plan(plan))), None)


def receipt_url(user: Subscriber, session_id: str) -> str | None:
    """Return the URL of a receipt of a user's own purchase, or None if there is none."""
    for purchase, _ in user.purchases:
        if purchase.session == session_id and purchase.payment:
            return gateway.receipt_url(purchase.payment)
    return None

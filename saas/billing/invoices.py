"""A person's invoices. They stand at Stripe, and are asked for each time somebody looks."""

from __future__ import annotations

from saas.billing import gateway
from saas.billing.customers import Subscriber

# Stripe's status → ours, and the look of its badge.
STATUSES = {
    "open": ("To pay", "warning"),
    "paid": ("Paid", "success"),
    "void": ("Void", "secondary"),
    "uncollectible": ("Written off", "secondary"),
}


def page(user: Subscriber, *, before: str = "", after: str = "") -> gateway.InvoicePage:
    """Invoices of the person's own customer, newest first: the newest, or those beside another.

    Empty where there is no customer, or none any more; the first page for an invoice that is not
    there. Raises `gateway.Unavailable` and `gateway.InvalidRequest`.
    """
    if not user.stripe_customer_id:
        return gateway.InvoicePage([])
    try:
        return gateway.list_invoices(
            user.stripe_customer_id, before=before or None, after=after or None
        )
    except (gateway.NotFound, gateway.InvalidRequest) as error:
        if before or after:
            return page(user)
        if isinstance(error, gateway.InvalidRequest):
            raise
        return gateway.InvoicePage([])

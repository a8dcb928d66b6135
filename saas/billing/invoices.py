"""Invoices of a user, fetched from Stripe on every request."""

from __future__ import annotations

from saas.billing import gateway
from saas.billing.customers import Subscriber

# Stripe's status → label and variant of the badge.
STATUSES = {
    "open": ("To pay", "warning"),
    "paid": ("Paid", "success"),
    "void": ("Void", "secondary"),
    "uncollectible": ("Written off", "secondary"),
}


def page(user: Subscriber, *, before: str = "", after: str = "") -> gateway.InvoicePage:
    """Return a page of the user's invoices, newest first.

    Empty without a customer or for a deleted one; the first page for an unknown invoice. Raises
    `gateway.Unavailable` and `gateway.InvalidRequest`.
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

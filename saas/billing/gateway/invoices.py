"""Invoices, as people see them. Asked for when somebody looks, and never kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from saas.billing.gateway.calling import call, given, when

if TYPE_CHECKING:
    import stripe

_AT_ONCE = 25


@dataclass(frozen=True)
class Invoice:
    """An invoice; amounts are in the smallest unit of its currency (cents of a dollar)."""

    id: str
    number: str | None
    created: datetime
    status: str
    total: int
    amount_due: int
    currency: str
    page: str | None
    pdf: str | None


@dataclass(frozen=True)
class InvoicePage:
    """Some invoices, newest first, and whether there are older and newer ones."""

    invoices: list[Invoice]
    has_older: bool = False
    has_newer: bool = False


def invoice(invoice_id: str) -> Invoice:
    """An invoice as it is now. Raises `Gone`, `Unavailable`."""
    return call(lambda client: _invoice(client.v1.invoices.retrieve(given(invoice_id))))


def invoices_of(
    customer_id: str, *, before: str | None = None, after: str | None = None
) -> InvoicePage:
    """A page of a customer's invoices, drafts left out: those older than the invoice `before`, or
    newer than `after`, or the newest. Raises `Gone` for a customer or an invoice that is not there.
    """
    params: Any = {"customer": given(customer_id), "limit": _AT_ONCE}
    if before:
        params["starting_after"] = before
    elif after:
        params["ending_before"] = after

    def fetch(client: stripe.StripeClient) -> InvoicePage:
        page = client.v1.invoices.list(params)
        shown = [_invoice(each) for each in page.data if each.status != "draft"]
        backwards = bool(after and not before)
        return InvoicePage(
            shown,
            has_older=backwards or page.has_more,
            has_newer=bool(before) or (backwards and page.has_more),
        )

    return call(fetch)


def _invoice(found: Any) -> Invoice:
    return Invoice(
        id=found.id,
        number=found.number,
        created=when(found.created),
        status=found.status or "",
        total=found.total,
        amount_due=found.amount_remaining,
        currency=found.currency,
        page=found.hosted_invoice_url,
        pdf=found.invoice_pdf,
    )

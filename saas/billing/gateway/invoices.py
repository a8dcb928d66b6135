"""Invoices for the invoices page. They are fetched on request and never stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from saas.billing.gateway import reading
from saas.billing.gateway.client import call, require_id

if TYPE_CHECKING:
    import stripe

_PAGE_SIZE = 25


@dataclass(frozen=True)
class Invoice:
    """An invoice; amounts are in the smallest unit of its currency."""

    id: str
    number: str | None
    created: datetime
    status: str
    total: int
    amount_due: int
    currency: str
    page: str | None
    pdf: str | None

    @property
    def is_open(self) -> bool:
        return self.status == "open"


@dataclass(frozen=True)
class InvoicePage:
    """A page of invoices, newest first, and whether there are older and newer ones."""

    invoices: list[Invoice]
    has_older: bool = False
    has_newer: bool = False


def invoice(invoice_id: str) -> Invoice:
    """Return the current invoice. Raises `NotFound`, `Unavailable`."""
    return call(lambda client: _invoice(client.v1.invoices.retrieve(require_id(invoice_id))))


def list_invoices(
    customer_id: str, *, before: str | None = None, after: str | None = None
) -> InvoicePage:
    """Return a page of a customer's invoices without drafts.

    The page contains invoices older than `before`, newer than `after`, or the newest ones. Raises
    `NotFound` for an unknown customer or invoice.
    """
    params: Any = {"customer": require_id(customer_id), "limit": _PAGE_SIZE}
    if before:
        params["starting_after"] = before
    elif after:
        params["ending_before"] = after

    def fetch(client: stripe.StripeClient) -> InvoicePage:
        page = client.v1.invoices.list(params)
        invoices = [_invoice(item) for item in reading.entries(page)]
        issued = [item for item in invoices if item.status != "draft"]
        has_more = reading.flag(page, "has_more")
        backwards = bool(after and not before)
        return InvoicePage(
            issued,
            has_older=backwards or has_more,
            has_newer=bool(before) or (backwards and has_more),
        )

    return call(fetch)


def _invoice(stripe_invoice: Any) -> Invoice:
    return Invoice(
        id=reading.text(stripe_invoice, "id"),
        number=reading.optional_text(stripe_invoice, "number"),
        created=reading.moment(stripe_invoice, "created"),
        status=reading.optional_text(stripe_invoice, "status") or "",
        total=reading.number(stripe_invoice, "total"),
        amount_due=reading.number(stripe_invoice, "amount_remaining"),
        currency=reading.text(stripe_invoice, "currency"),
        page=_https_url(stripe_invoice, "hosted_invoice_url"),
        pdf=_https_url(stripe_invoice, "invoice_pdf"),
    )


def _https_url(stripe_invoice: Any, name: str) -> str | None:
    """Return a URL that may be used in a link."""
    url = reading.optional_text(stripe_invoice, name)
    return url if url and url.startswith(("https://", "http://")) else None

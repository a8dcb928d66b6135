"""What is true at Stripe about a customer's subscriptions."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from saas.billing.gateway.amounts import (
    Discount,
    Item,
    read_discounts,
    read_items,
    with_coupons,
)
from saas.billing.gateway.calling import (
    Deleted,
    Gone,
    KeyRefused,
    Refused,
    call,
    call_about_customer,
    call_unless_gone,
    check_deadline,
    given,
    when,
)
from saas.charges import NextInvoice

if TYPE_CHECKING:
    import stripe

log = logging.getLogger("saas.billing")

# What a list of subscriptions shows of discounts; four levels are the most that Stripe allows.
DISCOUNTS = ["data.discounts.source.coupon", "data.items.data.discounts"]

# Why `end_and_refund` ended something, for whoever looks at Stripe later.
SECOND = "second subscription, ended and refunded"
CLOSED = "subscription of a closed account, ended and refunded"


@dataclass(frozen=True)
class Subscription:
    """A subscription as our columns need it."""

    id: str
    status: str
    created: datetime
    price_ids: tuple[str, ...]
    period_ends: Mapping[str, datetime]  # by price
    cancel_at: datetime | None
    metadata: Mapping[str, str] = field(default_factory=dict)
    had_trial: bool = False
    ended_at: datetime | None = None
    comment_on_end: str | None = None  # `SECOND` and `CLOSED` are ours
    on_test_clock: bool = False  # its times are not ours
    currency: str = ""
    items: tuple[Item, ...] = ()
    discounts: tuple[Discount, ...] = ()
    is_collected: bool = True  # False while its owner has paused the collection

    def period_end(self, price_id: str | None) -> datetime | None:
        """When the paid period of this price ends, or the latest of all where it is not there."""
        if price_id is not None and price_id in self.period_ends:
            return self.period_ends[price_id]
        return max(self.period_ends.values(), default=None)


def subscriptions_of(customer_id: str) -> list[Subscription]:
    """All subscriptions of a customer, ended ones included. Raises `Gone`, `Unavailable`."""

    def fetch(client: stripe.StripeClient) -> list[Subscription]:
        page = client.v1.subscriptions.list(
            {
                "customer": given(customer_id),
                "status": "all",
                "limit": 100,
                # The customer tells of a deletion without a second question.
                "expand": ["data.customer", *DISCOUNTS],
            }
        )
        customer: Any = page.data[0].customer if page.data else None
        if customer is None:
            customer = client.v1.customers.retrieve(customer_id)
        if getattr(customer, "deleted", False):
            raise Deleted(customer_id)
        found = []
        for subscription in page.auto_paging_iter():
            check_deadline()
            found.append(read_subscription(subscription))
        return found

    return with_coupons(call_about_customer(fetch))


def next_invoice(subscription_id: str) -> NextInvoice | None:
    """What the subscription will be charged next; None where nothing is, or Stripe will not say.

    An outage is raised as everywhere.
    """
    params: Any = {"subscription": given(subscription_id)}

    def preview(client: stripe.StripeClient) -> NextInvoice:
        invoice = client.v1.invoices.create_preview(params)
        return NextInvoice(invoice.amount_due, invoice.currency, when(invoice.period_end))

    try:
        return call(preview)
    except Gone:
        return None
    except (Refused, KeyRefused) as error:
        log.warning("the next invoice of %s is not known: %s", subscription_id, error)
        return None


def subscriptions_since(customer_id: str, since: datetime) -> list[Subscription]:
    """The subscriptions that were created since then, of a deleted customer too."""

    def fetch(client: stripe.StripeClient) -> list[Subscription]:
        page = client.v1.subscriptions.list(
            {
                "customer": given(customer_id),
                "status": "all",
                "created": {"gte": int(since.timestamp())},
                "limit": 100,
            }
        )
        return [read_subscription(found) for found in page.auto_paging_iter()]

    return call(fetch)


@dataclass(frozen=True)
class Overdue:
    """What a subscription owes: since when, and the newest invoice that could not be collected."""

    since: datetime | None = None
    invoice_id: str | None = None
    action_required: bool = False  # the bank wants its owner to confirm the payment


def overdue(subscription_id: str) -> Overdue:
    """The open invoices of a subscription, summed up; empty when nothing is open."""

    def fetch(client: stripe.StripeClient) -> Overdue:
        page = client.v1.invoices.list(
            {"subscription": given(subscription_id), "status": "open", "limit": 100}
        )
        open_ones = list(page.auto_paging_iter())
        since = min((when(invoice.created) for invoice in open_ones), default=None)
        attempted = [invoice.id for invoice in open_ones if invoice.attempted]  # newest first
        statuses = _payments_of(client, str(attempted[0])) if attempted else set()
        if not attempted or "processing" in statuses:  # a bank takes days
            return Overdue(since)
        return Overdue(since, attempted[0], "requires_action" in statuses)

    return call(fetch)


def _payments_of(client: stripe.StripeClient, invoice_id: str) -> set[str]:
    """The statuses of the payments by which an open invoice is being paid."""
    check_deadline()
    page = client.v1.invoice_payments.list(
        {"invoice": invoice_id, "status": "open", "expand": ["data.payment.payment_intent"]}
    )
    return {getattr(paid.payment.payment_intent, "status", "") for paid in page.data}


def read_subscription(found: Any) -> Subscription:
    """Stripe's object as our columns need it."""
    ends = {}
    for item in found["items"].data:
        # The item carries the period since 2025-03-31.basil; an endpoint may be pinned to before.
        end = getattr(item, "current_period_end", None) or getattr(
            found, "current_period_end", None
        )
        if end is not None:
            ends[item.price.id] = when(end)
    # A cancellation in the portal sets cancel_at on flexible billing, the flag on classic.
    cancel_at = found.cancel_at
    if cancel_at is None and found.cancel_at_period_end:
        cancel_at = int(max(ends.values()).timestamp()) if ends else None
    return Subscription(
        id=found.id,
        status=found.status,
        created=when(found.created),
        price_ids=tuple(item.price.id for item in found["items"].data),
        period_ends=ends,
        cancel_at=when(cancel_at) if cancel_at is not None else None,
        metadata=dict(found.metadata.to_dict()) if found.metadata else {},
        had_trial=bool(getattr(found, "trial_end", None)),
        ended_at=when(found.ended_at) if getattr(found, "ended_at", None) else None,
        comment_on_end=_comment_on_end(found),
        on_test_clock=bool(getattr(found, "test_clock", None)),
        currency=getattr(found, "currency", "") or "",
        items=read_items(found),
        discounts=read_discounts(found),
        is_collected=not getattr(found, "pause_collection", None),
    )


def _comment_on_end(found: Any) -> str | None:
    details = getattr(found, "cancellation_details", None)
    return details.comment if details else None


def cancel(subscription_id: str) -> None:
    """End a subscription now. One that has ended already stays ended."""
    call_unless_gone(lambda client: client.v1.subscriptions.cancel(given(subscription_id)))


def end_and_refund(subscription_id: str, why: str) -> None:
    """Refund the last payment of a subscription and end it, once however often it is asked.

    `why` is `SECOND` or `CLOSED`, and is kept at Stripe as the comment of the cancellation.

    In this order: one that has ended is not looked at again, and a crash in between would keep
    the money.
    """
    try:
        intent = _last_payment(subscription_id)
    except Gone:
        return
    if intent:
        _refund(intent, key=f"refund:{intent}")  # of the payment: a later one is another refund
    told: Any = {"cancellation_details": {"comment": why}}
    call_unless_gone(lambda client: client.v1.subscriptions.cancel(given(subscription_id), told))


def _last_payment(subscription_id: str) -> str | None:
    def fetch(client: stripe.StripeClient) -> str | None:
        subscription = client.v1.subscriptions.retrieve(
            given(subscription_id), {"expand": ["latest_invoice.payments"]}
        )
        invoice: Any = subscription.latest_invoice
        payments = invoice.payments.data if invoice and invoice.payments else []
        return next((paid.payment.payment_intent for paid in payments if _is_paid(paid)), None)

    return call(fetch)


def _refund(intent: str, key: str) -> None:
    try:
        call(
            lambda client: client.v1.refunds.create(
                {"payment_intent": intent}, {"idempotency_key": key}
            )
        )
    except Refused as error:
        # Refunded already, by hand or so long ago that Stripe has forgotten the key.
        log.warning("payment %s is not refunded: %s", intent, error)


def _is_paid(payment: Any) -> bool:
    return bool(payment.status == "paid" and payment.payment.payment_intent)


def subscribe(customer_id: str, price_id: str, metadata: Mapping[str, str], key: str) -> str:
    """A subscription without a checkout page, for demo people."""
    params: Any = {
        "customer": customer_id,
        "items": [{"price": price_id}],
        "metadata": dict(metadata),
    }
    return call(lambda client: client.v1.subscriptions.create(params, {"idempotency_key": key}).id)

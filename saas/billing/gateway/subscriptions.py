"""What is true at Stripe about a customer's subscriptions."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from saas.billing.gateway import reading
from saas.billing.gateway.amounts import (
    Discount,
    Item,
    read_discounts,
    read_items,
    with_coupons,
)
from saas.billing.gateway.client import (
    AuthenticationFailed,
    CustomerDeleted,
    InvalidRequest,
    NotFound,
    call,
    call_for_customer,
    call_unless_missing,
    check_deadline,
    require_id,
)
from saas.charges import NextInvoice

if TYPE_CHECKING:
    import stripe

log = logging.getLogger("saas.billing")

# What a list of subscriptions shows of discounts; four levels are the most that Stripe allows.
DISCOUNTS = ["data.discounts.source.coupon", "data.items.data.discounts"]


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
    comment_on_end: str | None = None  # those of `refunds` are ours
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


def list_subscriptions(customer_id: str) -> list[Subscription]:
    """All subscriptions of a customer, ended ones included. Raises `Gone`, `Unavailable`."""

    def fetch(client: stripe.StripeClient) -> list[Subscription]:
        page = client.v1.subscriptions.list(
            {
                "customer": require_id(customer_id),
                "status": "all",
                "limit": 100,
                # The customer tells of a deletion without a second question.
                "expand": ["data.customer", *DISCOUNTS],
            }
        )
        listed = reading.entries(page)
        customer: Any = reading.part(listed[0], "customer") if listed else None
        if customer is None:
            customer = client.v1.customers.retrieve(customer_id)
            reading.text(customer, "id")
        if reading.is_deleted(customer):
            raise CustomerDeleted(customer_id)
        subscriptions = []
        for subscription in page.auto_paging_iter():
            check_deadline()
            subscriptions.append(read_subscription(subscription))
        return subscriptions

    return with_coupons(call_for_customer(fetch))


def next_invoice(subscription_id: str) -> NextInvoice | None:
    """What the subscription will be charged next; None where nothing is, or Stripe will not say.

    An outage is raised as everywhere.
    """
    params: Any = {"subscription": require_id(subscription_id)}

    def preview(client: stripe.StripeClient) -> NextInvoice:
        invoice = client.v1.invoices.create_preview(params)
        return NextInvoice(
            reading.number(invoice, "amount_due"),
            reading.text(invoice, "currency"),
            reading.moment(invoice, "period_end"),
        )

    try:
        return call(preview)
    except NotFound:
        return None
    except (InvalidRequest, AuthenticationFailed) as error:
        log.warning("no preview of the next invoice of %s: %s", subscription_id, error)
        return None


def list_subscriptions_since(customer_id: str, since: datetime) -> list[Subscription]:
    """The subscriptions that were created since then, of a deleted customer too."""

    def fetch(client: stripe.StripeClient) -> list[Subscription]:
        page = client.v1.subscriptions.list(
            {
                "customer": require_id(customer_id),
                "status": "all",
                "created": {"gte": int(since.timestamp())},
                "limit": 100,
            }
        )
        return [read_subscription(subscription) for subscription in page.auto_paging_iter()]

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
            {"subscription": require_id(subscription_id), "status": "open", "limit": 100}
        )
        open_ones = list(page.auto_paging_iter())
        since = min((reading.moment(invoice, "created") for invoice in open_ones), default=None)
        # Newest first.
        attempted = [invoice for invoice in open_ones if reading.flag(invoice, "attempted")]
        newest = reading.text(attempted[0], "id") if attempted else None
        statuses = _payments_of(client, newest) if newest else set()
        if newest is None or "processing" in statuses:  # a bank takes days
            return Overdue(since)
        return Overdue(since, newest, "requires_action" in statuses)

    return call(fetch)


def _payments_of(client: stripe.StripeClient, invoice_id: str) -> set[str]:
    """The statuses of the payment intents by which an open invoice is being paid.

    A payment by a charge, or outside of Stripe, has none.
    """
    check_deadline()
    page = client.v1.invoice_payments.list(
        {"invoice": invoice_id, "status": "open", "expand": ["data.payment.payment_intent"]}
    )
    payments = [reading.part(item, "payment") for item in reading.entries(page)]
    intents = [reading.part(payment, "payment_intent") for payment in payments if payment]
    return {
        reading.text(intent, "status")
        for intent in intents
        if intent is not None and not isinstance(intent, str)
    }


def read_subscription(subscription: Any) -> Subscription:
    """Stripe's object as our columns need it."""
    items = reading.entries(subscription, "items")
    prices = [_price_id(item) for item in items]
    ends = {}
    for item, price_id in zip(items, prices, strict=True):
        # The item carries the period since 2025-03-31.basil; an endpoint may be pinned to before.
        end = reading.optional_moment(item, "current_period_end") or reading.optional_moment(
            subscription, "current_period_end"
        )
        if end is not None:
            ends[price_id] = end
    # A cancellation in the portal sets cancel_at on flexible billing, the flag on classic.
    cancel_at = reading.optional_moment(subscription, "cancel_at")
    if cancel_at is None and reading.flag(subscription, "cancel_at_period_end"):
        cancel_at = max(ends.values(), default=None)
    return Subscription(
        id=reading.text(subscription, "id"),
        status=reading.text(subscription, "status"),
        created=reading.moment(subscription, "created"),
        price_ids=tuple(prices),
        period_ends=ends,
        cancel_at=cancel_at,
        metadata=reading.metadata(subscription),
        had_trial=reading.optional_moment(subscription, "trial_end") is not None,
        ended_at=reading.optional_moment(subscription, "ended_at"),
        comment_on_end=_comment_on_end(subscription),
        on_test_clock=reading.id_of(subscription, "test_clock") is not None,
        currency=reading.optional_text(subscription, "currency") or "",
        items=read_items(subscription),
        discounts=read_discounts(subscription),
        is_collected=reading.part(subscription, "pause_collection") is None,
    )


def _price_id(item: Any) -> str:
    return reading.id_of(item, "price") or reading.text(item, "price")


def _comment_on_end(subscription: Any) -> str | None:
    details = reading.part(subscription, "cancellation_details")
    return reading.optional_text(details, "comment") if details else None


def cancel(subscription_id: str) -> None:
    """End a subscription now. One that has ended already stays ended."""
    call_unless_missing(lambda client: client.v1.subscriptions.cancel(require_id(subscription_id)))


def subscribe(customer_id: str, price_id: str, metadata: Mapping[str, str], key: str) -> str:
    """A subscription without a checkout page, for demo people."""
    params: Any = {
        "customer": customer_id,
        "items": [{"price": price_id}],
        "metadata": dict(metadata),
    }
    return call(
        lambda client: reading.text(
            client.v1.subscriptions.create(params, {"idempotency_key": key}), "id"
        )
    )

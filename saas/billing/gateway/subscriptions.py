"""Read and cancel subscriptions in Stripe."""

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

# Expanded discounts in a list of subscriptions; Stripe allows four levels.
DISCOUNTS = ["data.discounts.source.coupon", "data.items.data.discounts"]


@dataclass(frozen=True)
class Subscription:
    """The fields of a subscription that our columns need."""

    id: str
    status: str
    created: datetime
    price_ids: tuple[str, ...]
    period_ends: Mapping[str, datetime]  # by price
    cancel_at: datetime | None
    metadata: Mapping[str, str] = field(default_factory=dict)
    had_trial: bool = False
    ended_at: datetime | None = None
    comment_on_end: str | None = None  # set by `refunds`
    reason_for_end: str | None = None  # such as payment_failed
    on_test_clock: bool = False  # its times cannot be compared with ours
    currency: str = ""
    items: tuple[Item, ...] = ()
    discounts: tuple[Discount, ...] = ()
    is_collected: bool = True  # False while payment collection is paused

    def period_end(self, price_id: str | None) -> datetime | None:
        """Return the end of this price's paid period, or the latest one if it is missing."""
        if price_id is not None and price_id in self.period_ends:
            return self.period_ends[price_id]
        return max(self.period_ends.values(), default=None)


def list_subscriptions(customer_id: str) -> list[Subscription]:
    """Return all subscriptions of a customer, including ended ones.

    Raises `NotFound`, `Unavailable`.
    """

    def fetch(client: stripe.StripeClient) -> list[Subscription]:
        page = client.v1.subscriptions.list(
            {
                "customer": require_id(customer_id),
                "status": "all",
                "limit": 100,
                # The expanded customer shows a deletion without a second call.
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
    """Return the preview of the next invoice; None if there is none, or Stripe refuses.

    Raises `Unavailable` for an outage.
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


def missing_payment_method(subscription_id: str) -> str | None:
    """Return what happens at the end of a trial for lack of a payment method.

    This is Stripe's `cancel`, `pause` or `create_invoice`; None if there is a payment method.
    """
    params: Any = {"expand": ["customer"]}

    def fetch(client: stripe.StripeClient) -> str | None:
        subscription = client.v1.subscriptions.retrieve(require_id(subscription_id), params)
        customer = reading.part(subscription, "customer")
        settings = reading.part(customer, "invoice_settings") if customer else None
        if reading.id_of(subscription, "default_payment_method") or (
            settings and reading.id_of(settings, "default_payment_method")
        ):
            return None
        if customer and reading.id_of(customer, "default_source"):
            return None
        trial = reading.part(subscription, "trial_settings")
        end = reading.part(trial, "end_behavior") if trial else None
        return reading.text(end, "missing_payment_method") if end else None

    return call(fetch)


def list_subscriptions_since(customer_id: str, since: datetime) -> list[Subscription]:
    """Return subscriptions created since a time, even for a deleted customer."""

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
    """An overdue subscription: when that began, and the newest uncollected invoice."""

    since: datetime | None = None
    invoice_id: str | None = None
    action_required: bool = False  # the bank requires the customer to confirm the payment


def overdue(subscription_id: str) -> Overdue:
    """Return a summary of the open invoices; empty if there are none."""

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
        if newest is None or "processing" in statuses:  # a bank debit takes days
            return Overdue(since)
        return Overdue(since, newest, "requires_action" in statuses)

    return call(fetch)


def _payments_of(client: stripe.StripeClient, invoice_id: str) -> set[str]:
    """Return the statuses of the payment intents of an open invoice.

    Charges and payments outside of Stripe have none.
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
    """Read a subscription of Stripe."""
    items = reading.entries(subscription, "items")
    prices = [_price_id(item) for item in items]
    ends = {}
    for item, price_id in zip(items, prices, strict=True):
        # The period is on the item since 2025-03-31.basil; endpoints may use older versions.
        end = reading.optional_moment(item, "current_period_end") or reading.optional_moment(
            subscription, "current_period_end"
        )
        if end is not None:
            ends[price_id] = end
    # The portal sets cancel_at with flexible billing, and the flag with classic billing.
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
        comment_on_end=_detail_of_end(subscription, "comment"),
        reason_for_end=_detail_of_end(subscription, "reason"),
        on_test_clock=reading.id_of(subscription, "test_clock") is not None,
        currency=reading.optional_text(subscription, "currency") or "",
        items=read_items(subscription),
        discounts=read_discounts(subscription),
        is_collected=reading.part(subscription, "pause_collection") is None,
    )


def _price_id(item: Any) -> str:
    return reading.id_of(item, "price") or reading.text(item, "price")


def _detail_of_end(subscription: Any, name: str) -> str | None:
    details = reading.part(subscription, "cancellation_details")
    return reading.optional_text(details, name) if details else None


def cancel(subscription_id: str) -> None:
    """Cancel a subscription now, unless it has already ended."""
    call_unless_missing(lambda client: client.v1.subscriptions.cancel(require_id(subscription_id)))


def cancel_at_period_end(subscription_id: str) -> None:
    """Let a subscription end with its period, unless it has already ended."""
    params: Any = {"cancel_at_period_end": True}
    call_unless_missing(
        lambda client: client.v1.subscriptions.update(require_id(subscription_id), params)
    )


def resume(subscription_id: str, key: str) -> None:
    """Resume a paused subscription: a new period begins and is charged now.

    Nothing else resumes a trial that ended without a payment method: adding one does not.
    https://docs.stripe.com/api/subscriptions/resume
    """
    call(
        lambda client: client.v1.subscriptions.resume(
            require_id(subscription_id), options={"idempotency_key": key}
        )
    )


def subscribe(customer_id: str, price_id: str, metadata: Mapping[str, str], key: str) -> str:
    """Create a subscription without a checkout page, for demo users."""
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

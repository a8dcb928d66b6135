"""Cancel a subscription that should not exist, and refund its payment."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from saas.billing.gateway import reading
from saas.billing.gateway.client import (
    InvalidRequest,
    NotFound,
    call,
    call_unless_missing,
    require_id,
)
from saas.charges import Purchase

if TYPE_CHECKING:
    import stripe

log = logging.getLogger("saas.billing")

# Why `end_and_refund` canceled a subscription, or a purchase was refunded; stored in Stripe.
DUPLICATE = "second subscription, ended and refunded"
ACCOUNT_DELETED = "subscription of a closed account, ended and refunded"
ACCOUNT_LOST = "subscription without an account, ended and refunded"
_FAILED = ("failed", "canceled")  # https://docs.stripe.com/api/refunds/object#refund_object-status
NOT_REFUNDED = "ended, and the refund was refused"


@dataclass(frozen=True)
class _Payment:
    """A payment of an invoice: the parameter that refunds it, and the paid amount."""

    by: dict[str, str]  # {"payment_intent": id} or {"charge": id}
    paid: int


def end_and_refund(subscription_id: str, why: str, since: datetime | None = None) -> bool:
    """Refund a subscription's last payment and cancel it; repeated calls do both only once.

    `why` is `DUPLICATE`, `ACCOUNT_DELETED` or `ACCOUNT_LOST`, and is stored in Stripe as the
    comment of the cancellation. With `since`, only the part of the paid period after that time is
    refunded. The amount depends only on data in Stripe, so that a retry asks for the same one.
    Returns False if Stripe refused the refund.

    The refund comes first: a canceled subscription is not checked again, so a crash in between
    would lose the refund. If Stripe refuses the refund, the subscription is canceled anyway,
    because it would be charged again. Neither the comment nor an email then calls it refunded.
    """
    try:
        invoice, payments = _last_payment(subscription_id)
    except NotFound:
        return True
    comment = why
    try:
        for payment in payments:
            _refund(payment, _share_of(payment.paid, invoice, since), why)
    except (InvalidRequest, NotFound) as error:
        log.error("subscription %s was canceled without a refund: %s", subscription_id, error)
        comment = NOT_REFUNDED
    else:
        log.warning("subscription %s: %s", subscription_id, why)
    params: Any = {"cancellation_details": {"comment": comment}}
    call_unless_missing(
        lambda client: client.v1.subscriptions.cancel(require_id(subscription_id), params)
    )
    return comment == why


def refund_purchase(purchase: Purchase, why: str) -> bool:
    """Refund what is left of a one-time payment, once; return False if Stripe refuses.

    `why` is `DUPLICATE`, `ACCOUNT_DELETED` or `ACCOUNT_LOST`. A purchase without an amount has no
    payment.
    """
    if purchase.payment is None:
        return False
    payment = _Payment({"payment_intent": purchase.payment}, purchase.amount)
    try:
        _refund(payment, purchase.amount, why)
    except (InvalidRequest, NotFound) as error:
        log.error("payment %s could not be refunded: %s", purchase.payment, error)
        return False
    log.warning("payment %s was refunded: %s", purchase.payment, why)
    return True


def refunded(subscription_id: str) -> tuple[int, str]:
    """Return the refunded amount of a subscription's last payment, and its currency."""
    invoice, payments = _last_payment(subscription_id)
    currency = reading.text(invoice, "currency") if invoice else ""
    return sum(_sum_of(_refunds_of(payment)) for payment in payments), currency


def _last_payment(subscription_id: str) -> tuple[Any, list[_Payment]]:
    """Return the last invoice of a subscription, and its payments."""

    def fetch(client: stripe.StripeClient) -> tuple[Any, list[_Payment]]:
        subscription = client.v1.subscriptions.retrieve(require_id(subscription_id))
        invoice_id = reading.id_of(subscription, "latest_invoice")
        if invoice_id is None:
            return None, []
        invoice = client.v1.invoices.retrieve(invoice_id)
        page = client.v1.invoice_payments.list(
            {"invoice": invoice_id, "status": "paid", "limit": 100}
        )
        payments = [_payment(item, invoice_id) for item in reading.entries(page)]
        return invoice, [payment for payment in payments if payment]

    return call(fetch)


def _payment(invoice_payment: Any, invoice_id: str) -> _Payment | None:
    """Return how a payment can be refunded; None if it was made outside of Stripe."""
    payment = reading.part(invoice_payment, "payment")
    paid = reading.optional_number(invoice_payment, "amount_paid")
    for name in ("payment_intent", "charge"):
        if id := reading.id_of(payment, name):
            return _Payment({name: id}, paid or 0)
    kind = reading.optional_text(payment, "type")
    log.warning("invoice %s was paid outside of Stripe (%s): refund it there", invoice_id, kind)
    return None


def _share_of(paid: int, invoice: Any, since: datetime | None) -> int:
    """Return the part of a payment for the time after `since`; all of it if that is unknown."""
    periods = [
        (reading.moment(period, "end"), reading.moment(period, "start"))
        for line in reading.optional_entries(invoice, "lines")
        if (period := reading.part(line, "period"))
    ]
    if since is None or not periods:
        return paid
    end = max(periods)[0]
    start = min(begun for ended, begun in periods if ended == end)
    if since <= start or start == end:
        return paid
    return paid * max(0, int((end - since).total_seconds())) // int((end - start).total_seconds())


def _refund(payment: _Payment, amount: int, why: str) -> None:
    """Refund an amount, but no more than is left of the payment. Never refund a payment twice.

    A refund of ours that the bank has refused is not tried again: it would fail again.
    """
    before = _refunds_of(payment)
    amount = min(amount, payment.paid - _sum_of(before))
    if amount <= 0 or _has_our_refund(before):
        return
    (id,) = payment.by.values()
    if any(map(_is_ours, before)):
        raise InvalidRequest(f"the bank has refused the refund of {id}")
    params: Any = {**payment.by, "amount": amount, "metadata": {"saas": why}}
    once: Any = {"idempotency_key": f"refund-once:{id}"}
    try:
        made = call(lambda c: _status(c.v1.refunds.create(params, once)))
    except InvalidRequest as error:
        # Already refunded manually, or by another process with another amount.
        if error.code != "charge_already_refunded" and not _has_our_refund(_refunds_of(payment)):
            raise
        log.info("payment %s was refunded already: %s", id, error)
        return
    if made in _FAILED:
        raise InvalidRequest(f"the refund of {id} is {made}")


def _refunds_of(payment: _Payment) -> list[Any]:
    params: Any = {**payment.by, "limit": 100}
    return call(lambda client: reading.entries(client.v1.refunds.list(params)))


def _sum_of(refunds: list[Any]) -> int:
    return sum(
        reading.number(refund, "amount") for refund in refunds if _status(refund) not in _FAILED
    )


def _has_our_refund(refunds: list[Any]) -> bool:
    return any(_is_ours(refund) and _status(refund) not in _FAILED for refund in refunds)


def _is_ours(refund: Any) -> bool:
    reason = reading.metadata(refund).get("saas")
    return reason in (DUPLICATE, ACCOUNT_DELETED, ACCOUNT_LOST)


def _status(refund: Any) -> str | None:
    return reading.optional_text(refund, "status")

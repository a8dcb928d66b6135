"""Compose the emails of billing when they are sent.

The content reflects the state at that time. An email that is no longer relevant is skipped: the
payment arrived before the email about its failure, or the plan was resumed.
"""

from __future__ import annotations

import logging
import uuid
from datetime import datetime

from sqlalchemy import select

from saas import mail, products
from saas.billing import gateway
from saas.billing.customers import Subscriber
from saas.billing.emails import messages
from saas.charges import Purchase
from saas.database import db
from saas.mail import outbox
from saas.mail.models import OutboxMessage
from saas.plans import Plan

log = logging.getLogger("saas.billing")

FAILED, ACTION_REQUIRED = "payment_failed", "action_required"


@mail.email("welcome")
def welcome(user_id: uuid.UUID, *, subscription: str) -> mail.Email | None:
    """Compose the email about a new plan, with or without a trial."""
    user = _recipient(user_id)
    if user is None or not user.has_paid_subscription:
        return None
    if user.stripe_subscription_id != subscription and _has_own_welcome(user):
        return None
    trial_ends = user.stripe_current_period_end if user.is_trialing else None
    missing = _missing_payment_method(user) if trial_ends else None
    return messages.welcome(user.email, _sold(user), _charge(user), trial_ends, missing)


def _has_own_welcome(user: Subscriber) -> bool:
    """Return whether the current subscription has its own welcome email.

    It has none if two pages were paid at the same time and one subscription was canceled.
    """
    welcomes = select(OutboxMessage.context).where(
        OutboxMessage.subject_id == user.id, OutboxMessage.kind == "welcome"
    )
    current = user.stripe_subscription_id
    return any(
        (context or {}).get("subscription") == current for context in db.session.scalars(welcomes)
    )


@mail.email(FAILED)
def payment_failed(user_id: uuid.UUID, *, invoice: str, subscription: str) -> mail.Email | None:
    """Compose the email about a failed payment: where to pay, and when access ends."""
    return _for_open_invoice(FAILED, user_id, invoice, subscription)


@mail.email(ACTION_REQUIRED)
def action_required(user_id: uuid.UUID, *, invoice: str, subscription: str) -> mail.Email | None:
    """Compose the email about a payment that the customer must confirm."""
    return _for_open_invoice(ACTION_REQUIRED, user_id, invoice, subscription)


@mail.email("recovered")
def recovered(user_id: uuid.UUID, *, invoice: str) -> mail.Email | None:
    """Compose the email about a recovered payment, if an email about the failure was sent."""
    user = _recipient(user_id)
    if user is None or not user.has_paid_subscription:
        return None
    failures = [f"{kind}:{invoice}" for kind in (FAILED, ACTION_REQUIRED)]
    if not any(map(outbox.was_sent, failures)):
        if any(map(outbox.is_pending, failures)):
            raise mail.RetryLater("the email about the failure may have been sent a moment ago")
        return None
    paid = _invoice(invoice)
    if paid is None or paid.status != "paid":
        return None  # marked uncollectible, not paid
    return messages.recovered(user.email, _sold(user), paid.total, paid.currency)


@mail.email("cancellation")
def cancellation(user_id: uuid.UUID, *, subscription: str, ends: str) -> mail.Email | None:
    """Compose the email about a scheduled cancellation."""
    user, when = _recipient(user_id), datetime.fromisoformat(ends)
    if user is None or not user.is_canceling or user.stripe_cancel_at != when:
        return None
    if user.stripe_subscription_id != subscription:
        return None
    return messages.cancellation(user.email, _sold(user), _charge(user), when)


@mail.email("ended")
def ended(user_id: uuid.UUID, *, price: str, status: str | None) -> mail.Email | None:
    """Compose the email about the end of a plan, unless the user has it again."""
    user, sold = _recipient(user_id), products.sold_as(price)
    if user is None or (user.plan.includes(sold[0]) if sold else user.is_paid):
        return None
    return messages.ended(user.email, sold[0] if sold else None, status, user.plan)


@mail.email("trial_ending")
def trial_ending(user_id: uuid.UUID, *, subscription: str, ends: str) -> mail.Email | None:
    """Compose the email about the end of a trial."""
    user, when = _recipient(user_id), datetime.fromisoformat(ends)
    if user is None or not user.is_trialing or user.is_canceling:
        return None
    if (user.stripe_subscription_id, user.stripe_current_period_end) != (subscription, when):
        return None
    missing = _missing_payment_method(user)
    return messages.trial_ending(user.email, _sold(user), _charge(user), when, missing)


@mail.email("duplicate_refunded")
def duplicate_refunded(
    user_id: uuid.UUID, *, subscription: str = "", is_refused: bool = False
) -> mail.Email | None:
    """Compose the email about a duplicate subscription that was canceled and refunded.

    Stripe reports the refunded amount. Rows of an older version do not name the subscription.
    """
    user = _recipient(user_id)
    if user is None:
        return None
    try:
        given_back = gateway.refunded(subscription) if subscription and not is_refused else None
    except gateway.NotFound:
        given_back = None
    return messages.duplicate_refunded(user.email, given_back, is_refused=is_refused)


@mail.email("purchased")
def purchased(user_id: uuid.UUID, *, session: str) -> mail.Email | None:
    """Compose the email about a one-time purchase, unless it was refunded in the meantime."""
    user, bought = _bought(user_id, session)
    if user is None or bought is None or not bought[0].is_valid:
        return None
    purchase, plan = bought
    access = products.catalogue().access_plan(plan)
    sold = user.subscribed_to if user.is_canceling else None
    ends = user.stripe_cancel_at if sold and access.includes(sold[0]) else None
    return messages.purchased(user.email, plan, purchase, sold[0] if sold else None, ends)


@mail.email("purchase_refunded")
def purchase_refunded(user_id: uuid.UUID, *, session: str) -> mail.Email | None:
    """Compose the email about a refund of a one-time purchase: in part, in full, or of a second."""
    user, bought = _bought(user_id, session)
    if user is None or bought is None or not bought[0].refunded:
        return None
    purchase, plan = bought
    is_second = not purchase.is_valid and any(
        other.is_valid and same == plan for other, same in user.purchases
    )
    return messages.purchase_refunded(user.email, plan, purchase, user.plan, is_second=is_second)


@mail.email("refund_failed")
def refund_failed(user_id: uuid.UUID, *, session: str, amount: int) -> mail.Email | None:
    """Compose the email about a refund of a one-time purchase that the bank has refused."""
    user, bought = _bought(user_id, session)
    if user is None or bought is None:
        return None
    return messages.refund_failed(user.email, bought[1], (amount, bought[0].currency))


@mail.email("purchase_disputed")
def purchase_disputed(user_id: uuid.UUID, *, session: str, outcome: str) -> mail.Email | None:
    """Compose the email about a dispute, unless it has gone on since."""
    user, bought = _bought(user_id, session)
    if user is None or bought is None or bought[0].dispute != outcome:
        return None
    return messages.purchase_disputed(user.email, bought[1], bought[0], user.plan)


def _bought(
    user_id: uuid.UUID, session: str
) -> tuple[Subscriber | None, tuple[Purchase, Plan] | None]:
    user = _recipient(user_id)
    purchases = user.purchases if user else []
    return user, next((item for item in purchases if item[0].session == session), None)


def _for_open_invoice(
    kind: str, user_id: uuid.UUID, invoice_id: str, subscription: str
) -> mail.Email | None:
    user = _recipient(user_id)
    if user is None or user.stripe_subscription_id != subscription:
        return None
    is_first = user.stripe_subscription_status == "incomplete"
    if not user.is_past_due and not is_first:
        return None
    invoice = _invoice(invoice_id)
    if invoice is None or not invoice.is_open or not invoice.page:
        return None
    return messages.payment_problem(
        user.email,
        kind,
        _sold(user),
        (invoice.amount_due, invoice.currency),
        invoice.page,
        user.access_ends_at if user.has_paid_subscription else None,
        is_first=is_first,
    )


def _missing_payment_method(user: Subscriber) -> str | None:
    """Return what Stripe does at the end of the trial without a card; None if there is a card."""
    try:
        return gateway.missing_payment_method(str(user.stripe_subscription_id))
    except gateway.NotFound:
        return None


def _invoice(invoice_id: str) -> gateway.Invoice | None:
    """Return the current invoice, or None if it was deleted in Stripe."""
    try:
        return gateway.invoice(invoice_id)
    except gateway.NotFound:
        return None
    except gateway.StripeError as error:
        log.warning("an email waits for invoice %s: %s", invoice_id, gateway.describe(error))
        raise


def _recipient(user_id: uuid.UUID) -> Subscriber | None:
    """Return the user, or None if they were deleted."""
    user = db.session.get(Subscriber, user_id, populate_existing=True)
    if user is not None and user.is_closing:
        raise mail.RetryLater("the account is being deleted")
    return user


def _sold(user: Subscriber) -> Plan:
    sold = user.subscribed_to
    return sold[0] if sold else user.subscription_plan


def _charge(user: Subscriber) -> messages.Charge:
    return messages.Charge(user.recurring, user.next_invoice)

"""Stripe's events: the handled types, the ledger of received events, and their effect."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from datetime import timedelta

from sqlalchemy import delete, select, update

from saas import database, jobs, logs, products
from saas.billing import customers, gateway, ledger, subscriptions
from saas.billing.customers import orphans
from saas.billing.gateway import Event
from saas.billing.models import StripeEvent
from saas.billing.subscriptions import stripe_state
from saas.database import db, now

log = logging.getLogger("saas.billing")

RETENTION = timedelta(days=90)
# Prefixes of the ids of charges, and of disputes and refunds, which name only a charge.
_OF_PAYMENTS = ("ch_", "py_", "du_", "dp_", "re_", "pyr_")
HANDLED_TYPES = (
    "charge.dispute.created",  # these five change one-time purchases, not subscriptions
    "charge.dispute.closed",
    "charge.refunded",
    "refund.failed",
    "refund.updated",
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "customer.deleted",
    "customer.discount.created",  # these and the three below may change only the next invoice
    "customer.discount.deleted",
    "customer.discount.updated",
    "customer.subscription.created",
    "customer.subscription.updated",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.resumed",
    "customer.subscription.pending_update_applied",
    "customer.subscription.pending_update_expired",
    "customer.subscription.trial_will_end",
    "customer.updated",  # its balance pays invoices
    "invoice.paid",
    "invoice.payment_failed",
    "invoice.payment_action_required",
    "invoice.voided",
    "invoice.marked_uncollectible",
    "invoice.upcoming",
    "invoiceitem.created",
    "invoiceitem.deleted",
)


def process(
    event_id: str,
    customer_id: str | None,
    metadata: Mapping[str, str] | None = None,
    object_id: str | None = None,
) -> str:
    """Apply a recorded event and return the outcome: applied, ended, gone, no account or not ours.

    `metadata` came with the event. If it does not name this installation, an unknown customer
    belongs to another product, and Stripe is not called. None means that it is unknown, because the
    ledger keeps no payload; then Stripe is called. Disputes and refunds have no customer, so their
    charge is looked up by `object_id`.

    Raises `gateway.StripeError`, `SQLAlchemyError` or any other error. In that case only the
    attempt is recorded.
    """
    try:
        if customer_id is None and object_id and products.catalogue().sells_once:
            customer_id, metadata = _payer(object_id)
        return _apply(event_id, customer_id, metadata, object_id)
    except Exception as error:
        mark_failed(event_id, error)
        raise


def _apply(
    event_id: str,
    customer_id: str | None,
    metadata: Mapping[str, str] | None,
    object_id: str | None,
) -> str:
    user_id = customers.find_user_id(customer_id) if customer_id else None
    sessions: tuple[str, ...] = ()
    named = customers.user_id_from_metadata(metadata or {})
    if user_id and named and named != user_id:
        log.warning("metadata names a user other than the owner of %s; it is ignored", customer_id)
    if customer_id and user_id is None and (named or metadata is None):
        user_id = customers.adopt(customer_id)
        if user_id is None and object_id:
            user_id, sessions = _buyer(object_id, metadata)
        if user_id is None:
            outcome = orphans.settle(customer_id)
            ledger.mark_processed(event_id)
            return outcome
    if user_id is None:
        ledger.mark_processed(event_id)
        return "not ours"
    if not subscriptions.update_columns(
        user_id, cause=event_id, event_id=event_id, sessions=sessions
    ):
        ledger.mark_processed(event_id)
        return "gone"
    return "applied"


def _buyer(
    object_id: str, metadata: Mapping[str, str] | None
) -> tuple[uuid.UUID | None, tuple[str, ...]]:
    """Return the user who bought a plan as a customer that is not theirs now, and the session.

    An operator has deleted the customer in Stripe, for example, before a bank debit cleared.
    """
    is_session = object_id.startswith("cs_")
    if not products.catalogue().sells_once or not object_id.startswith(("cs_", *_OF_PAYMENTS)):
        return None, ()
    if metadata is None and is_session:
        paid = stripe_state.find_purchase(object_id)
        metadata = paid.metadata if paid else {}
    elif metadata is None:
        _, metadata = _payer(object_id)
    named = customers.user_id_from_metadata(metadata)
    user = customers.reload(named) if named else None
    return (user.id, (object_id,) if is_session else ()) if user else (None, ())


def _payer(object_id: str) -> tuple[str | None, Mapping[str, str]]:
    if not object_id.startswith(_OF_PAYMENTS):
        return None, {}
    try:
        return gateway.payer(object_id)
    except gateway.NotFound:
        return None, {}


def ignore_reason(event: Event) -> str | None:
    """Return why an event is ignored, or None for one that is handled."""
    if event.type not in HANDLED_TYPES:
        return "its type is not handled"
    if event.livemode != gateway.is_live():
        return "it is from the other mode"
    if event.account is not None:
        return "it belongs to a connected account"
    if event.is_echo:
        return "it changes nothing that is stored"
    return None


def record(event: Event) -> bool:
    """Record that an event arrived. Return False if it has been processed before."""
    with database.write_transaction():
        is_new = database.insert_or_ignore(
            StripeEvent,
            id=event.id,
            type=event.type,
            created=event.created,
            livemode=event.livemode,
            api_version=event.api_version,
            customer_id=event.customer_id,
            object_id=event.object_id,
            received_at=now(),
            attempts=0,
        )
        if is_new:
            return True
        processed = select(StripeEvent.processed_at).where(StripeEvent.id == event.id)
        return db.session.scalar(processed) is None


def mark_failed(event_id: str, error: Exception) -> None:
    """Record that an event could not be applied. Stripe delivers it again."""
    with database.write_transaction():
        database.execute(
            update(StripeEvent)
            .where(StripeEvent.id == event_id, StripeEvent.processed_at.is_(None))
            .values(
                attempts=StripeEvent.attempts + 1,
                last_error=logs.without_addresses(f"{type(error).__name__}: {error}")[:500],
            )
        )


@jobs.periodic_task(minutes=24 * 60)
def delete_old_events() -> None:
    """Delete events processed long ago. Stripe delivers none again after 30 days."""
    with database.write_transaction():
        database.execute(delete(StripeEvent).where(StripeEvent.processed_at < now() - RETENTION))

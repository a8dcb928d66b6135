"""The endpoint that Stripe calls: verify the raw bytes, note the event, fetch the truth."""

from __future__ import annotations

import logging

from flask import abort, current_app, request
from sqlalchemy.exc import SQLAlchemyError

from saas import deadlines, security
from saas.billing import bp, gateway, handling, ledger
from saas.billing.gateway import BadEvent, BadSignature, Event
from saas.errors import APIError

log = logging.getLogger("saas.billing")

PATIENCE = 9.0  # seconds until we answer, whatever happens; Stripe gives up after some ten
HANDLED = (
    "charge.dispute.created",  # these two for the log: access follows the subscription
    "charge.refunded",
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "customer.deleted",
    "customer.discount.created",  # these and the three below may change the next invoice alone
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


@bp.post("/api/webhooks/stripe")
@security.csrf_exempt
def webhook() -> tuple[dict[str, str], int]:
    payload = request.get_data()
    if len(payload) >= current_app.config["MAX_CONTENT_LENGTH"]:
        abort(413)  # sent in chunks, which say no length beforehand
    try:
        event = gateway.verify(payload, request.headers.get("Stripe-Signature"))
    except BadSignature as error:
        raise APIError(400, "bad_signature", f"Not accepted: {error}.") from None
    except BadEvent as error:
        raise APIError(400, "bad_event", f"Not an event: {error}.") from None
    return {"outcome": receive(event)}, 200


def receive(event: Event) -> str:
    """Apply an event; what came of it, in a word. Raises `Problem` 503 so that it comes again."""
    if reason := not_for_us(event):
        log.info("event ignored: %s", reason, extra=_said(event))
        return "ignored"
    try:
        with deadlines.deadline(PATIENCE):
            if not ledger.record(event):
                return "seen"
            outcome = handling.handle(event.id, event.customer_id, event.metadata)
    except (gateway.StripeError, SQLAlchemyError) as error:
        said = gateway.describe(error) if isinstance(error, gateway.StripeError) else error
        log.warning("event not applied: %s", said, extra=_said(event))
        raise APIError(503, "try_again", "The event could not be applied now.") from None
    log.info("event handled", extra={**_said(event), "outcome": outcome})
    return outcome


def not_for_us(event: Event) -> str | None:
    if event.type not in HANDLED:
        return "a type that we do not handle"
    if event.livemode != gateway.is_live():
        return "of the other mode"
    if event.account is not None:
        return "of a connected account"
    if event.is_echo:
        return "a change that we do not copy"
    return None


def _said(event: Event) -> dict[str, str | None]:
    return {"event_id": event.id, "event_type": event.type, "customer_id": event.customer_id}

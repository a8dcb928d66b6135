"""The webhook endpoint: verify the raw bytes, record the event, fetch the current state."""

from __future__ import annotations

import logging

from flask import abort, current_app, request
from sqlalchemy.exc import SQLAlchemyError

from saas import deadlines, metrics, security
from saas.billing import bp, events, gateway
from saas.billing.gateway import BadEvent, BadSignature, Event
from saas.database import now
from saas.errors import APIError

log = logging.getLogger("saas.billing")

TIMEOUT = 9.0  # seconds; we always respond within them, because Stripe gives up after ten


@bp.post("/api/webhooks/stripe")
@security.csrf_exempt
def webhook() -> tuple[dict[str, str], int]:
    payload = request.get_data()
    if len(payload) >= current_app.config["MAX_CONTENT_LENGTH"]:
        abort(413)  # chunked requests have no Content-Length
    try:
        event = gateway.verify(payload, request.headers.get("Stripe-Signature"))
    except BadSignature as error:
        metrics.WEBHOOK_EVENTS.labels("unknown", "bad signature").inc()
        raise APIError(400, "bad_signature", f"Not accepted: {error}.") from None
    except BadEvent as error:
        raise APIError(400, "bad_event", f"Not an event: {error}.") from None
    outcome = "failed"
    try:
        outcome = receive(event)
    finally:
        of_type = event.type if event.type in events.HANDLED_TYPES else "other"
        metrics.WEBHOOK_EVENTS.labels(of_type, outcome).inc()
    metrics.WEBHOOK_EVENT_AGE.observe(max((now() - event.created).total_seconds(), 0))
    return {"outcome": outcome}, 200


def receive(event: Event) -> str:
    """Apply an event and return the outcome. Raises `APIError` 503, so that Stripe retries."""
    if reason := events.ignore_reason(event):
        log.info("event ignored: %s", reason, extra=_outcome_response(event))
        return "ignored"
    try:
        with deadlines.deadline(TIMEOUT):
            if not events.record(event):
                return "seen"
            outcome = events.process(event.id, event.customer_id, event.metadata, event.object_id)
    except (gateway.StripeError, SQLAlchemyError) as error:
        description = gateway.describe(error) if isinstance(error, gateway.StripeError) else error
        log.warning("event not applied: %s", description, extra=_outcome_response(event))
        raise APIError(
            503, "try_again", "The event could not be applied. It will be retried."
        ) from None
    log.info("event handled", extra={**_outcome_response(event), "outcome": outcome})
    return outcome


def _outcome_response(event: Event) -> dict[str, str | None]:
    return {"event_id": event.id, "event_type": event.type, "customer_id": event.customer_id}

"""Complete an event in the ledger, in the transaction of its effect; and what metrics read."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import bindparam, func, select, update

from saas import database, metrics
from saas.billing.models import StripeEvent, SubscriptionChange
from saas.database import db, now

REPAIRS = ("period end", "trial end", "flask billing sync")  # causes of changes
_EVENTS = database.table(StripeEvent)
_MARK_PROCESSED = (
    update(_EVENTS)
    .where(_EVENTS.c.id == bindparam("event_id"), _EVENTS.c.processed_at.is_(None))
    .values(processed_at=bindparam("at"), attempts=_EVENTS.c.attempts + 1, last_error=None)
)


def mark_processed(event_id: str) -> bool:
    """Record that an event was applied. Return False if another process recorded it first.

    Joins the transaction of the effect, which the caller rolls back in that case.
    """
    with database.write_transaction():
        claimed = database.execute_core(_MARK_PROCESSED, {"event_id": event_id, "at": now()})
    return bool(claimed)


@metrics.gauge("saas_events_unprocessed", "Recorded events of Stripe that were not applied yet.")
def _unprocessed() -> float:
    count = select(func.count()).select_from(StripeEvent)
    return db.session.scalar(count.where(StripeEvent.processed_at.is_(None))) or 0


@metrics.gauge("saas_events_silent_seconds", "Time since the last event of Stripe arrived.")
def _silent() -> float:
    last = db.session.scalar(select(func.max(StripeEvent.received_at)))
    return (now() - last).total_seconds() if last else 0


@metrics.gauge(
    "saas_drift_repaired",
    "Changes of the last day that a command or a periodic task found, because no event told them.",
)
def _repaired() -> float:
    recent = SubscriptionChange.at > now() - timedelta(days=1)
    count = select(func.count()).select_from(SubscriptionChange).where(recent)
    return db.session.scalar(count.where(SubscriptionChange.cause.in_(REPAIRS))) or 0

"""The ledger of events: what arrived, what became of it."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, update

from saas import database, jobs, logs
from saas.billing.gateway import Event
from saas.billing.models import StripeEvent
from saas.database import db, now

KEPT = timedelta(days=90)


def record(event: Event) -> bool:
    """Note that an event arrived; False when it has been processed before."""
    with database.write_transaction():
        database.insert_or_ignore(
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
        row = db.session.get(StripeEvent, event.id, populate_existing=True)
    return row is None or row.processed_at is None


def finish(event_id: str) -> bool:
    """Note that an event has had its effect; False when somebody else noted it before.

    Joins the transaction of the effect, which is to be rolled back in that case.
    """
    with database.write_transaction():
        claimed = database.execute(
            update(StripeEvent)
            .where(StripeEvent.id == event_id, StripeEvent.processed_at.is_(None))
            .values(processed_at=now(), attempts=StripeEvent.attempts + 1, last_error=None)
        )
    return bool(claimed)


def fail(event_id: str, error: Exception) -> None:
    """Note that an event could not be applied; Stripe delivers it again."""
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
def prune() -> None:
    """Events that were processed long ago are not needed: Stripe repeats none after 30 days."""
    with database.write_transaction():
        database.execute(delete(StripeEvent).where(StripeEvent.processed_at < now() - KEPT))

"""Complete an event in the ledger, in the transaction of its effect."""

from __future__ import annotations

from sqlalchemy import update

from saas import database
from saas.billing.models import StripeEvent
from saas.database import now


def mark_processed(event_id: str) -> bool:
    """Record that an event was applied. Return False if another process recorded it first.

    Joins the transaction of the effect, which the caller rolls back in that case.
    """
    with database.write_transaction():
        claimed = database.execute(
            update(StripeEvent)
            .where(StripeEvent.id == event_id, StripeEvent.processed_at.is_(None))
            .values(processed_at=now(), attempts=StripeEvent.attempts + 1, last_error=None)
        )
    return bool(claimed)

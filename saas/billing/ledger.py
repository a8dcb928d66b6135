"""The ledger's last line of an event: noted in the transaction of what the event has changed."""

from __future__ import annotations

from sqlalchemy import update

from saas import database
from saas.billing.models import StripeEvent
from saas.database import now


def mark_processed(event_id: str) -> bool:
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

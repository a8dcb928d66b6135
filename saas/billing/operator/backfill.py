"""Apply events that never arrived, and replay events.

The order does not matter: an event only says which customer to sync.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update

from saas import database
from saas.billing import events, gateway
from saas.billing.gateway import Event
from saas.billing.models import StripeEvent
from saas.database import db

STRIPE_RETENTION = timedelta(days=30)  # https://docs.stripe.com/api/events/list


class UnknownEvent(Exception):
    """Neither the ledger nor Stripe has this event."""


@dataclass(frozen=True)
class Batch:
    """A page of Stripe's events: their number, and the ones that are missing here."""

    checked: int
    missing: list[Event]


def missing(since: datetime) -> Iterator[Batch]:
    """Yield the handled events that are not processed in our ledger, newest first.

    Writes nothing. Takes a call per hundred events.
    """
    for types in _batches(events.HANDLED_TYPES):
        cursor = None
        while True:
            page = gateway.event_page(types, since, cursor)
            yield Batch(len(page.events), _unprocessed(page.events))
            cursor = page.next
            if cursor is None:
                break


def apply(event: Event) -> str:
    """Record an event, apply it and return the outcome. Raises `gateway.StripeError`."""
    events.record(event)
    return events.process(event.id, event.customer_id, event.metadata, event.object_id)


def replay(event_id: str) -> str:
    """Apply an event again, as Stripe or our ledger has it, and return the outcome.

    No email is sent twice, since each has a key. Raises `UnknownEvent` and `gateway.StripeError`.
    """
    try:
        event = gateway.event(event_id)
    except gateway.NotFound:
        return _replay_from_ledger(event_id)
    if reason := events.ignore_reason(event):
        return f"ignored: {reason}"
    events.record(event)
    _reopen(event_id)
    return events.process(event.id, event.customer_id, event.metadata, event.object_id)


def latest(limit: int, *, failed: bool = False) -> Sequence[StripeEvent]:
    """Return the newest events of the ledger; with `failed`, only those not applied yet."""
    newest = select(StripeEvent).order_by(StripeEvent.received_at.desc()).limit(limit)
    if failed:
        newest = newest.where(StripeEvent.processed_at.is_(None))
    return db.session.scalars(newest).all()


def _replay_from_ledger(event_id: str) -> str:
    """Replay an event that Stripe no longer keeps: the id of the customer is enough."""
    row = db.session.get(StripeEvent, event_id)
    if row is None:
        raise UnknownEvent(event_id)
    _reopen(event_id)
    return events.process(event_id, row.customer_id, object_id=row.object_id)


def _reopen(event_id: str) -> None:
    """Mark an event as not processed; after a crash the periodic task applies it."""
    with database.write_transaction():
        database.execute(
            update(StripeEvent).where(StripeEvent.id == event_id).values(processed_at=None)
        )


def _unprocessed(listed: list[Event]) -> list[Event]:
    ours = [event for event in listed if not events.ignore_reason(event)]
    database.release_connection()
    known = db.session.scalars(
        select(StripeEvent.id)
        .where(StripeEvent.id.in_([event.id for event in ours]))
        .where(StripeEvent.processed_at.is_not(None))
    )
    processed = set(known)
    database.release_connection()
    return [event for event in ours if event.id not in processed]


def _batches(types: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Split the types into batches no larger than Stripe's filter allows."""
    for start in range(0, len(types), gateway.MAX_EVENT_TYPES):
        yield types[start : start + gateway.MAX_EVENT_TYPES]

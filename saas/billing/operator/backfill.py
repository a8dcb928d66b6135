"""Apply what never arrived: events that Stripe has and our ledger lacks; and old ones again.

Nothing here depends on order, as nothing does: an event only says about whom to ask.
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
    """A page of Stripe's events: how many, and which of them we lack."""

    checked: int
    missing: list[Event]


def missing(since: datetime) -> Iterator[Batch]:
    """Events of the types that we handle which the ledger has not as processed, newest first.

    Reads only. Begun again after an interruption it costs a call for each hundred events.
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
    """Note an event and apply it; what came of it, in a word. Raises `gateway.StripeError`."""
    events.record(event)
    return events.process(event.id, event.customer_id, event.metadata)


def replay(event_id: str) -> str:
    """Apply an event again, from Stripe's copy or from the ledger's; what came of it, in a word.

    No mail goes out twice: each has a key. Raises `UnknownEvent` and `gateway.StripeError`.
    """
    try:
        event = gateway.event(event_id)
    except gateway.NotFound:
        return _replay_from_ledger(event_id)
    if reason := events.ignore_reason(event):
        return f"ignored: {reason}"
    events.record(event)
    _reopen(event_id)
    return events.process(event.id, event.customer_id, event.metadata)


def latest(limit: int, *, failed: bool = False) -> Sequence[StripeEvent]:
    """The ledger's newest events; of those that are not applied yet, if it is only these."""
    newest = select(StripeEvent).order_by(StripeEvent.received_at.desc()).limit(limit)
    if failed:
        newest = newest.where(StripeEvent.processed_at.is_(None))
    return db.session.scalars(newest).all()


def _replay_from_ledger(event_id: str) -> str:
    """Stripe has forgotten it; the customer is all that is needed."""
    row = db.session.get(StripeEvent, event_id)
    if row is None:
        raise UnknownEvent(event_id)
    _reopen(event_id)
    return events.process(event_id, row.customer_id)


def _reopen(event_id: str) -> None:
    """As if it had not been processed: should we crash now, the sweep finds it."""
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
    """Stripe lists so many types at once, and no more."""
    for start in range(0, len(types), gateway.MAX_EVENT_TYPES):
        yield types[start : start + gateway.MAX_EVENT_TYPES]

"""The rows of the lists: events, emails, the audit log, and what concerns one user."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Select, func, select

from saas import database
from saas.admin.listing import Listing, parse_id
from saas.auth import audit
from saas.auth.models import AuditEntry, User
from saas.billing.models import StripeEvent
from saas.database import db, now
from saas.mail.models import OutboxMessage

Filters = Mapping[str, str]
_AGES = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}


def user(user_id: uuid.UUID) -> User | None:
    """Return a user, or None."""
    return db.session.get(User, user_id)


def email(message_id: uuid.UUID) -> OutboxMessage | None:
    """Return an email of the outbox, or None."""
    return db.session.get(OutboxMessage, message_id)


def events_of(user: User, limit: int) -> Sequence[StripeEvent]:
    """Return the newest events of a user's customer."""
    if not user.stripe_customer_id:
        return []
    mine = select(StripeEvent).where(StripeEvent.customer_id == user.stripe_customer_id)
    return db.session.scalars(mine.order_by(StripeEvent.received_at.desc()).limit(limit)).all()


def emails_of(user: User, limit: int) -> Sequence[OutboxMessage]:
    """Return the newest emails to a user."""
    mine = select(OutboxMessage).where(OutboxMessage.subject_id == user.id)
    return db.session.scalars(mine.order_by(OutboxMessage.id.desc()).limit(limit)).all()


def events(filters: Filters) -> Listing:
    """Return events by state, type and customer, newest first."""
    query = _in_state(select(StripeEvent), filters.get("state", ""))
    if kind := filters.get("type"):
        query = query.where(StripeEvent.type == kind)
    if age := _AGES.get(filters.get("age", "")):
        query = query.where(StripeEvent.received_at > now() - age)
    if customer := filters.get("customer"):
        query = query.where(StripeEvent.customer_id == customer)
    return Listing(query, (StripeEvent.received_at, StripeEvent.id), _time_and_id)


def count_failed_events() -> int:
    """Return the number of events that could not be applied yet."""
    return (
        db.session.scalar(_in_state(select(func.count()).select_from(StripeEvent), "failed")) or 0
    )


def failed_events(limit: int) -> Sequence[str]:
    """Return the ids of events that could not be applied yet, oldest first."""
    failed = _in_state(select(StripeEvent.id), "failed").order_by(StripeEvent.received_at)
    return db.session.scalars(failed.limit(limit)).all()


def event_state(row: StripeEvent) -> str:
    """Return applied, failed or waiting."""
    if row.processed_at:
        return "applied"
    return "failed" if row.attempts else "waiting"


def emails(filters: Filters) -> Listing:
    """Return emails by state and kind, newest first."""
    query = select(OutboxMessage)
    state = filters.get("state", "")
    if state in ("waiting", "pending"):
        query = query.where(OutboxMessage.due_at.isnot(None))
    if state == "waiting":
        query = query.where(OutboxMessage.last_error.is_(None))
    if state == "failed":
        query = query.where(OutboxMessage.last_error.isnot(None))
    if state == "sent":
        query = query.where(OutboxMessage.handed_over_at.isnot(None))
    if age := _AGES.get(filters.get("age", "")):
        query = query.where(OutboxMessage.id > database.first_id(now() - age))
    if kind := filters.get("kind"):
        query = query.where(OutboxMessage.kind == kind)
    return Listing(query, (OutboxMessage.id,), parse_id)


def email_state(row: OutboxMessage) -> str:
    """Return sent, waiting, failed or skipped."""
    if row.handed_over_at:
        return "sent"
    if row.is_waiting:
        return "failed" if row.last_error else "waiting"
    return "failed" if row.last_error else "skipped"


def audit_entries(filters: Filters) -> Listing:
    """Return audit entries by action, actor and user, newest first."""
    query = select(AuditEntry)
    if action := filters.get("action"):
        query = query.where(AuditEntry.action.startswith(action, autoescape=True))
    for name, column in (("actor", AuditEntry.actor), ("user", AuditEntry.subject_id)):
        if typed := filters.get(name, "").strip():
            query = query.where(column == _user_id(typed, as_text=name == "actor"))
    return Listing(query, (AuditEntry.id,), parse_id)


def recipients(rows: Sequence[OutboxMessage]) -> dict[uuid.UUID, str]:
    """Return the emails of the users that emails are about; sign-in emails are about a link."""
    users = db.session.execute(
        select(User.id, User.email).where(User.id.in_({row.subject_id for row in rows}))
    )
    return {row.id: row.email for row in users}


def customers(rows: Sequence[StripeEvent]) -> dict[str, Any]:
    """Return the id and email of the users that events are about, by customer id."""
    ids = {row.customer_id for row in rows}
    users = db.session.execute(
        select(User.stripe_customer_id, User.id, User.email).where(User.stripe_customer_id.in_(ids))
    )
    return {row.stripe_customer_id: row for row in users}


def names_in(rows: Sequence[AuditEntry]) -> dict[str, str]:
    """Return the emails of actors and users by id as text."""
    ids = {row.subject_id for row in rows}
    ids |= {uuid.UUID(row.actor) for row in rows if row.actor != audit.OPERATOR}
    users = db.session.execute(select(User.id, User.email).where(User.id.in_(ids)))
    return {str(row.id): row.email for row in users}


def _in_state(query: Select[Any], state: str) -> Select[Any]:
    if state == "applied":
        return query.where(StripeEvent.processed_at.isnot(None))
    if state == "failed":
        return query.where(StripeEvent.processed_at.is_(None), StripeEvent.attempts > 0)
    if state == "waiting":
        return query.where(StripeEvent.processed_at.is_(None), StripeEvent.attempts == 0)
    return query


def _user_id(typed: str, *, as_text: bool) -> Any:
    """Return the id for an email, an id or "operator"; the nil id if no user has the email."""
    if as_text and typed == audit.OPERATOR:
        return typed
    known = db.session.scalar(select(User.id).where(User.email == typed.lower()))
    try:
        user_id = known or uuid.UUID(typed)
    except ValueError:
        user_id = uuid.UUID(int=0)
    return str(user_id) if as_text else user_id


def _time_and_id(cursor: str) -> tuple[datetime, str]:
    at, _, event_id = cursor.partition("~")
    try:
        return datetime.fromisoformat(at).astimezone(UTC), event_id
    except OverflowError as error:
        raise ValueError(cursor) from error

"""Enqueue emails and send them.

An email is a row, written in the transaction that causes it, so it is enqueued exactly once. It is
sent at least once, always with the same Message-ID: if the process crashes after the server
accepted it and before we recorded it, it is sent again.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Select, delete, func, or_, select, update

from saas import database, jobs, metrics
from saas.database import db, now
from saas.mail import transports
from saas.mail.models import OutboxMessage
from saas.mail.transports import Email

log = logging.getLogger("saas.mail")

LEASE = timedelta(minutes=2)  # after which another worker may send it
KEPT = timedelta(days=400)  # longer than a year, so that no yearly email is enqueued again
GIVE_UP_AFTER = 17  # attempts, over about three days
_LONGEST_PAUSE = timedelta(hours=12)

Composer = Callable[..., Email | None]
Preview = Callable[[], Email]
# Waiting, or given up on.
_UNSENT = (OutboxMessage.due_at.isnot(None), OutboxMessage.last_error.isnot(None))
_composers: dict[str, Composer] = {}
_previews: dict[str, Preview] = {}

__all__ = ["Email", "RetryLater", "delete_for", "deliver", "email", "enqueue", "flush", "preview"]


class RetryLater(Exception):
    """Raised by a composer when the content cannot be known yet; the email is retried later."""


@dataclass(frozen=True)
class DeliveryResult:
    """The number of emails sent, skipped and refused."""

    sent: int = 0
    skipped: int = 0  # no longer relevant
    failed: int = 0  # retried later

    def __add__(self, other: DeliveryResult) -> DeliveryResult:
        return DeliveryResult(
            self.sent + other.sent, self.skipped + other.skipped, self.failed + other.failed
        )


def email(kind: str) -> Callable[[Composer], Composer]:
    """Register the function that composes emails of `kind`.

    It is called with the subject's id, the `context` of `enqueue` as keyword arguments, and `to` if
    the row has an address. It returns None if the email is no longer relevant, for example because
    the user was deleted. No transaction is open, so it may call external services. If it raises,
    the email is retried later.
    """

    def register(composer: Composer) -> Composer:
        first = _composers.setdefault(kind, composer)
        if (first.__module__, first.__qualname__) != (composer.__module__, composer.__qualname__):
            raise ValueError(
                f"Two emails are called {kind!r}: one in {first.__module__}, one in "
                f"{composer.__module__}. Rename one of them."
            )
        return composer

    return register


def preview(kind: str) -> Callable[[Preview], Preview]:
    """Register a function that returns a sample email of `kind`, for `flask mail preview`."""

    def register(made_up: Preview) -> Preview:
        _previews[kind] = made_up
        return made_up

    return register


def previews() -> Mapping[str, Preview]:
    """Return the sample functions by kind."""
    return dict(sorted(_previews.items()))


def kinds() -> list[str]:
    """Return all kinds of emails."""
    return sorted(_composers)


def enqueue(
    kind: str,
    subject_id: uuid.UUID,
    *,
    key: str | None = None,
    context: Mapping[str, Any] | None = None,
    to: str | None = None,
) -> bool:
    """Add an email to the outbox, once per `key`; return whether it is new.

    `context` holds ids and dates as JSON, never names, emails or secrets; the composer gets it as
    keyword arguments. `to` is for a user whose row is deleted in this transaction; it is deleted
    once the email has been sent. Call inside `write_transaction()`.
    """
    if kind not in _composers:
        raise ValueError(f"no email is registered for {kind!r}")
    message_id = database.uuid7()
    is_new = database.insert_or_ignore(
        OutboxMessage,
        id=message_id,
        key=key or f"{kind}:{subject_id}",
        kind=kind,
        subject_id=subject_id,
        context=dict(context) if context else None,
        to_address=to,
        created_at=now(),
        attempts=0,
        due_at=now(),
    )
    if is_new:
        deliver.enqueue(str(message_id))
    return is_new


@jobs.task
def deliver(message_id: str) -> None:
    """Compose and send an email; retry later if that fails."""
    _deliver(uuid.UUID(message_id))


@jobs.periodic_task(minutes=0.25)
def flush() -> None:
    """Send all due emails, including those of lost jobs and dead workers."""
    deliver_due()


@jobs.daily(at="03:10")
def delete_old_messages() -> None:
    """Delete emails that were sent, skipped or given up on long ago."""
    database.delete_older(OutboxMessage, KEPT, OutboxMessage.due_at.is_(None))


def deliver_due() -> DeliveryResult:
    """Send all due emails, oldest first, and return the result."""
    due = (
        select(OutboxMessage.id).where(OutboxMessage.due_at <= now()).order_by(OutboxMessage.due_at)
    )
    results = [_deliver(message_id) for message_id in db.session.scalars(due.limit(500)).all()]
    return DeliveryResult(*(results.count(what) for what in ("sent", "skipped", "failed")))


def retry_failed() -> int:
    """Retry emails that were given up on; return their number.

    For operators whose mail server was down for longer than the retries last.
    """
    given_up = (OutboxMessage.due_at.is_(None), OutboxMessage.last_error.isnot(None))
    with database.write_transaction():
        return database.execute(
            update(OutboxMessage).where(*given_up).values(due_at=now(), attempts=0)
        )


def latest(subject_id: uuid.UUID) -> OutboxMessage | None:
    """Return the newest email about a subject that was sent, or is to be sent."""
    mine = select(OutboxMessage).where(OutboxMessage.subject_id == subject_id)
    kept = mine.where(or_(OutboxMessage.handed_over_at.isnot(None), *_UNSENT))
    return db.session.scalar(kept.order_by(OutboxMessage.id.desc()).limit(1))


def send_again(message: OutboxMessage) -> bool:
    """Send an email now: one that failed, or a copy of one that was sent.

    Its content is composed again. Returns False for one that is no longer relevant.
    """
    if not _is_relevant(message):
        return False
    mine = OutboxMessage.id == message.id
    with database.write_transaction():
        unsent = update(OutboxMessage).where(mine, OutboxMessage.handed_over_at.is_(None))
        is_unsent = database.execute(
            unsent.where(or_(*_UNSENT)).values(due_at=now(), attempts=0, last_error=None)
        )
        if is_unsent:
            deliver.enqueue(str(message.id))
        elif message.handed_over_at:
            # Twice in the same minute is a double click.
            key = f"{message.key}:again:{now():%Y-%m-%d %H:%M}"
            enqueue(message.kind, message.subject_id, key=key, context=message.context)
        else:
            return False
    return True


def delete_for(subjects: Select[uuid.UUID]) -> None:
    """Delete the emails about these subjects. Call inside `write_transaction()`."""
    database.execute(delete(OutboxMessage).where(OutboxMessage.subject_id.in_(subjects)))


def was_sent(key: str) -> bool:
    """Return whether the email with this key has been sent."""
    sent = select(OutboxMessage.id).where(
        OutboxMessage.key == key, OutboxMessage.handed_over_at.isnot(None)
    )
    return db.session.scalar(sent) is not None


def is_pending(key: str) -> bool:
    """Return whether the email with this key is due or being sent."""
    undone = select(OutboxMessage.id).where(
        OutboxMessage.key == key, OutboxMessage.due_at.isnot(None)
    )
    return db.session.scalar(undone) is not None


def count_pending() -> int:
    """Return the number of emails that have not been sent yet, due or not."""
    undone = select(func.count()).select_from(OutboxMessage).where(OutboxMessage.due_at.isnot(None))
    return db.session.scalar(undone) or 0


@metrics.gauge("saas_outbox_pending", "Emails that have not been sent yet.")
def _pending() -> float:
    return count_pending()


@metrics.gauge("saas_outbox_oldest_seconds", "Age of the oldest email that has not been sent yet.")
def _oldest_pending() -> float:
    pending = select(func.min(OutboxMessage.created_at)).where(OutboxMessage.due_at.isnot(None))
    oldest = db.session.scalar(pending)
    return (now() - oldest).total_seconds() if oldest else 0


def _deliver(message_id: uuid.UUID) -> str:
    message = _claim(message_id)
    if message is None:
        return "taken"
    try:
        composed = _composers[message.kind](message.subject_id, **_arguments(message))
        database.release_connection()
        if composed is not None:
            transports.send(composed, message.id)
    except Exception as error:
        _retry_later(message, error)
        return "failed"
    _finish(message, was_sent=composed is not None)
    return "sent" if composed is not None else "skipped"


def _is_relevant(message: OutboxMessage) -> bool:
    """Return whether an email would be sent now, such as one about a plan that has not ended."""
    try:
        return _composers[message.kind](message.subject_id, **_arguments(message)) is not None
    except Exception:  # the worker tries again, and records the reason
        return True


def _arguments(message: OutboxMessage) -> dict[str, Any]:
    to = {"to": message.to_address} if message.to_address else {}
    return {**(message.context or {}), **to}


def _claim(message_id: uuid.UUID) -> OutboxMessage | None:
    """Lease a message for sending; return None if another worker has it or it is done."""
    with database.write_transaction() as session:
        claimed = database.execute(
            update(OutboxMessage)
            .where(OutboxMessage.id == message_id, OutboxMessage.due_at <= now())
            .values(due_at=now() + LEASE, attempts=OutboxMessage.attempts + 1)
        )
        if not claimed:
            return None
        return session.get(OutboxMessage, message_id, populate_existing=True)


def _finish(message: OutboxMessage, *, was_sent: bool) -> None:
    """Mark the message as done, and erase its address."""
    at = now() if was_sent else None
    _update(message, due_at=None, handed_over_at=at, last_error=None, to_address=None)


def _retry_later(message: OutboxMessage, error: Exception) -> None:
    """Retry later with a doubling interval; give up after the last attempt, and log it."""
    if _lost_lease(message):
        return
    is_hopeless = isinstance(error, transports.PermanentFailure)
    failed_for_good = is_hopeless or message.attempts >= GIVE_UP_AFTER
    pause = min(timedelta(seconds=5) * 2**message.attempts, _LONGEST_PAUSE)
    _update(
        message,
        due_at=None if failed_for_good else now() + pause,
        last_error=transports.describe(error),
        **({"to_address": None} if failed_for_good else {}),
    )
    log.log(
        _severity(error, failed_for_good),
        "email %s of kind %s could not be sent (attempt %s): %s",
        message.id,
        message.kind,
        message.attempts,
        transports.describe(error),
    )


def _severity(error: Exception, failed_for_good: bool) -> int:
    if failed_for_good:
        return logging.ERROR
    return logging.INFO if isinstance(error, RetryLater) else logging.WARNING


def _lost_lease(message: OutboxMessage) -> bool:
    """Return whether the lease has expired and another worker has tried since."""
    tries = select(OutboxMessage.attempts).where(OutboxMessage.id == message.id)
    return db.session.scalar(tries) != message.attempts


def _update(message: OutboxMessage, **values: object) -> None:
    with database.write_transaction():
        database.execute(
            update(OutboxMessage).where(OutboxMessage.id == message.id).values(**values)
        )

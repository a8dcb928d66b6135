"""Promise a mail, and hand it over.

A promise is a row, written in the transaction of what causes it, so it exists exactly once.
Handing over happens at least once, with a Message-ID that stays the same: nobody can do better
across a crash between the server's acceptance and our note of it.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Select, delete, func, select, update

from saas import database, jobs
from saas.database import db, now
from saas.mail import transports
from saas.mail.models import OutboxMessage
from saas.mail.transports import Email

log = logging.getLogger("saas.mail")

LEASE = timedelta(minutes=2)  # how long a worker has before another may try
GIVE_UP_AFTER = 17  # attempts, over about three days
_LONGEST_PAUSE = timedelta(hours=12)

Composer = Callable[..., Email | None]
Preview = Callable[[], Email]
_composers: dict[str, Composer] = {}
_previews: dict[str, Preview] = {}

__all__ = ["Email", "RetryLater", "delete_for", "deliver", "email", "enqueue", "flush", "preview"]


class RetryLater(Exception):
    """For a composer to raise while it cannot be known what is to be said; it is asked again."""


@dataclass(frozen=True)
class DeliveryResult:
    """What came of handing over what was due."""

    sent: int = 0
    skipped: int = 0  # no longer applied
    failed: int = 0  # are tried again later

    def __add__(self, other: DeliveryResult) -> DeliveryResult:
        return DeliveryResult(
            self.sent + other.sent, self.skipped + other.skipped, self.failed + other.failed
        )


def email(kind: str) -> Callable[[Composer], Composer]:
    """Register the function that composes mails of `kind`.

    It is called with the id of their subject, and by keyword with what `promise` noted `context` it
    and, where there was one, the address `to` send to. It answers None when the mail has lost its
    sense meanwhile: the person is gone, the link used. No transaction is open, so it may ask
    others; when it raises, the mail is tried again later.
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
    """Register a function that makes a mail of `kind` up, for `flask mail preview`."""

    def register(made_up: Preview) -> Preview:
        _previews[kind] = made_up
        return made_up

    return register


def previews() -> Mapping[str, Preview]:
    """A made-up mail of each kind, by name."""
    return dict(sorted(_previews.items()))


def kinds() -> list[str]:
    """Every kind of mail that can be promised."""
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
    once the email was sent. Call inside `write_transaction()`.
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
    """Compose a promised mail and hand it to the mail server; later again when that fails."""
    _deliver(uuid.UUID(message_id))


@jobs.periodic_task(minutes=1)
def flush() -> None:
    """Hand over everything that is due: what a lost job or a dead worker left behind."""
    deliver_due()


def deliver_due() -> DeliveryResult:
    """Hand over everything that is due, the oldest first; what came of it."""
    due = (
        select(OutboxMessage.id).where(OutboxMessage.due_at <= now()).order_by(OutboxMessage.due_at)
    )
    results = [_deliver(message_id) for message_id in db.session.scalars(due.limit(500)).all()]
    return DeliveryResult(*(results.count(what) for what in ("sent", "skipped", "failed")))


def retry_failed() -> int:
    """Try again what was given up, as if it were new; how many there are.

    For an operator whose mail server was away for longer than the tries last.
    """
    given_up = (OutboxMessage.due_at.is_(None), OutboxMessage.last_error.isnot(None))
    with database.write_transaction():
        return database.execute(
            update(OutboxMessage).where(*given_up).values(due_at=now(), attempts=0)
        )


def delete_for(subjects: Select[uuid.UUID]) -> None:
    """Delete the emails about these subjects. Call inside `write_transaction()`."""
    database.execute(delete(OutboxMessage).where(OutboxMessage.subject_id.in_(subjects)))


def was_sent(key: str) -> bool:
    """Whether the mail that was promised under this key has been result over."""
    sent = select(OutboxMessage.id).where(
        OutboxMessage.key == key, OutboxMessage.handed_over_at.isnot(None)
    )
    return db.session.scalar(sent) is not None


def is_pending(key: str) -> bool:
    """Whether the mail that was promised under this key is due, or in somebody's hands."""
    undone = select(OutboxMessage.id).where(
        OutboxMessage.key == key, OutboxMessage.due_at.isnot(None)
    )
    return db.session.scalar(undone) is not None


def count_pending() -> int:
    """How many mails wait for their turn, due or not."""
    undone = select(func.count()).select_from(OutboxMessage).where(OutboxMessage.due_at.isnot(None))
    return db.session.scalar(undone) or 0


def _deliver(message_id: uuid.UUID) -> str:
    message = _claim(message_id)
    if message is None:
        return "somebody else's"
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


def _arguments(message: OutboxMessage) -> dict[str, Any]:
    to = {"to": message.to_address} if message.to_address else {}
    return {**(message.context or {}), **to}


def _claim(message_id: uuid.UUID) -> OutboxMessage | None:
    """Take a message for the length of a lease; None when somebody else has it or it is done."""
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
    """Nothing is left to do, and no address is left behind."""
    at = now() if was_sent else None
    _update(message, due_at=None, handed_over_at=at, last_error=None, to_address=None)


def _retry_later(message: OutboxMessage, error: Exception) -> None:
    """Try again later, with a pause that doubles; after the last attempt leave it, and say so."""
    if _lost_lease(message):
        return
    is_hopeless = isinstance(error, transports.PermanentFailure)
    failed_for_good = is_hopeless or message.attempts >= GIVE_UP_AFTER
    pause = min(timedelta(seconds=15) * 2**message.attempts, _LONGEST_PAUSE)
    _update(
        message,
        due_at=None if failed_for_good else now() + pause,
        last_error=transports.describe(error),
        **({"to_address": None} if failed_for_good else {}),
    )
    log.log(
        _severity(error, failed_for_good),
        "mail %s of kind %s was not result over (attempt %s): %s",
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
    """Whether our lease was over and somebody else has tried since: what they noted counts."""
    tries = select(OutboxMessage.attempts).where(OutboxMessage.id == message.id)
    return db.session.scalar(tries) != message.attempts


def _update(message: OutboxMessage, **values: object) -> None:
    with database.write_transaction():
        database.execute(
            update(OutboxMessage).where(OutboxMessage.id == message.id).values(**values)
        )

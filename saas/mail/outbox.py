"""Promise a mail, and hand it over.

A promise is a row, written in the transaction of what causes it, so it exists exactly once.
Handing over happens at least once, with a Message-ID that stays the same: nobody can do better
across a crash between the server's acceptance and our note of it.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import select, update

from saas import database, jobs
from saas.database import db, now
from saas.mail import transports
from saas.mail.models import OutboxMessage
from saas.mail.transports import Letter

log = logging.getLogger("saas.mail")

LEASE = timedelta(minutes=2)  # how long a worker has before another may try
GIVE_UP_AFTER = 12  # attempts, over about three days
_LONGEST_PAUSE = timedelta(hours=12)

Composer = Callable[[uuid.UUID], Letter | None]
_composers: dict[str, Composer] = {}

__all__ = ["Letter", "deliver", "flush", "letter", "promise"]


def letter(kind: str) -> Callable[[Composer], Composer]:
    """Register the function that composes mails of `kind` from the id of their subject.

    It answers None when the mail has lost its sense meanwhile: the person is gone, the link used.
    """

    def register(composer: Composer) -> Composer:
        _composers[kind] = composer
        return composer

    return register


def promise(kind: str, subject_id: uuid.UUID, *, key: str | None = None) -> None:
    """Promise the mail `kind` about a subject, once for each `key`. Call inside `writing()`."""
    if kind not in _composers:
        raise ValueError(f"no letter is registered for {kind!r}")
    message_id = database.uuid7()
    is_new = database.insert_if_new(
        OutboxMessage,
        id=message_id,
        key=key or f"{kind}:{subject_id}",
        kind=kind,
        subject_id=subject_id,
        created_at=now(),
        attempts=0,
        due_at=now(),
    )
    if is_new:
        deliver.enqueue(str(message_id))


@jobs.task
def deliver(message_id: str) -> None:
    """Compose a promised mail and hand it to the mail server; later again when that fails."""
    message = _claim(uuid.UUID(message_id))
    if message is None:
        return
    try:
        composed = _composers[message.kind](message.subject_id)
        database.end_reading()
        if composed is not None:
            transports.send(composed, message.id)
    except Exception as error:
        _put_off(message, error)
    else:
        _finish(message)


@jobs.sweep(minutes=1)
def flush() -> None:
    """Hand over everything that is due: what a lost job or a dead worker left behind."""
    due = (
        select(OutboxMessage.id).where(OutboxMessage.due_at <= now()).order_by(OutboxMessage.due_at)
    )
    for message_id in db.session.scalars(due.limit(500)).all():
        deliver(str(message_id))


def _claim(message_id: uuid.UUID) -> OutboxMessage | None:
    """Take a message for the length of a lease; None when somebody else has it or it is done."""
    with database.writing() as session:
        claimed = database.execute(
            update(OutboxMessage)
            .where(OutboxMessage.id == message_id, OutboxMessage.due_at <= now())
            .values(due_at=now() + LEASE, attempts=OutboxMessage.attempts + 1)
        )
        if not claimed:
            return None
        return session.get(OutboxMessage, message_id, populate_existing=True)


def _finish(message: OutboxMessage) -> None:
    _note(message, due_at=None, handed_over_at=now(), last_error=None)


def _put_off(message: OutboxMessage, error: Exception) -> None:
    """Try again later, with a pause that doubles; after the last attempt leave it, and say so."""
    failed_for_good = message.attempts >= GIVE_UP_AFTER
    pause = min(timedelta(seconds=15) * 2**message.attempts, _LONGEST_PAUSE)
    _note(
        message,
        due_at=None if failed_for_good else now() + pause,
        last_error=type(error).__name__,
    )
    log.log(
        logging.ERROR if failed_for_good else logging.WARNING,
        "mail %s of kind %s was not handed over (attempt %s): %s",
        message.id,
        message.kind,
        message.attempts,
        type(error).__name__,
    )


def _note(message: OutboxMessage, **values: object) -> None:
    with database.writing():
        database.execute(
            update(OutboxMessage).where(OutboxMessage.id == message.id).values(**values)
        )

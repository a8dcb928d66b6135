"""The audit log of actions by administrators and operators: actor, user, action and time.

Entries contain only ids and names of actions, so they identify no one once an account is deleted.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import select

from saas import database, jobs
from saas.auth.models import AuditEntry, User
from saas.database import db

OPERATOR = "operator"  # anyone who can run commands on the server
KEPT = timedelta(days=3 * 365)


def record(action: str, subject_id: uuid.UUID, *, by: str) -> None:
    """Record an action in the transaction that performs it.

    `action` is a word such as "promote"; `by` is `OPERATOR`, or the id of a user as text.
    """
    if not database.is_writing():
        raise RuntimeError("record an action inside the transaction that performs it")
    db.session.add(AuditEntry(action=action, subject_id=subject_id, actor=by))


def note(action: str, subject_id: uuid.UUID, *, by: str) -> None:
    """Record an action that writes nothing else, such as an export."""
    with database.write_transaction():
        record(action, subject_id, by=by)


def history(subject_id: uuid.UUID) -> Sequence[AuditEntry]:
    """Return the actions on a user, oldest first."""
    entries = select(AuditEntry).where(AuditEntry.subject_id == subject_id)
    return db.session.scalars(entries.order_by(AuditEntry.id)).all()


def name_of(entry: AuditEntry) -> str:
    """Return the name of an actor: an email, or the id of a deleted user."""
    if entry.actor == OPERATOR:
        return OPERATOR
    user = db.session.get(User, uuid.UUID(entry.actor))
    return user.email if user else entry.actor


@jobs.daily(at="03:20")
def delete_old_entries() -> None:
    """Delete entries that are too old to be of use."""
    database.delete_older(AuditEntry, KEPT)

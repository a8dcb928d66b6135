"""The audit log of actions by administrators and operators: actor, user, action and time.

Entries contain ids and names of actions, and a reason, which is erased with the account, so they
identify no one afterwards.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import select, update

from saas import database, jobs
from saas.auth.models import AuditEntry, User
from saas.database import db

OPERATOR = "operator"  # anyone who can run commands on the server
KEPT = timedelta(days=3 * 365)
LONGEST_REASON = 200  # characters


def record(action: str, subject_id: uuid.UUID, *, by: str, reason: str | None = None) -> None:
    """Record an action in the transaction that performs it.

    `action` is a word such as "promote"; `by` is `OPERATOR`, or the id of a user as text.
    """
    if not database.is_writing():
        raise RuntimeError("record an action inside the transaction that performs it")
    db.session.add(AuditEntry(action=action, subject_id=subject_id, actor=by, reason=reason))


def note(action: str, subject_id: uuid.UUID, *, by: str, reason: str | None = None) -> None:
    """Record an action that writes nothing else, such as an export."""
    with database.write_transaction():
        record(action, subject_id, by=by, reason=reason)


def clean_reason(reason: str) -> str:
    """Return a reason without surplus spaces. Raises `ValueError`."""
    reason = " ".join(reason.split())
    if not 1 <= len(reason) <= LONGEST_REASON:
        raise ValueError(f"Give a reason of 1 to {LONGEST_REASON} characters.")
    return reason


def erase_reasons(subject_id: uuid.UUID) -> None:
    """Erase the reasons of actions on a deleted user, but for that of the deletion.

    Call inside `write_transaction()`.
    """
    others = (AuditEntry.subject_id == subject_id, AuditEntry.action != "delete")
    database.execute(update(AuditEntry).where(*others).values(reason=None))


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

"""What administrators and operators did to an account: who, whom, what, when.

Ids and words alone: once a person is deleted, nothing here leads to them.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from sqlalchemy import select

from saas import database
from saas.auth.models import AuditEntry, User
from saas.database import db

OPERATOR = "operator"  # whoever may run commands on the server


def record(action: str, subject_id: uuid.UUID, *, by: str) -> None:
    """Note what was done, in the transaction that does it.

    `action` is a word such as "promote"; `by` is `OPERATOR`, or the id of a person as text.
    """
    if not database.is_writing():
        raise RuntimeError("what was done is recorded in the transaction that does it")
    db.session.add(AuditEntry(action=action, subject_id=subject_id, actor=by))


def note(action: str, subject_id: uuid.UUID, *, by: str) -> None:
    """Note what was done where nothing else is written: somebody has looked."""
    with database.write_transaction():
        record(action, subject_id, by=by)


def history(subject_id: uuid.UUID) -> Sequence[AuditEntry]:
    """What was done to somebody, the oldest first."""
    entries = select(AuditEntry).where(AuditEntry.subject_id == subject_id)
    return db.session.scalars(entries.order_by(AuditEntry.id)).all()


def name_of(entry: AuditEntry) -> str:
    """Who did it, by the address as long as there is one."""
    if entry.actor == OPERATOR:
        return OPERATOR
    user = db.session.get(User, uuid.UUID(entry.actor))
    return user.email if user else entry.actor

"""The outbox. Rows contain only ids, no email addresses and no content.

There is one temporary exception: an email to a user whose row is deleted in the same transaction
keeps its address until it is sent or given up on.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from saas.database import Key, Model, UTCDateTime, now


class OutboxMessage(Model):
    """An enqueued email. `key` is unique, so enqueuing it again has no effect."""

    __tablename__ = "outbox_messages"

    id: Mapped[Key]
    key: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    subject_id: Mapped[uuid.UUID]
    context: Mapped[dict[str, Any] | None] = mapped_column(JSON)  # ids and dates of the cause
    to_address: Mapped[str | None]  # only until it is sent or given up on
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    attempts: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    handed_over_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    last_error: Mapped[str | None]

    __table_args__ = (
        Index("ix_outbox_messages_due_at", "due_at"),
        Index("ix_outbox_messages_subject_id", "subject_id"),
        # For the filters of the admin pages, newest first.
        Index("ix_outbox_messages_kind_id", "kind", "id"),
        Index(
            "ix_outbox_messages_failed",
            "id",
            postgresql_where=text("last_error IS NOT NULL"),
            sqlite_where=text("last_error IS NOT NULL"),
        ),
    )

    @property
    def label(self) -> str:
        """The kind in words, such as "Payment failed"."""
        return self.kind.replace("_", " ").capitalize()

    @property
    def is_waiting(self) -> bool:
        return self.due_at is not None

"""The outbox. A row holds ids only: no address and no content is left behind in it."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from saas.database import Key, Model, UTCDateTime, now


class OutboxMessage(Model):
    """A mail that was promised. `key` exists once, so a promise repeated is the same promise."""

    __tablename__ = "outbox_messages"

    id: Mapped[Key]
    key: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    subject_id: Mapped[uuid.UUID]
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    attempts: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    handed_over_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    last_error: Mapped[str | None]

    __table_args__ = (Index("ix_outbox_messages_due_at", "due_at"),)

    @property
    def is_waiting(self) -> bool:
        return self.due_at is not None

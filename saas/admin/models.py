"""What the admin pages store."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON
from sqlalchemy.orm import Mapped, mapped_column

from saas.database import Model, UTCDateTime


class StoredReport(Model):
    """What a periodic task found, as of a time: the figures of the business, or missing events."""

    __tablename__ = "stored_reports"

    name: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    content: Mapped[dict[str, Any]] = mapped_column(JSON)

"""Reports that periodic tasks store, one row for each name."""

from __future__ import annotations

from typing import Any

from sqlalchemy import update

from saas import database
from saas.admin.models import StoredReport
from saas.database import now


def store(name: str, content: dict[str, Any]) -> None:
    """Store a report as of now, instead of an earlier one."""
    values = {"at": now(), "content": content}
    with database.write_transaction():
        if not database.insert_or_ignore(StoredReport, name=name, **values):
            database.execute(update(StoredReport).where(StoredReport.name == name).values(values))

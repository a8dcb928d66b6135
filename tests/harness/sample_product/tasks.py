from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete

from saas import database, jobs
from saas.database import now
from tests.harness.sample_product.models import Report


@jobs.daily(at="03:30")
def delete_old_reports() -> None:
    """Delete reports older than a year."""
    with database.write_transaction():
        database.execute(delete(Report).where(Report.written_at < now() - timedelta(days=365)))

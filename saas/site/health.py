"""Health checks: liveness and readiness."""

from __future__ import annotations

from flask import current_app
from sqlalchemy import update
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from saas import database, deadlines, jobs, logs, schema_state
from saas.database import now
from saas.schedule import TaskLease
from saas.site import bp

_WRITE_TIMEOUT = 2.0  # seconds


@bp.get("/healthz")
def healthz() -> dict[str, str]:
    return {"status": "alive"}


@bp.get("/readyz")
def readyz() -> tuple[dict[str, str], int]:
    """Return 200 if the database answers and is migrated, otherwise 503 with the failing part.

    During a release, the schema may be ahead of the old hosts, which stay ready.

    Without a worker, pages still work, so the status is 200 and `degraded`.
    """
    try:
        state = schema_state.state()
        if state not in ("current", "ahead"):
            return {"status": "unavailable", "migrations": state}, 503
        _try_to_write()
        overdue = jobs.overdue()
    except SQLAlchemyError as error:
        current_app.logger.warning(
            "not ready: %s", type(error).__name__, extra=logs.outage("not ready")
        )
        return {"status": "unavailable", "database": "does not answer"}, 503
    if overdue and overdue > jobs.MAX_OVERDUE:
        return {"status": "degraded", "worker": f"silent for {overdue.total_seconds():.0f} s"}, 200
    return {"status": "ready"}, 200


def _try_to_write() -> None:
    """Write a row: a database with a full disk, or a replica, answers but accepts nothing."""
    try:
        with deadlines.deadline(_WRITE_TIMEOUT), database.write_transaction():
            if not database.insert_or_ignore(TaskLease, name="readyz", due_at=now()):
                lease = update(TaskLease).where(TaskLease.name == "readyz")
                database.execute(lease.values(due_at=now()))
    except OperationalError as error:
        if "locked" not in str(error):  # SQLite, while another process writes
            raise

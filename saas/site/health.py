"""Health checks: liveness and readiness."""

from __future__ import annotations

from flask import current_app
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from saas import jobs, schema_state
from saas.database import db
from saas.site import bp


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
        db.session.execute(text("SELECT 1"))
        state = schema_state.state()
        overdue = jobs.overdue() if state in ("current", "ahead") else None
    except SQLAlchemyError as error:
        current_app.logger.warning("not ready: %s", type(error).__name__)
        return {"status": "unavailable", "database": "does not answer"}, 503
    if state not in ("current", "ahead"):
        return {"status": "unavailable", "migrations": state}, 503
    if overdue and overdue > jobs.MAX_OVERDUE:
        return {"status": "degraded", "worker": f"silent for {overdue.total_seconds():.0f} s"}, 200
    return {"status": "ready"}, 200

"""The plans of the statements that run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event, text

from saas.database import db

GROWING = (
    "users", "sessions", "sign_in_links", "outbox_messages", "stripe_events",
    "subscription_changes", "feature_uses", "audit_entries",
)  # fmt: skip


@contextmanager
def recorded() -> Iterator[list[tuple[str, Any]]]:
    """Collect the statements that run, with their parameters."""
    statements: list[tuple[str, Any]] = []

    def record(conn: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith(("SELECT", "UPDATE", "DELETE")):
            statements.append((statement, parameters))

    event.listen(db.engine, "before_cursor_execute", record)
    try:
        yield statements
    finally:
        event.remove(db.engine, "before_cursor_execute", record)


def plan(statement: str, parameters: Any) -> list[str]:
    """Return the lines of the database's plan."""
    is_postgres = db.engine.dialect.name == "postgresql"
    with db.engine.connect() as connection:
        if is_postgres:  # a small table is read whole, whatever indexes there are
            connection.execute(text("SET enable_seqscan = off"))
        explain = "EXPLAIN" if is_postgres else "EXPLAIN QUERY PLAN"
        rows = connection.exec_driver_sql(f"{explain} {statement}", parameters).all()
        return [str(row[-1]) for row in rows]


def full_scans(statements: list[tuple[str, Any]]) -> list[str]:
    scans = [f"Seq Scan on {table}" for table in GROWING] + [f"SCAN {table}" for table in GROWING]
    return [
        f"{line} in {statement}"
        for statement, parameters in statements
        for line in plan(statement, parameters)
        if any(scan in line and "USING" not in line for scan in scans)
    ]

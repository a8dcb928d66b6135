"""Describe database errors in one sentence for operators."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from saas.database import db

_ADVICE = {
    "unable to open database file": "the file {path} cannot be opened",
    "file is not a database": "the file {path} is not an SQLite database",
    "attempt to write a readonly database": "the file {path} is not writable",
    "database or disk is full": "the disk of {path} is full",
}
_NO_FREE_CONNECTION = ("too many clients already", "remaining connection slots")


def describe(error: SQLAlchemyError) -> str:
    """Return the driver's own reason, without statements, parameters or passwords."""
    reason = str(getattr(error, "orig", None) or type(error).__name__).strip()
    path = Path(db.engine.url.database or "")
    if meaning := _ADVICE.get(reason):
        return meaning.format(path=path) + _hint(path)
    if "too many clients already" in reason or "remaining connection slots" in reason:
        return (
            "PostgreSQL has no free connection: lower DATABASE_POOL_SIZE or raise max_connections"
        )
    # "connection to server at …, port 5432 failed: FATAL:  password authentication failed for …"
    lines = [line.strip() for line in reason.splitlines()]
    line = next((line for line in lines if "FATAL:" in line), lines[0])
    return line.rpartition("FATAL:")[2].strip() if "FATAL:" in line else line


def _hint(path: Path) -> str:
    if path.parent.is_file():
        return f": {path.parent} is a file, not a folder"
    if not path.parent.is_dir():
        return f": the folder {path.parent} does not exist"
    return ": it is a folder" if path.is_dir() else ""

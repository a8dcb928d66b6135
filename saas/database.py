"""Database transactions and the column types that models share.

Reads run in deferred transactions that end with the request. Every write happens inside
`write_transaction()`, which begins IMMEDIATE on SQLite, commits once at the end, and is never held
open during a call to an external service.
"""

from __future__ import annotations

import os
import random
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

from flask import Flask
from sqlalchemy import (
    ColumnElement,
    Connection,
    CursorResult,
    DateTime,
    Dialect,
    Engine,
    Executable,
    Table,
    delete,
    event,
    select,
)
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, mapped_column
from sqlalchemy.types import TypeDecorator

from saas import clock, deadlines, metrics, postgres_timeouts
from saas.extensions import db

if TYPE_CHECKING:
    from saas.extensions import Base as Model
else:
    Model = db.Model

__all__ = ["Model", "Key", "UTCDateTime", "db", "now", "uuid7", "write_transaction", "is_writing"]

_BATCH = 1000  # rows
_LOCK_TIMEOUT = 9.0  # seconds that a writer waits on SQLite; requests are answered within 10


def init_app(app: Flask) -> None:
    """Bind the session, and on SQLite set the pragmas and the way transactions begin."""
    db.init_app(app)
    postgres_timeouts.init_app(app)
    with app.app_context():
        for engine in db.engines.values():
            event.listen(engine, "checkout", lambda *_: metrics.DATABASE_CONNECTIONS.inc())
            event.listen(engine, "checkin", lambda *_: metrics.DATABASE_CONNECTIONS.dec())
            if engine.dialect.name == "sqlite":
                _make_folder(engine)
                event.listen(engine, "connect", _prepare_sqlite)
                event.listen(engine, "begin", _begin_sqlite)
            else:
                postgres_timeouts.apply_to_engine(engine)
                if app.config["FOLLOW_DATABASE_CLOCK"]:
                    event.listen(engine, "checkout", clock.follow)


def _make_folder(engine: Engine) -> None:
    """Create the folder of a new database. If that fails, opening the database reports it."""
    with suppress(OSError):
        Path(engine.url.database or "").parent.mkdir(parents=True, exist_ok=True)


@contextmanager
def write_transaction() -> Iterator[Session]:
    """Open a transaction that writes, or join the outer one when nested.

    An open read transaction ends first: SQLite could not upgrade it without failing immediately,
    and its data may be stale. Inside the block, therefore, read again all data that a decision
    depends on.
    """
    session = db.session()
    if session.info.get("writing"):
        yield session
        return

    release_connection()
    session.info.update(writing=True, after_commit=[])
    try:
        connection = session.connection(execution_options={"writing": True})
        if connection.dialect.name == "postgresql" and deadlines.is_set():
            _set_lock_timeout(connection)
        yield session
        session.commit()
    except BaseException:
        session.info.pop("after_commit", None)
        session.rollback()
        raise
    finally:
        session.info["writing"] = False
    for call in session.info.pop("after_commit", []):
        call()


def _set_lock_timeout(connection: Connection) -> None:
    """Set PostgreSQL's timeouts to the remaining time, but at least 1 ms: 0 would mean no limit."""
    milliseconds = max(1, int(deadlines.remaining(otherwise=0) * 1000))
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {milliseconds}")
    connection.exec_driver_sql(f"SET LOCAL statement_timeout = {milliseconds}")


def is_writing() -> bool:
    """Return whether a writing transaction is open in this thread."""
    return bool(db.session().info.get("writing"))


def after_commit(call: Callable[[], None]) -> None:
    """Call a function after the current transaction commits, or immediately without one."""
    if is_writing():
        db.session().info["after_commit"].append(call)
    else:
        call()


def release_connection() -> None:
    """Return the connection to the pool before calling an external service or writing."""
    session = db.session()
    if session.info.get("writing"):
        raise RuntimeError(
            "external services must not be called inside database.write_transaction()"
        )
    if session.new or session.dirty or session.deleted:
        raise RuntimeError("objects were changed outside of database.write_transaction()")
    session.commit()


def execute(statement: Executable) -> int:
    """Run an INSERT, UPDATE or DELETE inside `write_transaction()`; return the row count."""
    options = {"synchronize_session": False}
    return cast(
        "CursorResult[Any]", db.session.execute(statement, execution_options=options)
    ).rowcount


def table(model: type[Any]) -> Table:
    """Return the table of a model, for `execute_core`."""
    return cast("Table", model.__table__)


def execute_core(statement: Executable, values: Mapping[str, Any]) -> int:
    """Run a prebuilt statement on a table with these values, in the session's transaction.

    For statements that every webhook or page needs: building and comparing them takes as long as
    running them. Objects in the session are not refreshed.
    """
    session = db.session()
    session.flush()
    return session.connection().execute(statement, dict(values)).rowcount


def insert_or_ignore(model: type[Any], **values: Any) -> bool:
    """Insert a row unless a unique key exists; return whether it was inserted."""
    session = db.session()
    session.flush()
    statement = _insert_or_ignore(table(model), session.get_bind().dialect.name)
    return session.connection().execute(statement, values).first() is not None


@cache
def _insert_or_ignore(into: Table, dialect: str) -> Executable:
    if dialect == "postgresql":
        from sqlalchemy.dialects.postgresql import insert
    else:
        from sqlalchemy.dialects.sqlite import insert  # type: ignore[assignment]  # the same verbs
    # Return the row's key, because not every driver reports the row count.
    return insert(into).on_conflict_do_nothing().returning(*into.primary_key)


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # The driver must not begin transactions; `_begin_sqlite` does.
    connection.isolation_level = None
    # If two processes open a new file at once, SQLite raises an error in one instead of waiting.
    _retry_while_locked(lambda: connection.execute("PRAGMA journal_mode = WAL"))
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA busy_timeout = 5000")


def _begin_sqlite(connection: Connection) -> None:
    if connection.get_execution_options().get("writing"):
        _begin_immediate(connection)
    else:
        _driver(connection).execute("BEGIN")


def _driver(connection: Connection) -> sqlite3.Connection:
    """Return the driver's connection, for statements that cannot fail: SQLAlchemy is slower."""
    return cast("sqlite3.Connection", connection.connection.dbapi_connection)


def _begin_immediate(connection: Connection) -> None:
    """Begin a writing transaction, and give every writer a fair chance.

    SQLite's busy handler sleeps longer the longer it has waited, so old writers starve under load
    (one waited 5 s and failed). Short random sleeps avoid this.
    """
    _driver(connection).execute("PRAGMA busy_timeout = 0")
    _retry_while_locked(lambda: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    _driver(connection).execute("PRAGMA busy_timeout = 5000")


def _retry_while_locked(execute: Callable[[], object]) -> None:
    give_up = time.monotonic() + deadlines.remaining(otherwise=_LOCK_TIMEOUT)
    while True:
        try:
            execute()
        except (OperationalError, sqlite3.OperationalError) as error:
            if "locked" not in str(error) or time.monotonic() > give_up:
                raise
            time.sleep(random.uniform(0.001, 0.010))  # noqa: S311 - jitter, not a secret
        else:
            return


class UTCDateTime(TypeDecorator[datetime]):
    """Aware datetimes in UTC, even on SQLite, which stores naive ones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a datetime without a time zone cannot be stored")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def now() -> datetime:
    """Return the current time in UTC by the database's clock, to the microsecond."""
    return datetime.now(UTC) + clock.offset()


def uuid7() -> uuid.UUID:
    """Return a UUID of version 7 (RFC 9562): ordered by time, so that an index grows at its end."""
    return _uuid7(now(), int.from_bytes(os.urandom(10), "big"))


def first_id(at: datetime) -> uuid.UUID:
    """Return the lowest id that `uuid7` returns at a time."""
    return _uuid7(at, 0)


def _uuid7(at: datetime, random_bits: int) -> uuid.UUID:
    value = (int(at.timestamp() * 1000) << 80) | random_bits
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    return uuid.UUID(int=value)


def delete_older(model: type[Any], age: timedelta, *conditions: ColumnElement[bool]) -> None:
    """Delete rows by the time in their `Key`, in batches that block no other writer for long."""
    old = select(model.id).where(model.id < first_id(now() - age), *conditions).limit(_BATCH)
    deleted = _BATCH
    while deleted == _BATCH:
        with write_transaction():
            deleted = execute(delete(model).where(model.id.in_(old)))


Key = Annotated[uuid.UUID, mapped_column(primary_key=True, default=uuid7)]


def engine_of(app: Flask) -> Engine:
    """Return the engine of an application, so that it can be disposed of."""
    with app.app_context():
        return db.engine

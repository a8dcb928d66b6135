"""Stop waiting for an unresponsive PostgreSQL server during a request.

PostgreSQL's own timeouts do not help, because the unresponsive server enforces them, and its kernel
still acknowledges our packets. Commands and jobs wait without this limit.
"""

from __future__ import annotations

import time
from typing import Any, TypeVar

import psycopg
from flask import Flask, g, has_app_context
from psycopg.abc import PQGen
from sqlalchemy import Engine, event

from saas import deadlines

T = TypeVar("T")

# Requests are answered within 10 s. Statements that start late still get a little time; libpq's
# minimum for a connection is 2 s.
_STATEMENT_TIMEOUT = 7.0
_CONNECT_TIMEOUT = 1.0
# In transaction mode, a pooler may give each transaction a different server connection, where
# earlier prepared statements do not exist:
# https://www.psycopg.org/psycopg3/docs/advanced/prepare.html
POOLABLE: dict[str, Any] = {"prepare_threshold": None}


def init_app(app: Flask) -> None:
    """Record the arrival of each request."""
    app.before_request(_apply)


def apply_to_engine(engine: Engine) -> None:
    """Limit how long requests wait for the server of this engine."""
    event.listen(engine, "do_connect", _connect)


def _apply() -> None:
    g.arrived = time.monotonic() - deadlines.waited.get()


def _remaining() -> float | None:
    """Return the seconds that the server may take, or None outside of a request."""
    arrived: float | None = g.get("arrived") if has_app_context() else None
    if arrived is None:
        return deadlines.remaining(otherwise=0) + _CONNECT_TIMEOUT if deadlines.is_set() else None
    ours = arrived + _STATEMENT_TIMEOUT - time.monotonic()
    return max(_CONNECT_TIMEOUT, min(ours, deadlines.remaining(otherwise=ours)))


def _connect(_dialect: Any, _record: Any, arguments: Any, options: dict[str, Any]) -> Any:
    seconds = _remaining()
    if seconds is not None:
        options = {"connect_timeout": max(2, int(seconds)), **options}
    return Connection.connect(*arguments, **{**options, **POOLABLE})


class Connection(psycopg.Connection[Any]):
    """A connection that is closed when its server exceeds the remaining time."""

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Wait like psycopg, with the remaining time as the timeout."""
        try:
            return super().wait(gen, interval, _remaining() if timeout is None else timeout)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == psycopg.pq.TransactionStatus.ACTIVE:
                self.pgconn.finish()  # a late response must not be taken for the next query's
            raise

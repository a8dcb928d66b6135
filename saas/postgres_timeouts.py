"""PostgreSQL that has stopped answering is given up in time, while somebody waits for a page.

Its own timeouts do not help there: they are kept by the very server that hangs, and the kernel
goes on acknowledging what we send. Commands and jobs, for which nobody waits, wait as they always
did.
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

# An answer is promised within 10 s. What is begun late is still given a moment; the least that
# libpq gives a connection is 2 s.
_STATEMENT_TIMEOUT = 7.0
_CONNECT_TIMEOUT = 1.0
# A pooler in transaction mode gives each transaction another connection of the server, where what
# was prepared before is not known: https://www.psycopg.org/psycopg3/docs/advanced/prepare.html
POOLABLE: dict[str, Any] = {"prepare_threshold": None}


def init_app(app: Flask) -> None:
    """Note when each request came."""
    app.before_request(_apply)


def apply_to_engine(engine: Engine) -> None:
    """Let nobody wait for this engine's server longer than for an answer of ours."""
    event.listen(engine, "do_connect", _connect)


def _apply() -> None:
    g.arrived = time.monotonic()


def _remaining() -> float | None:
    """The seconds that a server may take; None where nobody waits."""
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
    """A connection that is closed when its server takes longer than we may."""

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """As psycopg's own, with the time that is left as the timeout."""
        try:
            return super().wait(gen, interval, _remaining() if timeout is None else timeout)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == psycopg.pq.TransactionStatus.ACTIVE:
                self.pgconn.finish()  # an answer may still come, and it would be to no question
            raise

"""Bulkheads: a hanging service holds only a part of a process's threads.

Without them, a few requests a second that wait for a hanging database or for Stripe take all
threads, and public pages and health checks wait behind them.
https://learn.microsoft.com/en-us/azure/architecture/patterns/bulkhead
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.exc import TimeoutError as NoConnectionLeft
from sqlalchemy.pool import QueuePool

# SQLAlchemy logs about each pool under the name of its class.
logging.getLogger("saas.bulkheads").setLevel(logging.WARNING)

_PATIENCE = 1.0  # seconds without any movement, after which waiting is of no use


class Full(Exception):
    """All places are taken."""


class Bulkhead:
    """Admits a number of threads at a time; others wait while there is movement."""

    def __init__(self, places: int) -> None:
        self._places = threading.BoundedSemaphore(places)
        self._moved_at = 0.0

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place within the block. Raises `Full`, at once if nobody has left for a second."""
        waits = time.monotonic() < self._moved_at + _PATIENCE
        if not self._places.acquire(timeout=_PATIENCE if waits else 0):
            raise Full("too many requests wait for it")
        self._moved_at = time.monotonic()
        try:
            yield
        finally:
            self._moved_at = time.monotonic()
            self._places.release()


class BoundedPool(QueuePool):
    """A connection pool that refuses at once when all connections are stuck."""

    _moved_at = 0.0

    def connect(self) -> Any:
        """Return a connection. Raises `NoConnectionLeft`."""
        is_stuck = time.monotonic() > self._moved_at + _PATIENCE
        if is_stuck and self.checkedout() >= self.size():
            raise NoConnectionLeft("all database connections are waiting for the database")
        connection = super().connect()
        self._moved_at = time.monotonic()
        return connection

    # Not by the event "checkin": a pool that replaces this one would keep its listeners.
    def _do_return_conn(self, record: Any) -> None:
        self._moved_at = time.monotonic()
        super()._do_return_conn(record)

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
        self._free = places
        self._moved_at = 0.0
        self._changed = threading.Condition()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place within the block. Raises `Full`, at once after a second without progress."""
        self._enter()
        try:
            yield
        finally:
            with self._changed:
                self._free += 1
                self._moved_at = time.monotonic()
                self._changed.notify()

    def _enter(self) -> None:
        with self._changed:
            if not self._free and (
                time.monotonic() > self._moved_at + _PATIENCE
                or not self._changed.wait_for(lambda: self._free > 0, timeout=_PATIENCE)
            ):
                raise Full("too many requests wait for it")
            self._free -= 1
            self._moved_at = time.monotonic()


class BoundedPool(QueuePool):
    """A connection pool that refuses at once when all connections are stuck."""

    _moved_at = 0.0

    def connect(self) -> Any:
        """Return a connection. Raises `NoConnectionLeft`."""
        if self.checkedout() < self.size():
            self._moved_at = time.monotonic()  # before connecting: others may ask meanwhile
        elif time.monotonic() > self._moved_at + _PATIENCE:
            raise NoConnectionLeft("all database connections are waiting for the database")
        connection = super().connect()
        self._moved_at = time.monotonic()
        return connection

    # Not by the event "checkin": a pool that replaces this one would keep its listeners.
    def _do_return_conn(self, record: Any) -> None:
        self._moved_at = time.monotonic()
        super()._do_return_conn(record)

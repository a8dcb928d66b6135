"""Use the database's clock on all hosts.

Hosts compare times that other hosts have written, such as when an email is due or a session
expires. So each process measures how far its clock differs from the database's, and corrects for
it.
"""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import timedelta
from typing import Any

import psycopg

_INTERVAL = 60.0  # seconds between measurements
_SLOWEST_MEASUREMENT = 1.0  # seconds; a slower response is too inaccurate
_JITTER = 0.05  # seconds of measurement error that are not corrected

_offset = timedelta(0)
_measured = float("-inf")


def offset() -> timedelta:
    """Return how far the database's clock is ahead of this host's."""
    return _offset


def follow(connection: Any, _record: Any, _proxy: Any) -> None:
    """Measure the offset once a minute, when a connection is taken from the pool."""
    global _measured
    if time.monotonic() - _measured < _INTERVAL:
        return
    _measured = time.monotonic()
    with suppress(psycopg.Error):  # the query that needs the connection will report the error
        _measure(connection)


def _measure(connection: Any) -> None:
    global _offset
    began = time.time()
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
        database_time = float(cursor.fetchone()[0])
    connection.rollback()
    took = time.time() - began
    if took < _SLOWEST_MEASUREMENT:
        ahead = database_time - (began + took / 2)
        _offset = timedelta(seconds=ahead if abs(ahead) > _JITTER else 0)

"""One clock for several hosts: that of their database.

What one host has written, another compares with its own time: a mail that is due, a session that
ends. So each measures how far its clock is from the database's, and reckons by that one.
"""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import timedelta
from typing import Any

import psycopg

_INTERVAL = 60.0  # seconds between measurements
_SLOWEST_MEASUREMENT = 1.0  # seconds; an answer that took longer tells the time too roughly
_JITTER = 0.05  # seconds that a measurement may be wrong by: no reason to correct anything

_offset = timedelta(0)
_measured = float("-inf")


def offset() -> timedelta:
    """Return how far the database's clock is ahead of ours."""
    return _offset


def follow(connection: Any, _record: Any, _proxy: Any) -> None:
    """Measure the offset when a connection is taken from the pool, once a minute."""
    global _measured
    if time.monotonic() - _measured < _INTERVAL:
        return
    _measured = time.monotonic()
    with suppress(psycopg.Error):  # what the connection is wanted for fails in its own words
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

"""Bulkheads admit bursts, and refuse at once when everything is stuck."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Barrier

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import TimeoutError as NoConnectionLeft

from saas.bulkheads import BoundedPool, Bulkhead, Full

STUCK = 1.2  # seconds; more than a bulkhead waits


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """A database with two connections for all threads."""
    engine = create_engine(
        f"sqlite:///{tmp_path}/app.db", poolclass=BoundedPool, pool_size=2, max_overflow=0
    )
    yield engine
    engine.dispose()


def test_a_burst_on_a_new_pool_is_served(engine: Engine) -> None:
    together = Barrier(20)

    def ask(_: int) -> int:
        together.wait()
        with engine.connect() as connection:
            time.sleep(0.01)
            return int(connection.execute(text("SELECT 1")).scalar_one())

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(ask, range(20))) == [1] * 20


def test_a_stuck_pool_refuses_at_once_and_recovers(engine: Engine) -> None:
    with ExitStack() as held:
        for _ in range(2):
            held.enter_context(engine.connect())
        time.sleep(STUCK)
        with pytest.raises(NoConnectionLeft, match="waiting for the database"):
            engine.connect()

    with engine.connect() as connection:
        assert connection.execute(text("SELECT 1")).scalar_one() == 1


def test_a_bulkhead_serves_a_burst() -> None:
    bulkhead, together = Bulkhead(2), Barrier(20)

    def work(_: int) -> bool:
        together.wait()
        with bulkhead.place():
            time.sleep(0.01)
        return True

    with ThreadPoolExecutor(20) as pool:
        assert all(pool.map(work, range(20)))


def test_a_stuck_bulkhead_refuses_until_a_place_is_left() -> None:
    bulkhead = Bulkhead(1)
    with bulkhead.place():
        time.sleep(STUCK)
        with pytest.raises(Full), bulkhead.place():
            pass

    with bulkhead.place():
        pass

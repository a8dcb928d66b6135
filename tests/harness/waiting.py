"""Waiting for another process or thread, without a fixed time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(ask: Callable[[], T], seconds: float = 10.0) -> T:
    """Call `ask` until its result is true, and return it."""
    give_up = time.monotonic() + seconds
    while not (value := ask()):
        if time.monotonic() > give_up:
            raise AssertionError(f"it did not happen within {seconds} s; last seen: {value!r}")
        time.sleep(0.02)
    return value

"""How long somebody waits for our answer: one deadline for everything that is done meanwhile.

Stripe waits some ten seconds for a webhook's answer, and people less. Whoever asks somebody
outside, or waits for a turn at the database, looks here how long that may take.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_ends: ContextVar[float | None] = ContextVar("deadline", default=None)


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Within this, nobody waits longer than so many seconds in all."""
    token = _ends.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _ends.reset(token)


def is_limited() -> bool:
    """Whether somebody waits for our answer."""
    return _ends.get() is not None


def left(otherwise: float) -> float:
    """The seconds that are left, never below 0; `otherwise` where nobody waits."""
    ends = _ends.get()
    return otherwise if ends is None else max(0.0, ends - time.monotonic())


def is_over() -> bool:
    """Whether the time is up."""
    return left(otherwise=1.0) <= 0

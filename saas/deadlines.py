"""How long somebody waits for our answer: one deadline for everything that is done meanwhile.

Stripe waits some ten seconds for a webhook's answer, and people less. Whoever asks somebody
outside, or waits for a turn at the database, looks here how long that may take.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import TypeVar

T = TypeVar("T")

_ends: ContextVar[float | None] = ContextVar("deadline", default=None)


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Within this, nobody waits longer than so many seconds in all."""
    token = _ends.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _ends.reset(token)


def is_set() -> bool:
    """Whether somebody waits for our answer."""
    return _ends.get() is not None


def remaining(otherwise: float) -> float:
    """The seconds that are left, never below 0; `otherwise` where nobody waits."""
    ends = _ends.get()
    return otherwise if ends is None else max(0.0, ends - time.monotonic())


def has_expired() -> bool:
    """Whether the time is up."""
    return remaining(otherwise=1.0) <= 0


def run_within_deadline(ask: Callable[[], T], name: str) -> T:
    """What `ask` answers; where somebody waits, from a thread that is left behind when time is up.

    The timeouts of a socket bound neither a name that does not resolve, nor several addresses of
    which none answers, nor an answer that comes byte by byte. `name` is the thread's.

    Raises `TimeoutError`, and whatever `ask` raises.
    """
    if not is_set():
        return ask()
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(ask())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=copy_context().run, args=(run,), daemon=True, name=name).start()
    return future.result(timeout=remaining(otherwise=0))

"""One deadline for everything that a request does.

Stripe waits about ten seconds for the response of a webhook, and users wait less. Code that calls
an external service or waits for the database checks the remaining time here.
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

# Seconds that the current request waited before this process took it. Always set by the edge.
waited: ContextVar[float] = ContextVar("waited", default=0.0)
_ends: ContextVar[float | None] = ContextVar("deadline", default=None)


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Set a deadline for everything inside; it replaces an outer one.

    Within a request, the seconds count from its arrival at our proxy.
    """
    token = _ends.set(time.monotonic() + seconds - waited.get())
    try:
        yield
    finally:
        _ends.reset(token)


def is_set() -> bool:
    """Return whether a deadline is set."""
    return _ends.get() is not None


def remaining(otherwise: float) -> float:
    """Return the remaining seconds, at least 0, or `otherwise` without a deadline."""
    ends = _ends.get()
    return otherwise if ends is None else max(0.0, ends - time.monotonic())


def has_expired() -> bool:
    """Return whether the deadline has passed."""
    return remaining(otherwise=1.0) <= 0


def run_within_deadline(ask: Callable[[], T], name: str) -> T:
    """Return the result of `ask`; with a deadline, run it in a thread and give up in time.

    Socket timeouts do not limit slow name resolution, several IPs that do not answer, or a response
    that arrives byte by byte. `name` is the name of the thread.

    Raises `TimeoutError`, and any exception of `ask`.
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

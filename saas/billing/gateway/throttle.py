"""Make a large number of calls within Stripe's rate limit."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from saas.billing.gateway.client import (
    RateLimited,
    Unavailable,
    Unreadable,
    call_through,
    is_refusal,
)

T = TypeVar("T")

# Stripe allows 25 calls a second in test mode and 100 in live mode for the whole account:
# https://docs.stripe.com/rate-limits. We make fewer, to leave room for checkouts.
PER_SECOND = 20
_ATTEMPTS = 8
_ATTEMPTS_UNTHROTTLED = 3  # the SDK has already tried each of these three times
_LONGEST_PAUSE = 30.0  # seconds


class Throttle:
    """Makes calls at a steady rate, and waits when Stripe answers 429."""

    def __init__(self, per_second: float = PER_SECOND) -> None:
        self.calls = 0
        self.waits = 0
        self._gap = 1 / per_second
        self._next = 0.0

    def __call__(self, ask: Callable[[], T], /) -> T:
        attempt = 1
        while True:
            self._wait_for_slot()
            try:
                return ask()
            except Unavailable as error:
                if is_refusal(error) or isinstance(error, Unreadable):
                    raise
                most = _ATTEMPTS if isinstance(error, RateLimited) else _ATTEMPTS_UNTHROTTLED
                if attempt >= most:
                    raise
                self._wait(error, attempt)
            attempt += 1

    def _wait_for_slot(self) -> None:
        wait = self._next - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        self._next = max(self._next, time.monotonic()) + self._gap
        self.calls += 1

    def _wait(self, error: Unavailable, attempt: int) -> None:
        """Wait as long as Stripe asks, or twice as long each time."""
        self.waits += 1
        pause = error.pause if error.pause is not None else 0.25 * 2**attempt
        jitter = random.uniform(0.75, 1.25)  # noqa: S311 - jitter, not a secret
        time.sleep(min(pause, _LONGEST_PAUSE) * jitter)


@contextmanager
def throttled(per_second: float = PER_SECOND) -> Iterator[Throttle]:
    """Route all calls to Stripe in the block through one `Throttle`, which counts them."""
    pacer = Throttle(per_second)
    with call_through(pacer):
        yield pacer

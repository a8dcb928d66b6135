"""The way to Stripe, which can be cut: for good, or for one request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import stripe

Answer = tuple[str, int, Mapping[str, str]]

_ERRORS = {
    "500": ('{"error": {"type": "api_error", "message": "down"}}', 500),
    "429": ('{"error": {"type": "invalid_request_error", "code": "rate_limit"}}', 429),
    "401": ('{"error": {"type": "invalid_request_error", "message": "Invalid API Key"}}', 401),
}


class FaultyNetwork(stripe.HTTPClient):
    """A way to Stripe over another one.

    A request can fail before it arrives ("500", "429", "401", "unreachable"), or arrive and have
    its effect while the answer is lost ("lost"), which is what makes people pay twice.
    """

    name = "weather"

    def __init__(self, way: stripe.HTTPClient) -> None:
        super().__init__()
        self._way = way
        self.writes = 0  # how often something may have been changed at Stripe
        self.clear()

    def change_way(self, way: stripe.HTTPClient) -> None:
        """Reach Stripe another way from now on."""
        self._way = way

    def clear(self) -> None:
        """Fair weather from now on."""
        self.is_down = False
        self._bad: dict[int, str] = {}  # requests from now on, by number, and what befalls them

    def spoil(self, which: int, how: str) -> None:
        """The request after `which` others fails in this way, once."""
        self._bad[which] = how

    def request(self, *args: Any, **kwargs: Any) -> Answer:
        how = self._bad.pop(0, "500" if self.is_down else "")
        self._bad = {number - 1: kind for number, kind in self._bad.items()}
        if how in _ERRORS:
            body, status = _ERRORS[how]
            return body, status, {}
        if how == "unreachable":
            raise stripe.APIConnectionError("no route to Stripe")
        self.writes += args[0] != "get" and not args[1].endswith("/create_preview")
        response: Answer = self._way.request(*args, **kwargs)
        if how == "lost":
            raise stripe.APIConnectionError("the answer was lost")
        return response

    def close(self) -> None:
        self._way.close()

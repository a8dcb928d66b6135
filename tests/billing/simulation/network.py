"""A connection to Stripe that can fail, for a while or for one request."""

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
    """A client of Stripe's SDK that fails on demand, and otherwise uses another client.

    A request can fail before it arrives ("500", "429", "401", "unreachable"), or arrive and have
    its effect while the response is lost ("lost"), so that users may pay twice.
    """

    name = "faulty"

    def __init__(self, transport: stripe.HTTPClient) -> None:
        super().__init__()
        self._transport = transport
        self.writes = 0  # how many requests may have changed something at Stripe
        self.clear()

    def change_transport(self, transport: stripe.HTTPClient) -> None:
        """Switch to another HTTP client."""
        self._transport = transport

    def clear(self) -> None:
        """Let all requests succeed from now on."""
        self.is_down = False
        self._faults: dict[int, str] = {}  # by the number of the request, counted from now

    def fail(self, which: int, how: str) -> None:
        """Let one request fail with this transport, after `which` others."""
        self._faults[which] = how

    def request(self, *args: Any, **kwargs: Any) -> Answer:
        how = self._faults.pop(0, "500" if self.is_down else "")
        self._faults = {number - 1: kind for number, kind in self._faults.items()}
        if how in _ERRORS:
            body, status = _ERRORS[how]
            return body, status, {}
        if how == "unreachable":
            raise stripe.APIConnectionError("no route to Stripe")
        self.writes += args[0] != "get" and not args[1].endswith("/create_preview")
        response: Answer = self._transport.request(*args, **kwargs)
        if how == "lost":
            raise stripe.APIConnectionError("the response was lost")
        return response

    def close(self) -> None:
        self._transport.close()

"""Connections to Stripe; imported on first use, because `requests` is slow to load."""

from __future__ import annotations

from typing import Any

import requests

from saas import deadlines, http


class DeadlineSession(http.Session):
    """A session whose requests do not exceed the deadline."""

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        connect, read = kwargs["timeout"]
        timeout = deadlines.remaining(otherwise=2 * max(connect, read))
        half = max(timeout / 2, 0.01)  # for connecting and reading together
        kwargs["timeout"] = (min(connect, half), min(read, half))
        return super().send(request, **kwargs)

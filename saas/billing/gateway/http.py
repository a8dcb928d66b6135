"""Connections to Stripe; imported with the first one, because `requests` is slow to load."""

from __future__ import annotations

from typing import Any

import requests

from saas import deadlines, http


class DeadlineSession(http.Session):
    """Connections on which no request may take longer than somebody waits for our answer."""

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        connect, read = kwargs["timeout"]
        timeout = deadlines.remaining(otherwise=2 * max(connect, read))
        half = max(timeout / 2, 0.01)  # of connecting and of reading, so that both fit
        kwargs["timeout"] = (min(connect, half), min(read, half))
        return super().send(request, **kwargs)

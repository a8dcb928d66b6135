"""Call the sandbox with the official SDK without a socket, three times as fast as over loopback."""

from collections.abc import Mapping
from typing import Any

import stripe
from flask import Flask
from requests.structures import CaseInsensitiveDict
from werkzeug.test import Client

BASE_ADDRESS = "http://sandbox.test"


class InProcess(stripe.HTTPClient):
    """A `stripe.HTTPClient` that calls the sandbox's WSGI application."""

    name = "inprocess"

    def __init__(self, app: Flask) -> None:
        super().__init__()
        self._client = Client(app)

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[str, int, Mapping[str, str]]:
        response = self._client.open(
            url.removeprefix(BASE_ADDRESS),
            base_url=BASE_ADDRESS,
            method=method.upper(),
            headers=dict(headers or {}),
            data=post_data,
        )
        with response:
            response_headers = CaseInsensitiveDict(response.headers.items())
            return response.get_data(as_text=True), response.status_code, response_headers

    def close(self) -> None:
        """Do nothing, because there is no connection."""


def client(app: Flask, key: str) -> stripe.StripeClient:
    """Return a `StripeClient` for one of the sandbox's accounts."""
    return stripe.StripeClient(
        key,
        base_addresses={"api": f"{BASE_ADDRESS}/stripe"},
        http_client=InProcess(app),
    )

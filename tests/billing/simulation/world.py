"""A sandbox and an application, and what lies between them: in one process, or over HTTP."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

import requests
import stripe
from flask import Flask
from saas_sandbox import create_sandbox
from saas_sandbox.inprocess import BASE_ADDRESS, InProcess
from saas_sandbox.stripe.webhook_sender import EndpointResponse

from saas import create_app
from saas.billing.operator import provisioning
from tests.billing.simulation.network import FaultyNetwork
from tests.harness.apps import PRODUCT, close, settings
from tests.harness.servers import serving
from tests.harness.stripe_account import CARD

KEY = "sk_test_aHundredLivesInMemory"
WEBHOOK = "/api/webhooks/stripe"


class Delivery(NamedTuple):
    """What Stripe sends to our endpoint."""

    body: bytes
    headers: dict[str, str]


class Transport(Protocol):
    """How the two sides reach each other."""

    base: str

    def to_stripe(self) -> stripe.HTTPClient: ...

    def post_at_stripe(self, path: str, **content: Any) -> None: ...

    def deliver(self, delivery: Delivery) -> tuple[int, str]: ...


class World:
    """Stripe's side, our side, the weather between them, and the events that are on their way."""

    def __init__(self, sandbox: Flask, database_url: str, way: Transport) -> None:
        self.heap: list[Delivery] = []
        self.way = way
        self.weather = FaultyNetwork(way.to_stripe())
        self.app = self._make_app(database_url)
        self._by_hand = FaultyNetwork(way.to_stripe())  # always fair: what the test does itself
        self._posts = 0
        self.at_stripe = self._client(self._by_hand).v1
        self.numbers = itertools.count()
        self.sandbox = sandbox
        other = self.at_stripe.products.create({"name": "Another product of the company"})
        self.foreign_price = self.at_stripe.prices.create(
            {
                "product": other.id,
                "currency": "eur",
                "unit_amount": 700,
                "recurring": {"interval": "month"},
            }
        ).id

    def _client(self, way: stripe.HTTPClient) -> stripe.StripeClient:
        base = {"api": f"{self.way.base}/stripe"}
        return stripe.StripeClient(KEY, base_addresses=base, http_client=way)

    def _make_app(self, database_url: str) -> Flask:
        env = {
            "DATABASE_URL": database_url,
            "SANDBOX_URL": self.way.base,
            "SANDBOX_STRIPE_API_KEY": KEY,
        }
        client = self._client(self.weather)
        bare = create_app(settings(**env), PRODUCT)
        bare.extensions["stripe"] = {True: client, False: client}
        with bare.app_context():
            variables = provisioning.set_up(prefix="SANDBOX_")
        close(bare)
        app = create_app(settings(**env, **variables), PRODUCT)
        app.extensions["stripe"] = {True: client, False: client}
        return app

    @property
    def writes(self) -> int:
        """Grows whenever something may have been changed at Stripe."""
        return self.weather.writes + self._by_hand.writes + self._posts

    def pay(self, page: str) -> None:
        """Fill in a checkout page and send it; a page that was closed says so, and that is all."""
        self._posts += 1
        self.way.post_at_stripe(urlsplit(page).path, data=CARD)

    def advance(self, customer: str, step: str) -> None:
        """Let time pass for a customer at Stripe."""
        self._posts += 1
        self.way.post_at_stripe(
            "/stripe/control/advance",
            json={"customer": customer, "step": step},
            headers={"Authorization": f"Bearer {KEY}"},
        )


class InMemory:
    """Both sides in this process, without a socket."""

    base = BASE_ADDRESS

    def __init__(self, sandbox: Flask) -> None:
        self._sandbox = sandbox
        self.app: Flask | None = None

    def to_stripe(self) -> stripe.HTTPClient:
        return InProcess(self._sandbox)

    def post_at_stripe(self, path: str, **content: Any) -> None:
        self._sandbox.test_client().post(path, **content)

    def deliver(self, delivery: Delivery) -> tuple[int, str]:
        assert self.app is not None
        response = self.app.test_client().post(
            WEBHOOK, data=delivery.body, headers=delivery.headers
        )
        return response.status_code, response.text


class OverHttp:
    """Both sides as servers on loopback."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.app_url = ""

    def to_stripe(self) -> stripe.HTTPClient:
        return stripe.RequestsClient(timeout=10)

    def post_at_stripe(self, path: str, **content: Any) -> None:
        requests.post(self.base + path, timeout=10, allow_redirects=False, **content)

    def deliver(self, delivery: Delivery) -> tuple[int, str]:
        response = requests.post(
            self.app_url + WEBHOOK, data=delivery.body, headers=delivery.headers, timeout=15
        )
        return response.status_code, response.text


@contextmanager
def in_memory(database_url: str) -> Iterator[World]:
    """A world in this process."""
    kept: list[Delivery] = []
    sandbox = _sandbox(kept)
    way = InMemory(sandbox)
    world = World(sandbox, database_url, way)
    world.heap, way.app = kept, world.app
    yield world
    _close(world)


@contextmanager
def over_http(database_url: str) -> Iterator[World]:
    """A world of two servers; only what Stripe sends is kept back here, to be sent later."""
    kept: list[Delivery] = []
    sandbox = _sandbox(kept)
    with serving(sandbox) as base:
        way = OverHttp(base)
        world = World(sandbox, database_url, way)
        world.heap = kept
        with serving(world.app) as way.app_url:
            yield world
        _close(world)


def _sandbox(kept: list[Delivery]) -> Flask:
    def keep_back(_url: str, body: bytes, headers: dict[str, str]) -> EndpointResponse:
        kept.append(Delivery(body, headers))
        return EndpointResponse(200, "kept back")

    return create_sandbox(post=keep_back, inline=True)


def _close(world: World) -> None:
    close(world.app)
    world.at_stripe._requestor._client.close()  # type: ignore[attr-defined]  # no public way
    world.sandbox.extensions["sandbox"].close()

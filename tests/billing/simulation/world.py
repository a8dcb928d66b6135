"""A sandbox and an application, connected in one process or over HTTP."""

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
from saas.plans import Plan
from tests.billing.simulation.network import FaultyNetwork
from tests.harness.apps import PRODUCT, close, settings
from tests.harness.sample_product.catalogue import LIFETIME, STUDIO
from tests.harness.servers import serving
from tests.harness.shop import sell
from tests.harness.stripe_account import CARD

KEY = "sk_test_aHundredLivesInMemory"
WEBHOOK = "/api/webhooks/stripe"


class Delivery(NamedTuple):
    """A webhook request of Stripe."""

    body: bytes
    headers: dict[str, str]


class Transport(Protocol):
    """How sandbox and application reach each other."""

    base: str

    def to_stripe(self) -> stripe.HTTPClient: ...

    def post_at_stripe(self, path: str, **content: Any) -> None: ...

    def deliver(self, delivery: Delivery) -> tuple[int, str]: ...


class World:
    """A sandbox, an application, the network between them, and the undelivered events."""

    def __init__(self, sandbox: Flask, database_url: str, transport: Transport) -> None:
        self.undelivered: list[Delivery] = []
        self.transport = transport
        self.network = FaultyNetwork(transport.to_stripe())
        self.app = self._make_app(database_url)
        self._by_hand = FaultyNetwork(transport.to_stripe())  # never fails; for the test itself
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

    def _client(self, transport: stripe.HTTPClient) -> stripe.StripeClient:
        base = {"api": f"{self.transport.base}/stripe"}
        return stripe.StripeClient(KEY, base_addresses=base, http_client=transport)

    def _make_app(self, database_url: str) -> Flask:
        env = {
            "DATABASE_URL": database_url,
            "SANDBOX_URL": self.transport.base,
            "SANDBOX_STRIPE_API_KEY": KEY,
        }
        client = self._client(self.network)
        bare = create_app(settings(**env), PRODUCT)
        bare.extensions["stripe"] = {True: client, False: client}
        with bare.app_context():
            variables = provisioning.set_up(prefix="SANDBOX_")
        close(bare)
        app = create_app(settings(**env, **variables), PRODUCT)
        app.extensions["stripe"] = {True: client, False: client}
        sell(app, LIFETIME)
        sell(app, STUDIO)
        return app

    def plan_of(self, price_id: str | None) -> Plan | None:
        """Return the plan that is sold at this price, or None."""
        sold = self.app.config["CATALOGUE"].sold_as(price_id, self.app.config["STRIPE_PRICES"])
        return sold[0] if sold else None

    @property
    def writes(self) -> int:
        """Return a counter that grows when something may have changed at Stripe."""
        return self.network.writes + self._by_hand.writes + self._posts

    def pay(self, page: str, number: str = CARD["number"]) -> None:
        """Submit a checkout page, without a card if `number` is ""; an expired one does nothing."""
        self._posts += 1
        card = {**CARD, "number": number} if number else {}
        self.transport.post_at_stripe(urlsplit(page).path, data=card)

    def advance(self, customer: str, step: str) -> None:
        """Advance the customer's test clock."""
        self._posts += 1
        self.transport.post_at_stripe(
            "/stripe/control/advance",
            json={"customer": customer, "step": step},
            headers={"Authorization": f"Bearer {KEY}"},
        )


class InMemory:
    """Sandbox and application in this process, without sockets."""

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
    """Sandbox and application as servers on loopback."""

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
    """Yield a world in this process."""
    kept: list[Delivery] = []
    sandbox = _sandbox(kept)
    transport = InMemory(sandbox)
    world = World(sandbox, database_url, transport)
    world.undelivered, transport.app = kept, world.app
    yield world
    _close(world)


@contextmanager
def over_http(database_url: str) -> Iterator[World]:
    """Yield a world of two servers. Events are held here and delivered later."""
    kept: list[Delivery] = []
    sandbox = _sandbox(kept)
    with serving(sandbox) as base:
        transport = OverHttp(base)
        world = World(sandbox, database_url, transport)
        world.undelivered = kept
        with serving(world.app) as transport.app_url:
            yield world
        _close(world)


def _sandbox(kept: list[Delivery]) -> Flask:
    def hold_back(_url: str, body: bytes, headers: dict[str, str]) -> EndpointResponse:
        kept.append(Delivery(body, headers))
        return EndpointResponse(200, "kept back")

    return create_sandbox(post=hold_back, inline=True)


def _close(world: World) -> None:
    close(world.app)
    world.at_stripe._requestor._client.close()  # type: ignore[attr-defined]  # no public way
    world.sandbox.extensions["sandbox"].close()

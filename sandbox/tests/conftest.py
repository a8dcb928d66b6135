"""A sandbox in memory, called in process by the official SDK, with a clock that tests advance."""

import calendar
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import stripe
from flask import Flask
from playwright.sync_api import Browser, sync_playwright
from saas_sandbox import create_sandbox
from saas_sandbox.inprocess import BASE_ADDRESS, client
from saas_sandbox.server import bind_server
from saas_sandbox.stripe.webhook_sender import EndpointResponse
from werkzeug.test import Client

from .response_checker import ResponseChecker

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
KEY = "sk_test_0123456789abcdef"
DAY = 86400
CARD_NUMBER = "4242 4242 4242 4242"  # can be charged


def at(year: int, month: int, day: int, hour: int = 12, minute: int = 0) -> int:
    """Return a time in UTC as Stripe's timestamp."""
    return calendar.timegm((year, month, day, hour, minute, 0))


@dataclass
class FakeTime:
    """The sandbox's clock, which tests set."""

    time: float = at(2026, 3, 10)

    def __call__(self) -> float:
        return self.time


@dataclass
class RecordingEndpoint:
    """A webhook endpoint that records the requests, and responds as configured."""

    response: EndpointResponse = field(default_factory=lambda: EndpointResponse(200, "thanks"))
    posted: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def __call__(self, url: str, body: bytes, headers: dict[str, str]) -> EndpointResponse:
        self.posted.append(json.loads(body))
        self.bodies.append(body)
        self.headers.append(headers)
        return self.response

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.posted]

    def last(self, type: str) -> dict[str, Any]:
        return next(event for event in reversed(self.posted) if event["type"] == type)


@pytest.fixture
def fake_time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def receiver() -> RecordingEndpoint:
    return RecordingEndpoint()


@pytest.fixture
def app(fake_time: FakeTime, receiver: RecordingEndpoint) -> Iterator[Flask]:
    """A sandbox. All its responses during a test are compared with Stripe's published types."""
    sandbox_app = create_sandbox(post=receiver, now=fake_time, inline=True)
    checker = ResponseChecker(sandbox_app)
    yield sandbox_app
    wrong = checker.check_stored_objects()
    sandbox_app.extensions["sandbox"].close()
    assert not wrong


@pytest.fixture
def api(app: Flask) -> stripe.StripeClient:
    return client(app, KEY)


@pytest.fixture
def endpoint(api: stripe.StripeClient) -> stripe.WebhookEndpoint:
    """An endpoint for all events."""
    return api.v1.webhook_endpoints.create(
        {"url": "https://shop.test/webhooks", "enabled_events": ["*"]}
    )


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The URL of a sandbox over real HTTP, with its clock and deliveries in the background."""
    app: Flask = create_sandbox(str(tmp_path / "sandbox.db"))
    server = bind_server(app, 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()
    app.extensions["sandbox"].close()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A headless Chromium for all tests, since Playwright runs once in a process."""
    if not Path(CHROMIUM).exists():
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@dataclass(frozen=True)
class Prices:
    pro: str
    pro_yearly: str
    business: str
    business_yearly: str
    product: str


@pytest.fixture
def prices(api: stripe.StripeClient) -> Prices:
    """Prices of Pro (15 a month or 144 a year) and Business (30 or 300)."""
    pro = api.v1.products.create({"name": "Pro"}).id
    business = api.v1.products.create({"name": "Business"}).id

    def price(product: str, amount: int, interval: Any) -> str:
        return api.v1.prices.create(
            {
                "product": product,
                "currency": "usd",
                "unit_amount": amount,
                "recurring": {"interval": interval},
            }
        ).id

    return Prices(
        price(pro, 1500, "month"),
        price(pro, 14400, "year"),
        price(business, 3000, "month"),
        price(business, 30000, "year"),
        pro,
    )


@dataclass
class Subscriber:
    """A customer on a test clock."""

    api: stripe.StripeClient
    clock: str
    customer: str

    def pay_with(self, card: str) -> str:
        """Attach a card and make it the default payment method."""
        method = self.api.v1.payment_methods.attach(card, {"customer": self.customer}).id
        self.api.v1.customers.update(
            self.customer, {"invoice_settings": {"default_payment_method": method}}
        )
        return method

    def subscribe(self, price: str, **more: Any) -> stripe.Subscription:
        return self.api.v1.subscriptions.create(
            {"customer": self.customer, "items": [{"price": price}], **more}
        )

    def until(self, moment: int) -> None:
        """Advance the test clock; all events until then have happened when this returns."""
        self.api.v1.test_helpers.test_clocks.advance(self.clock, {"frozen_time": moment})
        assert self.api.v1.test_helpers.test_clocks.retrieve(self.clock).status == "ready"

    def subscription(self, id: str) -> stripe.Subscription:
        return self.api.v1.subscriptions.retrieve(id)

    def status(self, id: str) -> str:
        return str(self.subscription(id).status)

    def invoices(self) -> list[stripe.Invoice]:
        """Return the invoices, oldest first."""
        return list(
            self.api.v1.invoices.list({"customer": self.customer, "limit": 100}).auto_paging_iter()
        )[::-1]


@pytest.fixture
def subscriber(api: stripe.StripeClient) -> Subscriber:
    """A customer with a valid card, at noon on 10 March 2026."""
    clock = api.v1.test_helpers.test_clocks.create({"frozen_time": at(2026, 3, 10)})
    customer = api.v1.customers.create({"email": "ada@example.com", "test_clock": clock.id})
    subscriber = Subscriber(api, clock.id, customer.id)
    subscriber.pay_with("pm_card_visa")
    return subscriber


@pytest.fixture
def subscriber_from(api: stripe.StripeClient) -> Any:
    """Return a function that creates a customer with a valid card at a given time."""

    def begin(moment: int) -> Subscriber:
        clock = api.v1.test_helpers.test_clocks.create({"frozen_time": moment})
        customer = api.v1.customers.create({"email": "ada@example.com", "test_clock": clock.id})
        subscriber = Subscriber(api, clock.id, customer.id)
        subscriber.pay_with("pm_card_visa")
        return subscriber

    return begin


@dataclass
class Browser:
    """A browser without JavaScript."""

    client: Client

    def get(self, url: str) -> Any:
        return self.client.get(_path(url), base_url=BASE_ADDRESS)

    def post(self, url: str, **form: str) -> Any:
        return self.client.post(_path(url), base_url=BASE_ADDRESS, data=form)


@pytest.fixture
def browser(app: Flask) -> Browser:
    return Browser(app.test_client())


@pytest.fixture
def customer(api: stripe.StripeClient) -> stripe.Customer:
    return api.v1.customers.create({"email": "ada@example.com", "name": "Ada"})


def _path(url: str) -> str:
    return url.removeprefix(BASE_ADDRESS)


def call_admin_api(app: Flask, name: str, **body: Any) -> Any:
    """Call the sandbox's own admin API."""
    response = app.test_client().post(
        f"/stripe/control/{name}",
        base_url=BASE_ADDRESS,
        json=body,
        headers={"Authorization": f"Bearer {KEY}"},
    )
    assert response.status_code == 200, response.text
    return response.json


def plain_metadata(metadata: Any) -> dict[str, str]:
    """Return metadata as a dictionary."""
    result: dict[str, str] = metadata.to_dict()
    return result


def item_of(subscription: stripe.Subscription) -> stripe.SubscriptionItem:
    return subscription["items"].data[0]

"""Measure the speed of the sandbox. Run: python -m tests.bench

CPU time of API calls with 100,000 subscriptions in one account, and the wall time of a year of
1,000 subscriptions with every delivery queued.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import stripe
from flask import Flask
from saas_sandbox import create_sandbox
from saas_sandbox.inprocess import BASE_ADDRESS, client
from saas_sandbox.stripe.webhook_sender import EndpointResponse
from stripe.params import PriceCreateParams

KEY = "sk_test_0123456789abcdef"
MANY = 100_000
SUBSCRIPTIONS = 1_000
CALLS = 100
YEAR = 365 * 86400


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        measure_calls(create_sandbox(str(Path(folder) / "many.db"), post=unreachable, inline=True))
        measure_a_year(create_sandbox(str(Path(folder) / "year.db"), post=unreachable))


def unreachable(url: str, body: bytes, headers: dict[str, str]) -> EndpointResponse:
    return EndpointResponse(None, "connection refused")


def measure_calls(app: Flask) -> None:
    api = client(app, KEY)
    price = monthly(api)
    started = time.perf_counter()
    call_admin_api(app, "fill", price=price, subscriptions=MANY)
    print(f"{MANY:,} subscriptions made in {time.perf_counter() - started:.1f} s")

    page = api.v1.subscriptions.list({"limit": 100})
    one, customer = page.data[50].id, page.data[50].customer
    ask = Caller(app)
    calls: dict[str, Callable[[], object]] = {
        "retrieve a subscription": lambda: ask.get(f"subscriptions/{one}"),
        "list a customer's subscriptions": lambda: ask.get(
            "subscriptions", customer=customer, status="all"
        ),
        "list 10 subscriptions": lambda: ask.get("subscriptions"),
        "list 10 by status": lambda: ask.get("subscriptions", status="past_due"),
        "list 10 by price": lambda: ask.get("subscriptions", price=price),
        "list a customer's invoices": lambda: ask.get("invoices", customer=customer),
        "find a price by lookup key": lambda: ask.get("prices", **{"lookup_keys[]": "x"}),
        "list 10 events": lambda: ask.get("events"),
        "create a customer": lambda: ask.post("customers", email="a@example.com"),
        "update metadata": lambda: ask.post(f"subscriptions/{one}", **{"metadata[a]": "b"}),
        "start a subscription": lambda: ask.post(
            "subscriptions", customer=customer, **{"items[0][price]": price}
        ),
    }
    for name, call in calls.items():
        print(f"  {cpu(call) * 1000:6.2f} ms CPU  {name}")
    app.extensions["sandbox"].close()


class Caller:
    """A client without the SDK, whose own work is not measured."""

    def __init__(self, app: Flask) -> None:
        self.client = app.test_client()
        self.headers = {"Authorization": f"Bearer {KEY}"}

    def get(self, path: str, **query: object) -> None:
        response = self.client.get(f"/stripe/v1/{path}", query_string=query, headers=self.headers)
        assert response.status_code == 200, response.text

    def post(self, path: str, **form: object) -> None:
        response = self.client.post(f"/stripe/v1/{path}", data=form, headers=self.headers)
        assert response.status_code == 200, response.text


def cpu(call: Callable[[], object]) -> float:
    """Return the CPU seconds of one call."""
    started = time.process_time()
    for _ in range(CALLS):
        call()
    return (time.process_time() - started) / CALLS


def measure_a_year(app: Flask) -> None:
    api = client(app, KEY)
    clock = api.v1.test_helpers.test_clocks.create({"frozen_time": int(time.time())})
    call_admin_api(
        app, "fill", price=monthly(api), subscriptions=SUBSCRIPTIONS, test_clock=clock.id
    )
    api.v1.webhook_endpoints.create({"url": "https://shop.test/", "enabled_events": ["*"]})

    started = time.perf_counter()
    api.v1.test_helpers.test_clocks.advance(clock.id, {"frozen_time": clock.frozen_time + YEAR})
    while (now := api.v1.test_helpers.test_clocks.retrieve(clock.id)).status != "ready":
        print(f"  {progress(app, now.id):4.0%} of a year", flush=True)
        time.sleep(5)
    seconds = time.perf_counter() - started
    print(f"{SUBSCRIPTIONS:,} subscriptions advanced by a year in {seconds:.1f} s")
    app.extensions["sandbox"].close()


def progress(app: Flask, clock: str) -> float:
    result = app.test_client().get(
        f"/stripe/control/clocks/{clock}", headers={"Authorization": f"Bearer {KEY}"}
    )
    return float(result.json["share"])  # type: ignore[index]


def monthly(api: stripe.StripeClient) -> str:
    product = api.v1.products.create({"name": "Pro"}).id
    params: PriceCreateParams = {
        "product": product,
        "currency": "usd",
        "unit_amount": 1500,
        "recurring": {"interval": "month"},
    }
    return api.v1.prices.create(params).id


def call_admin_api(app: Flask, name: str, **body: object) -> None:
    response = app.test_client().post(
        f"/stripe/control/{name}",
        base_url=BASE_ADDRESS,
        json=body,
        headers={"Authorization": f"Bearer {KEY}"},
    )
    if response.status_code != 200:
        raise SystemExit(response.text)


if __name__ == "__main__":
    main()

"""No request causes a 500: every response is one that Stripe gives."""

import json
import logging
import random
import typing
from collections.abc import Iterator
from typing import Any, get_args, get_origin

import pytest
import stripe
from flask import Flask
from saas_sandbox.stripe.api.operations import OPERATIONS, Operation
from saas_sandbox.stripe.engine.params import get_fields

from .conftest import KEY, Prices, Subscriber, at

CALLS = 700

# Where a parameter of this name usually gets its value.
KINDS = {"default_payment_method": "payment_method", "test_clock": "test_helpers.test_clock"}
KINDS |= {"from_subscription": "subscription", "id": "subscription_item"}
FOLDERS = {"sessions": "checkout.session", "test_clocks": "test_helpers.test_clock"}
FOLDERS |= {"configurations": "billing_portal.configuration"}
NONSENSE = ["", "-1", "zzz", "9" * 25, "0", "\x00é", {"x": "y"}, ["q"]]
EXPANSIONS = ["customer", "data.customer", "latest_invoice.payments", "items.data.price.product",
              "discounts", "data", "x.y"]  # fmt: skip


class RandomClient:
    """Sends random requests whose parameters are often valid."""

    def __init__(self, app: Flask, seed: int) -> None:
        self.dice = random.Random(seed)  # noqa: S311 repeatable, not secret
        self.store = app.extensions["sandbox"].store
        self.client = app.test_client()

    def ask(self) -> tuple[int, str]:
        operation = self.dice.choice(OPERATIONS)
        path, form = self._path(operation), dict(flat(self._form(operation.shape)))
        values: Any = {"query_string" if operation.method == "GET" else "data": form}
        response = self.client.open(
            f"/stripe/v1{path}",
            method=operation.method,
            headers={"Authorization": f"Bearer {KEY}"},
            **values,
        )
        return response.status_code, f"{operation.method} {path} {form}"

    def _path(self, operation: Operation) -> str:
        folder = operation.path.split("/<id>")[0].rpartition("/")[2]
        kind = FOLDERS.get(folder, folder.removesuffix("s"))
        return operation.path.replace("<id>", self._id(kind))

    def _id(self, kind: str) -> str:
        rows = self.store.fetch_all("SELECT id, body FROM objects WHERE type = ?", kind)
        if kind == "subscription_item":
            subscriptions = self.store.fetch_all(
                "SELECT body FROM objects WHERE type = 'subscription'"
            )
            bodies = [json.loads(row["body"]) for row in subscriptions]
            rows = [item for body in bodies if "items" in body for item in body["items"]["data"]]
        return str(self.dice.choice(rows)["id"]) if rows else "x_1"

    def _form(self, shape: Any, depth: int = 0) -> dict[str, Any]:
        hints = get_fields(shape)
        some = {name for name in hints if depth < 4 and self.dice.random() < 0.12}
        needed = {name for name, hint in hints.items() if "NotRequired" not in str(hint)}
        usual = {"customer", "items", "price", "line_items", "mode", "success_url", "quantity"}
        names = sorted(some | needed | (usual & set(hints)))
        return {name: self._value(name, hints[name], depth) for name in names}

    def _value(self, name: str, hint: Any, depth: int) -> Any:
        origin = get_origin(hint)
        if "NotRequired" in str(origin):
            return self._value(name, get_args(hint)[0], depth)
        if self.dice.random() < 0.02:
            return self.dice.choice(NONSENSE)
        if origin is typing.Union:
            return self._value(name, self.dice.choice(get_args(hint)), depth)
        if origin is typing.Literal:
            return self.dice.choice(get_args(hint))
        if origin is list:
            count = self.dice.choice([0, 1, 1, 2])
            return [self._value(name, get_args(hint)[0], depth + 1) for _ in range(count)]
        if hasattr(hint, "__required_keys__"):
            return self._form(hint, depth + 1)
        return self._scalar(name, hint)

    def _scalar(self, name: str, hint: Any) -> Any:
        if hint is int:
            moment = at(2026, 3, 10) + self.dice.randint(-(10**6), 10**8)
            return self.dice.choice([0, 1, 2, 100, 1500, -5, moment])
        if hint is bool:
            return self.dice.choice(["true", "false"])
        if hint is float:
            return self.dice.choice(["0", "12.5", "100", "-3"])
        if name == "expand":
            return self.dice.choice(EXPANSIONS)
        if name.endswith("_url") or name == "url":
            return "https://shop.test/"
        if name == "currency":
            return "usd"
        return self._id(KINDS.get(name, name))


def flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    pairs: Any = []
    if isinstance(value, dict):
        pairs = value.items()
    elif isinstance(value, list):
        pairs = enumerate(value)
    else:
        yield path, str(value)
    for name, inner in pairs:
        yield from flat(inner, f"{path}[{name}]" if path else str(name))


@pytest.fixture
def world(subscriber: Subscriber, prices: Prices) -> None:
    """Create objects of most kinds."""
    subscriber.subscribe(prices.pro)
    trial = subscriber.subscribe(prices.business, trial_period_days=5)
    subscriber.api.v1.subscription_schedules.create({"from_subscription": trial.id})
    subscriber.pay_with("pm_card_chargeCustomerFail")
    subscriber.subscribe(prices.pro_yearly)
    subscriber.api.v1.checkout.sessions.create(
        {
            "mode": "subscription",
            "customer": subscriber.customer,
            "line_items": [{"price": prices.pro, "quantity": 1}],
            "success_url": "https://shop.test/",
        }
    )
    coupon = subscriber.api.v1.coupons.create({"percent_off": 20, "duration": "once"})
    subscriber.api.v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon.id}})


@pytest.mark.parametrize("seed", [1, 2])
def test_random_requests_cause_no_server_error(
    app: Flask, world: None, api: stripe.StripeClient, caplog: Any, seed: int
) -> None:
    caplog.set_level(logging.CRITICAL, "saas_sandbox")
    monkey = RandomClient(app, seed)

    responses = [monkey.ask() for _ in range(CALLS)]

    assert [asked for status, asked in responses if status >= 500] == []
    assert sum(status == 200 for status, _ in responses) > CALLS / 5

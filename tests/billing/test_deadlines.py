"""Stripe waits some ten seconds for our answer: it gets one, whatever Stripe itself does meanwhile.

And nobody waits for Stripe with us: no transaction is open while it is being asked.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import psycopg
import pytest
import requests
import time_machine
from sqlalchemy import text, update

from saas import database
from saas.auth.models import User
from saas.billing import tasks
from saas.database import db, now
from tests.billing.cases import case
from tests.harness import stripe_account
from tests.harness.live_shop import LiveShop, deliver_event

STRIPE_WAITS = 10.0  # seconds; a promise, so it may be asserted
_numbers = itertools.count(1)


def email() -> str:
    return f"patient-{next(_numbers)}@example.com"


class SubscriptionResponses:
    """What each customer's subscriptions are answered with, by the customer's id."""

    def __init__(self, shop: LiveShop) -> None:
        self.shop, self.over = shop, threading.Event()
        self.of: dict[str, Callable[[dict[str, Any], Any], Any]] = {}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        customer = parse_qs(environ["QUERY_STRING"]).get("customer", [""])[0]
        return self.of.get(customer, self.shop.proxy.app)(environ, start_response)

    def hangs(self, environ: dict[str, Any], start_response: Any) -> Any:
        self.over.wait(30)
        return refusal(500)(environ, start_response)

    def drips(self, _: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        """A byte now and then, so that no read ever times out."""
        start_response("200 OK", [("Content-Type", "application/json")])
        while not self.over.wait(0.5):
            yield b" "

    def is_slow(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Each answer comes in time, and there are too many of them."""
        self.over.wait(3)
        return self.has_3000(environ, start_response)

    def has_3000(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Thirty pages of what the customer has, over and over, under other ids."""
        asked = parse_qs(environ["QUERY_STRING"])
        (real,) = (
            stripe_account.client(self.shop)
            .v1.subscriptions.list(
                {"customer": asked["customer"][0], "status": "all", "expand": ["data.customer"]}
            )
            .data
        )
        last = int(asked.get("starting_after", ["sub_0"])[0].removeprefix("sub_"))
        one = real.to_dict(for_json=True)
        page = [
            {**one, "id": f"sub_{number}", "status": "canceled"}
            for number in range(last + 1, last + 101)
        ]
        if last == 2900:
            page[-1] = one
        body = {
            "object": "list", "data": page, "has_more": last < 2900, "url": "/v1/subscriptions",
        }  # fmt: skip
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(body).encode()]


def refusal(status: int) -> Callable[[dict[str, Any], Any], Any]:
    def refuse(_: dict[str, Any], start_response: Any) -> Any:
        start_response(f"{status} No", [("Content-Type", "application/json")])
        return [b'{"error": {"type": "api_error", "message": "no"}}']

    return refuse


def rubbish(_: dict[str, Any], start_response: Any) -> Any:
    start_response("200 OK", [("Content-Type", "text/html")])
    return [b"<h1>Welcome to nginx!</h1>"]


@case(6, "Stripe down", "429", "timeout", "401")
def test_stripe_gets_its_answer_in_time_whatever_stripe_does(live_on_sqlite: LiveShop) -> None:
    shop, weather = live_on_sqlite, SubscriptionResponses(live_on_sqlite)
    kinds = {
        "hangs": weather.hangs, "drips": weather.drips, "is slow": weather.is_slow,
        "too many": refusal(429), "broken": refusal(500), "away": refusal(503),
        "our key is refused": refusal(401), "rubbish": rubbish,
    }  # fmt: skip
    users = {kind: stripe_account.subscriber(shop, email(), synced=False) for kind in kinds}
    for kind, (user, _) in users.items():
        weather.of[str(user.stripe_customer_id)] = kinds[kind]

    with shop.proxy.answering(weather), ThreadPoolExecutor(len(kinds)) as pool:
        responses = dict(
            zip(kinds, pool.map(lambda of: timed(shop, *of), users.values()), strict=True)
        )
        weather.over.set()

    for kind, (response, seconds) in responses.items():
        assert response.status_code == 503, kind
        assert seconds < STRIPE_WAITS, kind
    for user, subscription in users.values():  # good weather again: Stripe tries once more
        response, _ = timed(shop, user, subscription)
        assert response.json() == {"outcome": "applied"}
        assert shop.user(user.email).stripe_subscription_id == subscription


def timed(shop: LiveShop, user: User, subscription: str) -> tuple[requests.Response, float]:
    started_at = time.monotonic()
    subject = {"id": subscription, "object": "subscription", "customer": user.stripe_customer_id}
    response = deliver_event(shop, subject, id=f"evt_{subscription}")
    assert response is not None
    return response, time.monotonic() - started_at


def test_three_thousand_subscriptions_are_read_to_the_last_page(live_on_sqlite: LiveShop) -> None:
    """In time if Stripe is quick; otherwise by the sweep, for which nobody waits."""
    shop, weather = live_on_sqlite, SubscriptionResponses(live_on_sqlite)
    ann, subscription = stripe_account.subscriber(shop, email(), synced=False)
    weather.of[str(ann.stripe_customer_id)] = weather.has_3000

    shop.proxy.calls.clear()
    with shop.proxy.answering(weather):
        response, seconds = timed(shop, ann, subscription)
        asked = shop.proxy.calls.count("GET /v1/subscriptions")
        with shop.app_behind_proxy.app_context(), time_machine.travel(in_a_while(), tick=True):
            tasks.retry_events()

    assert seconds < STRIPE_WAITS
    assert (response.status_code, asked) == (200, 30) or response.status_code == 503
    assert shop.user(ann.email).stripe_subscription_id == subscription


def in_a_while() -> datetime:
    return now() + timedelta(minutes=6)


@case(6, "database down")
def test_with_the_database_locked_the_answer_comes_in_time_too(live_on_sqlite: LiveShop) -> None:
    shop = live_on_sqlite
    ann, subscription = stripe_account.subscriber(shop, email(), synced=False)
    somebody = sqlite3.connect(shop.env["DATABASE_URL"].removeprefix("sqlite:///"))
    somebody.execute("BEGIN IMMEDIATE")

    response, seconds = timed(shop, ann, subscription)

    assert response.status_code == 503
    assert seconds < STRIPE_WAITS
    somebody.rollback()
    somebody.close()
    assert timed(shop, ann, subscription)[0].json() == {"outcome": "applied"}


@case(6, "database down")
def test_a_database_that_refuses_us_is_503_and_comes_back(live_on_postgres: LiveShop) -> None:
    shop = live_on_postgres
    ann, subscription = stripe_account.subscriber(shop, email(), synced=False)
    let_in(shop, False)

    response, seconds = timed(shop, ann, subscription)

    assert response.status_code == 503
    assert seconds < STRIPE_WAITS
    let_in(shop, True)
    assert timed(shop, ann, subscription)[0].json() == {"outcome": "applied"}


def let_in(shop: LiveShop, allowed: bool) -> None:
    """Whether the server takes connections to the shop's database; ends those that are open."""
    server, name = shop.env["DATABASE_URL"].rsplit("/", 1)
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS {str(allowed).lower()}')
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
        )


def event(shop: LiveShop, user: User, subscription: str) -> Any:
    return timed(shop, user, subscription)[0]


def way_back(shop: LiveShop, user: User, _: str) -> Any:
    browser, _header = shop.signed_in(user)
    with browser:
        return shop.ask("GET", "/billing/return", 0, browser)


def choice(shop: LiveShop, user: User, _: str) -> Any:
    browser, header = shop.signed_in(user)
    data = {"plan": "solo", "interval": "yearly"}
    with browser:
        headers = {**header, "Origin": shop.url}
        return shop.ask("POST", "/billing/checkout", 0, browser, data=data, headers=headers)


def farewell(shop: LiveShop, user: User, _: str) -> Any:
    browser, header = shop.signed_in(user)
    with browser:
        return shop.ask("DELETE", "/api/user", 0, browser, headers=header)


@pytest.mark.parametrize("ask", [event, way_back, choice, farewell])
def test_while_stripe_is_asked_everybody_else_goes_on_writing(
    live: LiveShop, ask: Callable[..., Any]
) -> None:
    ann, subscription = stripe_account.subscriber(live, email())

    with ThreadPoolExecutor(2) as pool, live.proxy.holding() as arrived:
        response = pool.submit(ask, live, ann, subscription)
        assert arrived.wait(10)
        pool.submit(rename, live, ann).result(timeout=5)  # the same row, while we are held
        assert not response.done()
        assert open_transactions(live) == 0

    assert response.result().status_code in (200, 303)


def rename(shop: LiveShop, user: User) -> None:
    with shop.app.app_context(), database.write_transaction():
        database.execute(update(User).where(User.id == user.id).values(name="Somebody Else"))


def open_transactions(shop: LiveShop) -> int:
    """On PostgreSQL, how many connections hold a transaction and do nothing."""
    with shop.app.app_context():
        if db.engine.dialect.name == "sqlite":
            return 0  # the writer has shown it: there is one lock for all
        idle = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' "
        return db.session.scalar(text(idle + "AND datname = current_database()")) or 0

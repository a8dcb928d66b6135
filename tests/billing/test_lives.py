"""Random lives under random weather: in the end our columns equal Stripe's state.

A life is a list of steps. What Stripe sends is kept back in a heap, from which steps deliver events
in any order, twice or never; Stripe goes away and comes back. A life that fails is printed as the
list of its steps, which can be pasted into `test_this_life` to be lived again.

`LIVES=20000 pytest tests/billing/test_lives.py` lives more of them.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import stripe
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from saas import create_app
from saas.auth import accounts
from saas.auth.models import User
from saas.billing import buying, gateway, ownership, setup, subscriptions, sweeps
from saas.billing.buying import CannotSubscribe
from saas.billing.models import ClosedAccount, StripeEvent, SubscriptionChange
from saas.database import db
from saas.sandbox import create_sandbox
from saas.sandbox.inprocess import BASE_ADDRESS, InProcess
from saas.sandbox.stripe.delivery import Answer
from saas.users import closing
from tests import conftest

LIVES = int(os.environ.get("LIVES", "100"))
KEY = "sk_test_aHundredLivesInMemory"
CARD = {"number": "4242424242424242", "expiry": "12 / 34", "cvc": "123"}
LIVE = ("active", "trialing", "past_due", "unpaid", "paused")


class Weather(InProcess):
    """The way to Stripe, which can be cut."""

    is_down = False

    def request(self, *args: Any, **kwargs: Any) -> tuple[str, int, Mapping[str, str]]:
        if self.is_down:
            return '{"error": {"type": "api_error", "message": "down"}}', 500, {}
        return super().request(*args, **kwargs)


class World:
    """A sandbox and an application in one process, and what lies between them."""

    def __init__(self, database: Path) -> None:
        self.heap: list[tuple[bytes, dict[str, str]]] = []
        self.sandbox = create_sandbox(post=self._keep_back, inline=True)
        self.weather = Weather(self.sandbox)
        self.app = self._make_app(database)
        self.at_stripe = stripe.StripeClient(
            KEY,
            base_addresses={"api": f"{BASE_ADDRESS}/stripe"},
            http_client=InProcess(self.sandbox),
        ).v1
        self.web = self.app.test_client()
        self.numbers = itertools.count()
        other = self.at_stripe.products.create({"name": "Another product of the company"})
        self.foreign_price = self.at_stripe.prices.create(
            {
                "product": other.id,
                "currency": "usd",
                "unit_amount": 700,
                "recurring": {"interval": "month"},
            }
        ).id

    def _make_app(self, database: Path) -> Flask:
        env = {
            "DATABASE_URL": f"sqlite:///{database}",
            "SANDBOX_URL": BASE_ADDRESS,
            "SANDBOX_STRIPE_API_KEY": KEY,
        }
        client = stripe.StripeClient(
            KEY, base_addresses={"api": f"{BASE_ADDRESS}/stripe"}, http_client=self.weather
        )
        bare = create_app(conftest.settings(**env))
        bare.extensions["stripe"] = {True: client, False: client}
        with bare.app_context():
            variables = setup.set_up(prefix="SANDBOX_")
        conftest.close(bare)
        app = create_app(conftest.settings(**env, **variables))
        app.extensions["stripe"] = {True: client, False: client}
        return app

    def _keep_back(self, _url: str, body: bytes, headers: dict[str, str]) -> Answer:
        self.heap.append((body, headers))
        return Answer(200, "kept back")

    def close(self) -> None:
        conftest.close(self.app)
        self.sandbox.extensions["sandbox"].close()


@pytest.fixture(scope="module")
def world(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    database = tmp_path_factory.mktemp("lives") / "app.db"
    shutil.copy(migrated_sqlite, database)
    made = World(database)
    yield made
    made.close()


class Life:
    """One person's life: every step is a method, and may be refused."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.email = f"life-{next(world.numbers)}@example.com"
        self.foreign: list[str] = []
        self.customers: set[str] = set()
        world.heap.clear()
        world.weather.is_down = False
        with world.app.app_context():
            self.id = accounts.sign_up(self.email).id

    # --- steps ------------------------------------------------------------------------------

    def buy(self, plan: str, interval: str) -> None:
        if person := self.person():
            page = urlsplit(buying.start(person, plan, interval, f"{next(self.world.numbers):x}"))
            if "/checkout/" in page.path:
                self.world.sandbox.test_client().post(page.path, data=CARD)

    def buy_a_second(self, plan: str, interval: str) -> None:
        if person := self.person():
            customer = buying.ensure_customer(person)
            self.world.at_stripe.subscriptions.create(
                {
                    "customer": customer,
                    "items": [{"price": buying.price_for(plan, interval)}],
                    "metadata": ownership.metadata_of(person),
                }
            )

    def buy_something_foreign(self) -> None:
        if customer := self.customer():
            self.foreign.append(
                self.world.at_stripe.subscriptions.create(
                    {"customer": customer, "items": [{"price": self.world.foreign_price}]}
                ).id
            )

    def change(self, plan: str, interval: str) -> None:
        for found in self.live():
            item = found["items"].data[0].id
            price = buying.price_for(plan, interval)
            self.world.at_stripe.subscriptions.update(
                found.id, {"items": [{"id": item, "price": price}]}
            )

    def cancel_later(self) -> None:
        for found in self.live():
            self.world.at_stripe.subscriptions.update(found.id, {"cancel_at_period_end": True})

    def resume(self) -> None:
        for found in self.live():
            self.world.at_stripe.subscriptions.update(found.id, {"cancel_at_period_end": False})

    def cancel_now(self) -> None:
        for found in self.live():
            self.world.at_stripe.subscriptions.cancel(found.id)

    def card(self, kind: str) -> None:
        if customer := self.customer():
            card = self.world.at_stripe.payment_methods.attach(kind, {"customer": customer})
            self.world.at_stripe.customers.update(
                customer, {"invoice_settings": {"default_payment_method": card.id}}
            )

    def time_passes(self, step: str) -> None:
        if customer := self.customer():
            self.world.sandbox.test_client().post(
                "/stripe/control/advance",
                json={"customer": customer, "step": step},
                headers={"Authorization": f"Bearer {KEY}"},
            )

    def customer_is_deleted(self) -> None:
        if customer := self.customer():
            self.world.at_stripe.customers.delete(customer)

    def deliver(self, which: int, times: int) -> None:
        if self.world.heap:
            body, headers = self.world.heap.pop(which % len(self.world.heap))
            for _ in range(times):
                answer = self.world.web.post("/api/webhooks/stripe", data=body, headers=headers)
                expected = (200, 503) if self.world.weather.is_down else (200,)
                assert answer.status_code in expected, answer.text

    def drop(self, which: int) -> None:
        if self.world.heap:
            self.world.heap.pop(which % len(self.world.heap))

    def stripe_goes_away(self) -> None:
        self.world.weather.is_down = True

    def stripe_comes_back(self) -> None:
        self.world.weather.is_down = False

    def sync(self) -> None:
        subscriptions.sync(self.id, cause="a life")

    def sweep(self) -> None:
        sweeps.apply_what_was_left()
        sweeps.look_after_ended_periods()

    def close(self) -> None:
        if person := self.person():
            closing.close_account(person)

    # --- what is true -----------------------------------------------------------------------

    def person(self) -> User | None:
        return db.session.get(User, self.id, populate_existing=True)

    def customer(self) -> str | None:
        person = self.person()
        if person and person.stripe_customer_id:
            self.customers.add(person.stripe_customer_id)
        return person.stripe_customer_id if person else None

    def at_stripe(self) -> list[stripe.Subscription]:
        """Every subscription of every customer that this person ever had."""
        return [
            found
            for customer in self.customers
            for found in self.world.at_stripe.subscriptions.list(
                {"customer": customer, "status": "all", "limit": 100}
            ).data
        ]

    def live(self) -> list[stripe.Subscription]:
        self.customer()
        return [
            found
            for found in self.at_stripe()
            if found.status in LIVE and found.id not in self.foreign
        ]


REFUSALS = (gateway.StripeError, CannotSubscribe, closing.CannotClose, stripe.StripeError)
plan = st.sampled_from(["pro", "business"])
interval = st.sampled_from(["monthly", "yearly"])
which = st.integers(0, 9)


def step(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.tuples(st.just(name), *arguments)


STEPS = st.one_of(
    step("buy", plan, interval),
    step("buy_a_second", plan, interval),
    step("buy_something_foreign"),
    step("change", plan, interval),
    step("cancel_later"),
    step("resume"),
    step("cancel_now"),
    step("card", st.sampled_from(["pm_card_visa", "pm_card_chargeCustomerFail"])),
    step("time_passes", st.sampled_from(["day", "month", "renewal", "year"])),
    step("customer_is_deleted"),
    step("deliver", which, st.integers(1, 3)),
    step("deliver", which, st.just(1)),
    step("drop", which),
    step("stripe_goes_away"),
    step("stripe_comes_back"),
    step("sync"),
    step("sweep"),
    step("close"),
)


# What costs money is drawn more often: most lives shall have something to lose.
MONEY = st.one_of(
    step("buy", plan, interval),
    step("buy_a_second", plan, interval),
    step("change", plan, interval),
    step("sync"),
)


def live_through(world: World, story: list[tuple[Any, ...]]) -> None:
    with world.app.app_context():
        life = Life(world)
        for name, *arguments in story:
            with suppress(*REFUSALS):
                getattr(life, name)(*arguments)
            life.customer()
            _nothing_is_broken(life)
        _everything_converges(life)


def _nothing_is_broken(life: Life) -> None:
    """What must hold after every step, whatever was missed so far."""
    person = life.person()
    if person and person.is_paid:
        assert person.stripe_subscription_status in ("active", "trialing", "past_due")
        assert person.stripe_customer_id in life.customers
    changes = select(SubscriptionChange).where(SubscriptionChange.user_id == life.id)
    for change in db.session.scalars(changes):
        assert change.before != change.after


def _everything_converges(life: Life) -> None:
    """What must hold once Stripe is back and one sync has run, and after every late event."""
    life.stripe_comes_back()
    closing.finish_closing()
    subscriptions.sync(life.id, cause="the end")
    _columns_equal_stripe(life)
    for _ in range(len(life.world.heap)):
        life.deliver(0, 1)
    _columns_equal_stripe(life)


def _columns_equal_stripe(life: Life) -> None:
    person, ours = life.person(), life.live()
    for foreign in life.foreign:
        _is_untouched(life, foreign)
    if person is None or person.is_closing:
        assert ours == []
        buried = select(ClosedAccount).where(ClosedAccount.person_id == life.id)
        assert person or db.session.scalars(buried).one()
        return
    assert subscriptions.differences(person) == {}
    assert len([found for found in ours if found.status in ("active", "trialing")]) <= 1
    for found in ours:
        if found.status in ("active", "trialing"):
            assert person.stripe_subscription_id == found.id
            assert person.stripe_subscription_status == found.status
            assert person.stripe_price_id == found["items"].data[0].price.id
            assert person.is_paid
            assert _seconds(person.stripe_current_period_end) == _period_end(found)
            ends = _period_end(found) if found.cancel_at_period_end else None
            assert _seconds(person.stripe_cancel_at) == (found.cancel_at or ends)
    if not any(found.status in ("active", "trialing", "past_due") for found in ours):
        assert not person.is_paid


def _period_end(found: stripe.Subscription) -> int:
    return int(found["items"].data[0].current_period_end)


def _seconds(at: datetime | None) -> int | None:
    return int(at.timestamp()) if at else None


def _is_untouched(life: Life, foreign: str) -> None:
    """What is not ours ends with its customer or for want of a payment, and never by our hand."""
    found = life.world.at_stripe.subscriptions.retrieve(foreign)
    if found.status == "canceled":
        customer = life.world.at_stripe.customers.retrieve(str(found.customer))
        why = found.cancellation_details.reason if found.cancellation_details else None
        assert getattr(customer, "deleted", False) or why == "payment_failed"


@settings(
    max_examples=LIVES,
    derandomize="LIVES" not in os.environ,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
@given(
    bought=step("buy", plan, interval),
    story=st.lists(st.one_of(STEPS, MONEY), min_size=5, max_size=15),
)
def test_whatever_happens_our_columns_end_as_stripe_s(
    world: World, bought: tuple[Any, ...], story: list[tuple[Any, ...]]
) -> None:
    live_through(world, [bought, *story])


def test_this_life(world: World) -> None:
    """A life with a bit of everything, written out; paste another one here to live it again."""
    live_through(
        world,
        [
            ("buy", "pro", "monthly"),
            ("deliver", 3, 2),
            ("card", "pm_card_chargeCustomerFail"),
            ("time_passes", "renewal"),
            ("drop", 0),
            ("stripe_goes_away",),
            ("deliver", 5, 1),
            ("sync",),
            ("stripe_comes_back",),
            ("sweep",),
            ("card", "pm_card_visa"),
            ("time_passes", "month"),
            ("buy_a_second", "business", "yearly"),
            ("deliver", 0, 3),
        ],
    )


def test_a_life_that_ends_with_its_account(world: World) -> None:
    live_through(
        world,
        [
            ("buy", "business", "monthly"),
            ("deliver", 1, 1),
            ("buy_something_foreign",),
            ("buy_a_second", "pro", "monthly"),
            ("close",),
            ("deliver", 4, 2),
        ],
    )


def test_every_event_that_was_applied_is_noted_once(world: World) -> None:
    with world.app.app_context():
        rows = db.session.scalars(select(StripeEvent.id)).all()

    assert len(rows) == len(set(rows))

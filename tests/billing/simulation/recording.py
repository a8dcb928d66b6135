"""A life at Stripe, recorded: its events, and what Stripe answered at each moment.

Played back, the same events arrive in any order. Stripe then answers as it would have at the
moment of the latest event that has arrived so far: what happened is known, what comes is not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import stripe
from sqlalchemy import delete, select, update

from saas import database
from saas.auth.models import User
from saas.billing import customers, events, subscriptions
from saas.billing.gateway.signatures import read_event
from saas.billing.models import StripeEvent, SubscriptionChange
from saas.database import db
from saas.mail.models import OutboxMessage
from saas.subscriber import SYNCED_COLUMNS
from tests.billing.simulation.customer import Customer
from tests.billing.simulation.world import Delivery, World

Answer = tuple[str, int, Mapping[str, str]]
Answers = dict[str, Answer]


class RecordingClient(stripe.HTTPClient):
    """A way to Stripe that writes down what is read, or reads it back."""

    name = "tape"

    def __init__(self, way: stripe.HTTPClient) -> None:
        super().__init__()
        self._way = way
        self.writing: Answers | None = None
        self.reading: Answers | None = None

    def request(self, method: str, url: str, headers: Any, post_data: Any = None) -> Answer:
        asked = f"{url} {post_data or ''}"
        is_question = method == "get" or url.endswith("/create_preview")
        if self.reading is not None:
            assert is_question, f"{method} {url}: a played back Stripe can only be asked"
            assert asked in self.reading, f"{asked} was not recorded"
            return self.reading[asked]
        response: Answer = self._way.request(method, url, headers, post_data)
        if self.writing is not None and is_question:
            self.writing[asked] = response
        return response

    def close(self) -> None:
        self._way.close()


@dataclass(frozen=True)
class Moment:
    """An event, and what Stripe says from then on."""

    type: str
    delivery: Delivery
    answers: Answers


@dataclass
class Recording:
    """A recorded life, ready to be played back from its beginning."""

    life: Customer
    tape: RecordingClient
    beginning: dict[str, Any]
    moments: list[Moment] = field(default_factory=list)
    end: dict[str, Any] = field(default_factory=dict)

    def play(self, order: Sequence[int]) -> dict[str, Any]:
        """Deliver the moments in this order; the columns afterwards, after a sync if need be.

        The sync is needed only where the last moment never arrived.
        """
        self._rewind()
        latest = 0
        for number in order:
            latest = max(latest, number)
            with self._stripe_as_of(latest):
                status, text = self.life.world.way.deliver(self._signed(number))
            assert status == 200, text
        last = len(self.moments) - 1
        if latest < last:
            with self._stripe_as_of(last):
                subscriptions.sync(self.life.id, cause="after all")
        return self.columns()

    def _signed(self, number: int) -> Delivery:
        """The event, signed now: many orders take longer than a signature is good for."""
        app, delivery = self.life.world.app, self.moments[number].delivery
        assert app is not None
        header = stripe.WebhookSignature.generate_signature_header(
            delivery.body.decode(), app.config["STRIPE_WEBHOOK_SECRETS"][0]
        )
        return delivery._replace(headers={**delivery.headers, "Stripe-Signature": header})

    def columns(self) -> dict[str, Any]:
        """Our copy of Stripe's state, and the customer."""
        user = self.life.person()
        assert user is not None
        return {
            **user.synced_columns,
            "stripe_next_invoice": user.stripe_next_invoice,
            "stripe_customer_id": user.stripe_customer_id,
            "plan": user.plan.id,
        }

    def unprocessed(self) -> Sequence[str]:
        """Events that arrived and had no effect."""
        left = select(StripeEvent.id).where(StripeEvent.processed_at.is_(None))
        return db.session.scalars(left).all()

    def _rewind(self) -> None:
        with database.write_transaction():
            for table in (SubscriptionChange, StripeEvent, OutboxMessage):
                database.execute(delete(table))
            database.execute(update(User).where(User.id == self.life.id).values(**self.beginning))

    @contextmanager
    def _stripe_as_of(self, number: int) -> Iterator[None]:
        self.tape.reading = self.moments[number].answers
        try:
            yield
        finally:
            self.tape.reading = None


def record(world: World, before: Sequence[Callable[[Customer], None]], *then: Any) -> Recording:
    """Live `before`, sync, and record the steps that come then."""
    tape = RecordingClient(world.way.to_stripe())
    life = Customer(world)
    world.weather.change_way(tape)
    for step in before:
        step(life)
    subscriptions.sync(life.id, cause="before")
    world.heap.clear()
    recording = Recording(life, tape, _columns_of(life))
    for step in then:
        step(life)
        recording.moments += list(_moments(life, tape))
    subscriptions.sync(life.id, cause="the end")
    recording.end = recording.columns()
    return recording


def _moments(life: Customer, tape: RecordingClient) -> Iterator[Moment]:
    responses = _what_stripe_says(life, tape)
    for delivery in life.world.heap:
        event = read_event(json.loads(delivery.body))
        if events.ignore_reason(event) is None:
            yield Moment(event.type, delivery, responses)
    life.world.heap.clear()


def _what_stripe_says(life: Customer, tape: RecordingClient) -> Answers:
    """Every answer that handling an event can ask for, as it is now."""
    tape.writing = responses = {}
    user = life.person()
    assert user is not None
    assert user.stripe_customer_id
    subscriptions.differences(user)
    customers.adopt(user.stripe_customer_id)
    tape.writing = None
    return responses


def _columns_of(life: Customer) -> dict[str, Any]:
    user = life.person()
    assert user is not None
    names = (
        *SYNCED_COLUMNS,
        "stripe_next_invoice",
        "stripe_customer_id",
        "stripe_customer_generation",
        "stripe_sync_counter",
    )
    return {name: getattr(user, name) for name in names}

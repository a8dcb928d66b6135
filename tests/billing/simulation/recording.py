"""A recorded subscriber: its events, and Stripe's responses at each moment.

On replay the events are delivered in any order. Stripe responds as at the moment of the latest
event that has arrived so far.
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
from saas.billing import customers, events, gateway, subscriptions
from saas.billing.gateway.signatures import read_event
from saas.billing.models import StripeEvent, SubscriptionChange
from saas.billing.subscriptions import stripe_state
from saas.database import db
from saas.mail.models import OutboxMessage
from saas.subscriber import SYNCED_COLUMNS
from tests.billing.simulation.customer import Subscriber
from tests.billing.simulation.world import Delivery, World

Answer = tuple[str, int, Mapping[str, str]]
Responses = dict[str, Answer]


class RecordingClient(stripe.HTTPClient):
    """A client that records responses to reads, or replays them."""

    name = "recording"

    def __init__(self, transport: stripe.HTTPClient) -> None:
        super().__init__()
        self._transport = transport
        self.writing: Responses | None = None
        self.reading: Responses | None = None

    def request(self, method: str, url: str, headers: Any, post_data: Any = None) -> Answer:
        asked = f"{url} {post_data or ''}"
        is_question = method == "get" or url.endswith("/create_preview")
        if self.reading is not None:
            assert is_question, f"{method} {url}: a replay only reads"
            assert asked in self.reading, f"{asked} was not recorded"
            return self.reading[asked]
        response: Answer = self._transport.request(method, url, headers, post_data)
        if self.writing is not None and is_question:
            self.writing[asked] = response
        return response

    def close(self) -> None:
        self._transport.close()


@dataclass(frozen=True)
class Moment:
    """An event, and Stripe's responses from then on."""

    type: str
    delivery: Delivery
    responses: Responses


@dataclass
class Recording:
    """A recorded subscriber, ready for a replay from its beginning."""

    subscriber: Subscriber
    client: RecordingClient
    beginning: dict[str, Any]
    moments: list[Moment] = field(default_factory=list)
    end: dict[str, Any] = field(default_factory=dict)

    def play(self, order: Sequence[int]) -> dict[str, Any]:
        """Deliver the moments in this order, and return the columns.

        Sync if the last moment was not delivered.
        """
        self._rewind()
        latest = 0
        for number in order:
            latest = max(latest, number)
            with self._stripe_as_of(latest):
                status, text = self.subscriber.world.transport.deliver(self._signed(number))
            assert status == 200, text
        last = len(self.moments) - 1
        if latest < last:
            with self._stripe_as_of(last):
                subscriptions.sync(self.subscriber.id, cause="after all")
        return self.columns()

    def _signed(self, number: int) -> Delivery:
        """Sign the event now: replaying many orders takes longer than a signature is valid."""
        app, delivery = self.subscriber.world.app, self.moments[number].delivery
        assert app is not None
        header = stripe.WebhookSignature.generate_signature_header(
            delivery.body.decode(), app.config["STRIPE_WEBHOOK_SECRETS"][0]
        )
        return delivery._replace(headers={**delivery.headers, "Stripe-Signature": header})

    def columns(self) -> dict[str, Any]:
        """Return our copy of Stripe's state, and the customer."""
        user = self.subscriber.user()
        assert user is not None
        return {
            **user.synced_columns,
            "stripe_next_invoice": user.stripe_next_invoice,
            "stripe_customer_id": user.stripe_customer_id,
            "plan": user.plan.id,
        }

    def unprocessed(self) -> Sequence[str]:
        """Return the events that arrived and had no effect."""
        left = select(StripeEvent.id).where(StripeEvent.processed_at.is_(None))
        return db.session.scalars(left).all()

    def _rewind(self) -> None:
        with database.write_transaction():
            for table in (SubscriptionChange, StripeEvent, OutboxMessage):
                database.execute(delete(table))
            database.execute(
                update(User).where(User.id == self.subscriber.id).values(**self.beginning)
            )

    @contextmanager
    def _stripe_as_of(self, number: int) -> Iterator[None]:
        self.client.reading = self.moments[number].responses
        try:
            yield
        finally:
            self.client.reading = None


def record(world: World, before: Sequence[Callable[[Subscriber], None]], *then: Any) -> Recording:
    """Run `before`, sync, and record the steps after that."""
    client = RecordingClient(world.transport.to_stripe())
    subscriber = Subscriber(world)
    world.network.change_transport(client)
    for step in before:
        step(subscriber)
    subscriptions.sync(subscriber.id, cause="before")
    world.undelivered.clear()
    recording = Recording(subscriber, client, _columns_of(subscriber))
    subjects: set[str] = set()
    for step in then:
        step(subscriber)
        recording.moments += list(_moments(subscriber, client, subjects))
    subscriptions.sync(subscriber.id, cause="the end")
    recording.end = recording.columns()
    return recording


def _moments(
    subscriber: Subscriber, client: RecordingClient, subjects: set[str]
) -> Iterator[Moment]:
    """Yield the moments of a step; `subjects` collects the objects of the events of all steps."""
    undelivered = subscriber.world.undelivered
    subjects |= {
        json.loads(delivery.body)["data"]["object"].get("id") or "" for delivery in undelivered
    }
    responses = _record_responses(subscriber, client, subjects)
    for delivery in subscriber.world.undelivered:
        event = read_event(json.loads(delivery.body))
        if events.ignore_reason(event) is None:
            yield Moment(event.type, delivery, responses)
    subscriber.world.undelivered.clear()


def _record_responses(
    subscriber: Subscriber, client: RecordingClient, subjects: set[str]
) -> Responses:
    """Record, in their current state, all responses that processing an event may need."""
    client.writing = responses = {}
    user = subscriber.user()
    assert user is not None
    assert user.stripe_customer_id
    subscriptions.differences(user)
    customers.adopt(user.stripe_customer_id)
    for subject in subjects:  # of these, an event may be read again by its id
        if subject.startswith("cs_"):
            stripe_state.find_purchase(subject)
        elif subject.startswith(("ch_", "du_", "re_")):
            gateway.payer(subject)
    client.writing = None
    return responses


def _columns_of(subscriber: Subscriber) -> dict[str, Any]:
    user = subscriber.user()
    assert user is not None
    names = (
        *SYNCED_COLUMNS,
        "stripe_next_invoice",
        "stripe_customer_id",
        "stripe_customer_generation",
        "stripe_sync_counter",
    )
    return {name: getattr(user, name) for name in names}

"""Events in every order, twice, or never: the columns end as Stripe's state."""

from __future__ import annotations

import itertools
import os
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.billing.cases import case
from tests.billing.simulation import expected_emails, world
from tests.billing.simulation.customer import Subscriber
from tests.billing.simulation.recording import Recording, record
from tests.billing.simulation.world import World

ORDERS = int(os.environ.get("ORDERS", "200"))  # of longer scenarios

Steps = Sequence[Callable[[Subscriber], None]]


def subscribes(subscriber: Subscriber) -> None:
    subscriber.pay_page(-1)


def opens_a_page(subscriber: Subscriber) -> None:
    subscriber.open_page("solo", "monthly")


def buys(subscriber: Subscriber) -> None:
    subscriber.buy("solo", "monthly")


def upgrades(subscriber: Subscriber) -> None:
    subscriber.change("team", "monthly")


def changes_to_yearly(subscriber: Subscriber) -> None:
    subscriber.change("team", "yearly")


def downgrades(subscriber: Subscriber) -> None:
    subscriber.change("solo", "yearly")


def renews(subscriber: Subscriber) -> None:
    subscriber.advance_clock("renewal")


def card_will_fail(subscriber: Subscriber) -> None:
    subscriber.card("pm_card_chargeCustomerFail")


def pays_open_invoices(subscriber: Subscriber) -> None:
    at_stripe, customer = subscriber.world.at_stripe, subscriber.customer_id() or ""
    card = at_stripe.payment_methods.attach("pm_card_visa", {"customer": customer}).id
    for invoice in at_stripe.invoices.list({"customer": customer, "status": "open"}).data:
        at_stripe.invoices.pay(invoice.id, {"payment_method": card})


def replaces_card(subscriber: Subscriber) -> None:
    subscriber.card("pm_card_visa")


def opens_a_page_for_one_payment(subscriber: Subscriber) -> None:
    subscriber.open_page("lifetime", "once")


def pays_with_a_disputed_card(subscriber: Subscriber) -> None:
    subscriber.buy_once("4000 0000 0000 0259")


def wins_the_dispute(subscriber: Subscriber) -> None:
    subscriber.decide_dispute("winning_evidence")


def loses_the_dispute(subscriber: Subscriber) -> None:
    subscriber.decide_dispute("losing_evidence")


def is_refunded_half(subscriber: Subscriber) -> None:
    subscriber.refund_purchase(-1, 50)


def is_refunded(subscriber: Subscriber) -> None:
    subscriber.refund_purchase(-1, 100)


def buys_once(subscriber: Subscriber) -> None:
    subscriber.buy_once("4242 4242 4242 4242")


STANDARD: dict[str, tuple[Steps, Steps]] = {
    "subscribes and renews": ([opens_a_page], [subscribes, renews]),
    "changes the plan": ([buys], [upgrades, changes_to_yearly, downgrades]),
    "fails to pay and recovers": ([buys, card_will_fail], [renews, pays_open_invoices]),
    "cancels, resumes, ends": (
        [buys],
        [
            Subscriber.cancel_later,
            Subscriber.resume,
            Subscriber.cancel_later,
            renews,
        ],
    ),
    "ends and subscribes again": (
        [buys, Subscriber.cancel_now, opens_a_page],
        [subscribes, renews],
    ),
    "buys once and is refunded": (
        [opens_a_page_for_one_payment],
        [subscribes, is_refunded_half, is_refunded],
    ),
    "loses a dispute": (
        [opens_a_page_for_one_payment],
        [pays_with_a_disputed_card, loses_the_dispute],
    ),
}
LONGER: dict[str, tuple[Steps, Steps]] = {
    "a long subscription": (
        [opens_a_page],
        [
            subscribes, upgrades, renews, card_will_fail, renews, replaces_card, pays_open_invoices,
            Subscriber.cancel_later, Subscriber.resume, changes_to_yearly, Subscriber.cancel_now,
            Subscriber.delete_customer,
        ],
    ),
    "one-time plans beside a higher subscription": (
        [opens_a_page],
        [
            subscribes, upgrades, pays_with_a_disputed_card, wins_the_dispute, is_refunded_half,
            renews, is_refunded, buys_once, Subscriber.cancel_now, is_refunded,
        ],
    ),
    "never pays again": (
        [opens_a_page],
        [subscribes, card_will_fail, renews, renews, renews, Subscriber.cancel_now],
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def in_memory(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    path = shutil.copy(migrated_sqlite, tmp_path_factory.mktemp("orders") / "app.db")
    with world.in_memory(f"sqlite:///{path}") as both_sides, both_sides.app.app_context():
        yield both_sides


@pytest.mark.parametrize("name", STANDARD)
@case(3)
def test_every_order_of_a_standard_scenario_gives_the_same_state(
    in_memory: World, name: str
) -> None:
    recording = record_standard(in_memory, name)
    assert 3 <= len(recording.moments) <= 5, [moment.type for moment in recording.moments]

    for order in orders_of(len(recording.moments)):
        plays_to_the_end(recording, order)


@pytest.mark.parametrize("name", LONGER)
def test_orders_of_longer_scenarios_give_the_same_state(in_memory: World, name: str) -> None:
    before, then = LONGER[name]
    recording = record(in_memory, before, *then)
    assert len(recording.moments) > 9, [moment.type for moment in recording.moments]

    chance = random.Random(name)  # noqa: S311 - the same orders in every run
    for _ in range(ORDERS):
        plays_to_the_end(recording, some_order_of(len(recording.moments), chance))


def record_standard(both_sides: World, name: str) -> Recording:
    """Record a standard subscriber, without the announcement of its invoice.

    That event changes nothing at Stripe, and a sixth event would multiply the number of orders by
    six. The longer scenarios include it.
    """
    before, then = STANDARD[name]
    recording = record(both_sides, before, *then)
    recording.moments = [
        moment for moment in recording.moments if moment.type != "invoice.upcoming"
    ]
    return recording


def orders_of(count: int) -> Iterator[tuple[int, ...]]:
    """Yield every order: of all, of all but one, and with one repeated at the end."""
    everything = range(count)
    for order in itertools.permutations(everything):
        yield order
        for again in everything:
            yield (*order, again)
    yield from itertools.permutations(everything, count - 1)


def some_order_of(count: int, chance: random.Random) -> list[int]:
    """Return a random order, with some moments missing and some twice."""
    order = [number for number in range(count) if chance.random() > 0.15]
    order += [number for number in order if chance.random() < 0.2]
    chance.shuffle(order)
    return order


def plays_to_the_end(recording: Recording, order: Sequence[int]) -> None:
    """Played in this order, the subscriber's columns match Stripe's state, and no event is left."""
    played = recording.play(order)

    message = [f"{number} {recording.moments[number].type}" for number in order]
    assert played == recording.end, message
    assert recording.unprocessed() == [], message
    expected_emails.assert_emails_match_history(recording.subscriber)

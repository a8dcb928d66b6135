"""Stories: lists of steps, drawn by hypothesis, lived, and told when they end badly."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import stripe
from hypothesis import strategies as st

from saas.billing import gateway
from saas.billing.checkout import CheckoutError
from saas.users import account_deletion
from tests.billing.simulation import invariants
from tests.billing.simulation.customer import Customer
from tests.billing.simulation.world import World

Step = tuple[Any, ...]

# What a person, Stripe or we may answer to a step: no, not now, not there.
REFUSALS = (
    gateway.StripeError,
    CheckoutError,
    account_deletion.DeletionFailed,
    stripe.StripeError,
)


def step(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
    """A step of `Life`, with drawn arguments."""
    return st.tuples(st.just(name), *arguments)


plan = st.sampled_from(["solo", "team"])
interval = st.sampled_from(["monthly", "yearly"])
which = st.integers(0, 9)
bought = step("buy", plan, interval)

STEPS = st.one_of(
    bought,
    step("open_page", plan, interval),
    step("pay_page", which),
    step("buy_a_second", plan, interval),
    step("buy_something_foreign"),
    step("somebody_buys_another_product"),
    step("change", plan, interval),
    step("change_quantity", st.integers(1, 3)),
    step(
        "discount",
        st.sampled_from([0, 20, 100]),
        st.sampled_from(["forever", "once", "repeating"]),
    ),
    step("credit", st.sampled_from([0, 700])),
    step("cancel_later"),
    step("resume"),
    step("cancel_now"),
    step("card", st.sampled_from(["pm_card_visa", "pm_card_chargeCustomerFail"])),
    step("pay_what_is_open"),
    step("time_passes", st.sampled_from(["day", "month", "renewal", "year"])),
    step("customer_is_deleted"),
    step("deliver", which, st.integers(1, 3)),
    step("deliver", which, st.just(1)),
    step("drop", which),
    step("stripe_goes_away"),
    step("stripe_comes_back"),
    step(
        "stripe_fails_once",
        st.integers(0, 5),
        st.sampled_from(["500", "429", "401", "unreachable", "lost"]),
    ),
    step("sync"),
    step("sweep"),
    step("close"),
)

# What costs money is drawn more often: most lives shall have something to lose.
MONEY = st.one_of(
    bought, step("buy_a_second", plan, interval), step("change", plan, interval), step("sync")
)
STORIES = st.builds(
    lambda first, rest: [first, *rest],
    bought,
    st.lists(st.one_of(STEPS, MONEY), min_size=5, max_size=15),
)


def live_through(world: World, story: list[Step]) -> None:
    """Live a story, and look after every step and in the end whether all is as it must be."""
    try:
        with world.app.app_context():
            _live(Customer(world), story)
    except Exception as error:
        error.add_note(told(story))
        raise


def _live(life: Customer, story: list[Step]) -> None:
    for name, *arguments in story:
        with suppress(*REFUSALS):
            getattr(life, name)(*arguments)
        invariants.holds_after_every_step(life)
    invariants.holds_in_the_end(life)


def told(story: list[Step]) -> str:
    """A story for people, in the form in which it can be lived again."""
    lines = [f"    {item!r}," for item in story]
    return "\n".join(["A life, to be put into test_simulation.py:", "STORY = [", *lines, "]"])

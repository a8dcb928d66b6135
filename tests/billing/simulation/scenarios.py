"""Scenarios: lists of steps drawn by Hypothesis, run, and printed when they fail."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import stripe
from hypothesis import strategies as st

from saas.billing import gateway, grants
from saas.billing.checkout import CheckoutError
from saas.users import account_deletion
from tests.billing.simulation import invariants
from tests.billing.simulation.customer import Subscriber
from tests.billing.simulation.world import World

Step = tuple[Any, ...]

# How the application or Stripe may refuse a step.
REFUSALS = (
    gateway.StripeError,
    CheckoutError,
    account_deletion.DeletionFailed,
    grants.GrantError,
    stripe.StripeError,
)


def step(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
    """Return a strategy for a step of `Subscriber`, with drawn arguments."""
    return st.tuples(st.just(name), *arguments)


plan = st.sampled_from(["solo", "team"])
interval = st.sampled_from(["monthly", "yearly"])
which = st.integers(0, 9)
bought = step("buy", plan, interval)
WORKS, IS_DISPUTED = "4242 4242 4242 4242", "4000 0000 0000 0259"
bought_once = step("buy_once", st.sampled_from([WORKS, IS_DISPUTED]))

STEPS = st.one_of(
    bought,
    step("open_page", plan, interval),
    step("pay_page", which),
    step("buy_duplicate", plan, interval),
    step("buy_other_product"),
    step("other_customer_buys"),
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
    step("pay_open_invoices"),
    step("advance_clock", st.sampled_from(["day", "month", "renewal", "year"])),
    step("delete_customer"),
    bought_once,
    step("try_out"),
    step("continue_paused"),
    step("refund_purchase", which, st.sampled_from([50, 100])),
    step("decide_dispute", st.sampled_from(["winning_evidence", "losing_evidence"])),
    step("grant", plan, st.sampled_from([0, 30])),
    step("revoke_grant"),
    step("deliver", which, st.integers(1, 3)),
    step("deliver", which, st.just(1)),
    step("drop", which),
    step("stripe_goes_down"),
    step("stripe_recovers"),
    step(
        "stripe_fails_once",
        st.integers(0, 5),
        st.sampled_from(["500", "429", "401", "unreachable", "lost"]),
    ),
    step("sync"),
    step("run_tasks"),
    step("close"),
)

# Purchases are drawn more often, so that most scenarios have a subscription.
MONEY = st.one_of(
    bought,
    bought_once,
    step("buy_duplicate", plan, interval),
    step("change", plan, interval),
    step("sync"),
)
SCENARIOS = st.builds(
    lambda first, rest: [first, *rest],
    bought,
    st.lists(st.one_of(STEPS, MONEY), min_size=5, max_size=15),
)


def run_scenario(world: World, scenario: list[Step]) -> None:
    """Run a scenario, and check the invariants after every step and at the end."""
    try:
        with world.app.app_context():
            _run(Subscriber(world), scenario)
    except Exception as error:
        error.add_note(format_scenario(scenario))
        raise


def _run(subscriber: Subscriber, scenario: list[Step]) -> None:
    for name, *arguments in scenario:
        with suppress(*REFUSALS):
            getattr(subscriber, name)(*arguments)
        invariants.check_after_step(subscriber)
    invariants.check_at_end(subscriber)


def format_scenario(scenario: list[Step]) -> str:
    """Format a scenario so that it can be pasted into a test and run again."""
    lines = [f"    {item!r}," for item in scenario]
    return "\n".join(["Paste this into test_simulation.py:", "SCENARIO = [", *lines, "]"])

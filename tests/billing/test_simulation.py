"""Random scenarios with random failures: in the end our columns match Stripe's state.

A scenario is a list of steps. Events are held, and steps deliver them in any order, twice or not at
all. Stripe fails for a while, or for one request. A failing scenario is printed as a list of steps:
put it into `SCENARIOS_TO_KEEP`, so that every run includes it.

`make prove` runs 20,000 of them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.billing.simulation import scenarios, world
from tests.billing.simulation.scenarios import Step, run_scenario
from tests.billing.simulation.world import World

LIVES = int(os.environ.get("LIVES", "100"))
OVER_HTTP = 20

SCENARIOS_TO_KEEP: dict[str, list[Step]] = {
    "a bit of everything": [
        ("buy", "solo", "monthly"),
        ("deliver", 3, 2),
        ("card", "pm_card_chargeCustomerFail"),
        ("advance_clock", "renewal"),
        ("drop", 0),
        ("stripe_goes_down",),
        ("deliver", 5, 1),
        ("sync",),
        ("stripe_recovers",),
        ("run_tasks",),
        ("card", "pm_card_visa"),
        ("advance_clock", "month"),
        ("buy_duplicate", "team", "yearly"),
        ("deliver", 0, 3),
    ],
    "the subscription ends with its account": [
        ("buy", "team", "monthly"),
        ("deliver", 1, 1),
        ("buy_other_product",),
        ("buy_duplicate", "solo", "monthly"),
        ("close",),
        ("deliver", 4, 2),
    ],
    "a checkout is paid after the account was deleted": [
        ("open_page", "solo", "monthly"),
        ("close",),
        ("pay_page", 0),
    ],
    "Stripe fails while an account with a foreign subscription is deleted": [
        ("buy", "solo", "yearly"),
        ("deliver", 0, 1),
        ("stripe_fails_once", 3, "500"),
        ("change", "solo", "monthly"),
        ("buy_other_product",),
        ("close",),
    ],
    "a duplicate is paid again before it could be canceled": [
        ("buy", "solo", "monthly"),
        ("pay_page", 0),
        ("pay_page", 0),
        ("buy", "solo", "monthly"),
        ("buy", "solo", "monthly"),
        ("card", "pm_card_visa"),
        ("buy_duplicate", "solo", "monthly"),
        ("stripe_fails_once", 2, "lost"),
        ("buy", "solo", "monthly"),
        ("drop", 0),
        ("buy_duplicate", "solo", "monthly"),
        ("buy_other_product",),
        ("change", "solo", "yearly"),
    ],
    "the plan changes repeatedly": [
        ("buy", "solo", "monthly"),
        ("change_quantity", 3),
        ("discount", 20, "repeating"),
        ("credit", 700),
        ("advance_clock", "renewal"),
        ("deliver", 0, 1),
        ("discount", 100, "forever"),
        ("change", "team", "yearly"),
        ("drop", 0),
        ("discount", 20, "once"),
        ("cancel_later",),
        ("resume",),
        ("advance_clock", "renewal"),
    ],
    "a plan is bought once, beside a subscription, and refunded": [
        ("buy", "solo", "monthly"),
        ("sync",),
        ("buy_once", "4242 4242 4242 4242"),
        ("deliver", 0, 1),
        ("resume",),
        ("sync",),
        ("refund_purchase", 0, 50),
        ("deliver", 3, 2),
        ("grant", "team", 30),
        ("advance_clock", "renewal"),
        ("refund_purchase", 0, 100),
        ("stripe_fails_once", 2, "500"),
        ("revoke_grant",),
    ],
    "a one-time payment is disputed, and the plan bought again": [
        ("buy_once", "4000 0000 0000 0259"),
        ("sync",),
        ("decide_dispute", "losing_evidence"),
        ("run_tasks",),
        ("buy_once", "4242 4242 4242 4242"),
        ("pay_page", 0),
        ("delete_customer",),
        ("deliver", 0, 2),
    ],
    "a trial without a card pauses, and continues with one": [
        ("try_out",),
        ("deliver", 0, 1),
        ("advance_clock", "month"),
        ("sync",),
        ("continue_paused",),
        ("stripe_fails_once", 2, "lost"),
        ("card", "pm_card_visa"),
        ("continue_paused",),
        ("continue_paused",),
        ("deliver", 2, 1),
        ("advance_clock", "renewal"),
    ],
    "the response to the cancellation is lost during account deletion": [
        ("buy", "solo", "monthly"),
        ("sync",),
        ("stripe_fails_once", 2, "lost"),
        ("close",),
    ],
}


@pytest.fixture(scope="module")
def in_memory(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world.in_memory(_copy(migrated_sqlite, tmp_path_factory)) as both_sides:
        yield both_sides


@pytest.fixture(scope="module")
def over_http(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world.over_http(_copy(migrated_sqlite, tmp_path_factory)) as both_sides:
        yield both_sides


def _copy(migrated: Path, folder: pytest.TempPathFactory) -> str:
    return f"sqlite:///{shutil.copy(migrated, folder.mktemp('lives') / 'app.db')}"


def lives(count: int) -> settings:
    return settings(
        max_examples=count,
        derandomize="LIVES" not in os.environ,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


@lives(LIVES)
@given(scenario=scenarios.SCENARIOS)
def test_random_scenarios_end_with_stripe_s_state(in_memory: World, scenario: list[Step]) -> None:
    run_scenario(in_memory, scenario)


@lives(OVER_HTTP)
@given(scenario=scenarios.SCENARIOS)
def test_random_scenarios_over_http_end_with_stripe_s_state(
    over_http: World, scenario: list[Step]
) -> None:
    run_scenario(over_http, scenario)


@pytest.mark.parametrize("scenario", SCENARIOS_TO_KEEP.values(), ids=SCENARIOS_TO_KEEP)
def test_a_kept_scenario_ends_with_stripe_s_state(in_memory: World, scenario: list[Step]) -> None:
    run_scenario(in_memory, scenario)


def test_a_scenario_is_printed_in_a_form_that_can_be_run_again() -> None:
    scenario = SCENARIOS_TO_KEEP["a bit of everything"]

    lines = scenarios.format_scenario(scenario).partition("SCENARIO = ")[2]

    assert eval(lines) == scenario  # noqa: S307 - our own words

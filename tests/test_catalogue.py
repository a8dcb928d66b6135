"""The catalogue of plans: what cannot be sold is refused at start; only what is named is sold."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from saas import plans
from saas.config import ROOT
from saas.plans import BUSINESS, PRO, STARTER, Plan
from tests.conftest import Shop, own_env
from tests.visitor import Visitor


def team(**changes: Any) -> Plan:
    given = {"id": "team", "name": "Team", "summary": "", "rank": 3, "features": (), **changes}
    return Plan(**given)


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (team(monthly=0), ["'team'", "monthly=0", "above 0"]),
        (team(monthly=9900, yearly=0), ["'team'", "yearly=0"]),
        (team(yearly=-1), ["'team'", "yearly=-1"]),
        (team(monthly=15.0), ["monthly=15.0", "whole number"]),
        (team(monthly=True), ["monthly=True"]),
        (team(monthly="1500"), ["monthly='1500'"]),
        (team(), ["'team'", "no price"]),
        (team(free=True, monthly=900), ["'team'", "free=True and a price"]),
        (team(free=True), ["Exactly one plan", "starter, team"]),
        (team(id="pro-plus", monthly=900), ["'pro-plus'", "underscores"]),
        (team(id="Team", monthly=900), ["'Team'", "lower-case"]),
        (team(id="2nd", monthly=900), ["'2nd'"]),
        (team(id="größe", monthly=900), ["'größe'"]),
        (team(id="", monthly=900), ["''"]),
        (team(id="pro", monthly=900), ["Two plans have the id 'pro'"]),
        (team(monthly=100_000_000), ["'team'", "99999999"]),
        (team(monthly=900, rank=0), ["'team'", "rank=0", "above 0"]),
        (team(monthly=900, rank="1"), ["'team'", "rank='1'"]),
        (team(monthly=900, name=" "), ["'team'", "name=' '"]),
        (team(monthly=900, features="abc"), ["'team'", "features='abc'"]),
        (team(monthly=900, quotas={"cards": "10"}), ["'team'", "'cards'", "'10'"]),
        (team(monthly=900, quotas={"cards": -1}), ["'team'", "-1"]),
        (team(free=True, trial_days=3), ["'team'", "free=True and trial_days"]),
        (team(monthly=900, trial_days=-1), ["'team'", "trial_days=-1"]),
        (team(monthly=900, trial_days=731), ["'team'", "trial_days=731", "730"]),
    ],
    ids=lambda value: "" if isinstance(value, list) else f"{value.id} {value.prices}",
)
def test_a_plan_that_cannot_be_sold_is_named_with_its_field(plan: Plan, said: list[str]) -> None:
    problems = plans.problems((STARTER, PRO, BUSINESS, plan))

    assert any(all(part in problem for part in said) for problem in problems), problems


def test_a_plan_of_one_interval_is_in_order_and_no_free_plan_is_not() -> None:
    assert plans.problems((STARTER, team(monthly=9900), team(id="year", yearly=9900))) == []
    assert plans.problems((PRO, BUSINESS)) == ["Exactly one plan must have free=True, not 0."]


def start_with(tmp_path: Path, *lines: str) -> subprocess.CompletedProcess[str]:
    """Read the settings of a copy whose catalogue has these plans more; what it then says."""
    shutil.copytree(ROOT / "saas", tmp_path / "saas", ignore=shutil.ignore_patterns("static"))
    catalogue = tmp_path / "saas" / "plans.py"
    names = ", ".join(line.partition(" ")[0] for line in lines)
    before, after = catalogue.read_text().split("CATALOGUE: ")
    sold = after.replace("BUSINESS)", f"BUSINESS, {names})", 1)
    catalogue.write_text(before + "\n".join(lines) + f"\nCATALOGUE: {sold}")
    code = (
        "import os; from saas.config import ConfigError, PRICE_VARIABLES, from_env\n"
        "try: from_env(os.environ)\nexcept ConfigError as error: print(error)\n"
        "print(*PRICE_VARIABLES.values())"
    )
    return subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=own_env(), capture_output=True, text=True
    )


def test_starting_with_an_odd_catalogue_says_what_is_wrong_with_it(tmp_path: Path) -> None:
    done = start_with(
        tmp_path,
        'PLUS = Plan("pro-plus", "Pro Plus", "", rank=3, features=(), monthly=9900)',
        'GIFT = Plan("gift", "Gift", "", rank=4, features=(), monthly=0)',
        'YEAR = Plan("year", "Year", "", rank=5, features=(), yearly=99000)',
    )

    assert done.stderr == ""
    assert "saas/plans.py: The plan id 'pro-plus' must be lower-case letters" in done.stdout
    assert "The plan 'gift' has monthly=0" in done.stdout
    assert "STRIPE_YEAR_YEARLY_PRICE_ID" in done.stdout
    assert "STRIPE_YEAR_MONTHLY_PRICE_ID" not in done.stdout


@pytest.fixture
def one_interval_each() -> Iterator[None]:
    """Pro by the month alone, Business by the year alone."""
    kept = PRO.yearly, BUSINESS.monthly
    object.__setattr__(PRO, "yearly", None)
    object.__setattr__(BUSINESS, "monthly", None)
    yield
    object.__setattr__(PRO, "yearly", kept[0])
    object.__setattr__(BUSINESS, "monthly", kept[1])


def test_only_the_named_intervals_are_shown_and_sold(
    shop: Shop, visitor: Visitor, one_interval_each: None
) -> None:
    for interval in ("monthly", "yearly"):
        told = " ".join(visitor.visit(f"/pricing?interval={interval}").text.split())
        assert "$15 a month Billed every month" in told
        assert "$300 a year Billed every year" in told
        assert "Start for free" in told
        assert told.count("$0") == 1  # the free plan's
        assert "% less" not in told

    visitor.sign_in("ann@example.com")
    page = visitor.visit("/pricing")
    sold = {(f.fields["plan"], f.fields["interval"]) for f in page.forms if "plan" in f.fields}
    assert sold == {("pro", "monthly"), ("business", "yearly")}
    told = visitor.submit(
        "/billing/checkout", having={"plan": "pro", "interval": "monthly"}, interval="yearly"
    ).text
    assert "Pro is billed monthly only." in told
    assert "a month" in visitor.visit("/dashboard/cards").text

"""What docs/selling.md promises: each way of selling can be declared, shown and bought."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from saas.config import ROOT
from saas.plan_checks import problems
from saas.plans import UNLIMITED, Catalogue, Monthly, Plan, Total, Trial

STARTER = Plan("starter", "Starter", "To look around.", 0, ("An account",), free=True)
PRO = Plan("pro", "Pro", "For makers.", 1, ("Everything",), prices={"monthly": 1500})
BASIC = '"own", "Own", "What is sold.", 2, ("All of it",)'
FREE = '"own", "Own", "What is free.", 0, ("All of it",)'
NAMES = {
    "UNLIMITED": UNLIMITED, "Catalogue": Catalogue, "Monthly": Monthly, "Plan": Plan,
    "Total": Total, "Trial": Trial, "STARTER": STARTER, "PRO": PRO,
}  # fmt: skip


def written(line: str) -> Catalogue:
    """Return the catalogue of a line of the page; a plan is sold beside Starter and Pro."""
    basic = FREE if "free=True" in line else BASIC
    declared = eval(line.replace("…", basic), dict(NAMES))  # noqa: S307 - lines of our own page
    if isinstance(declared, Catalogue):
        return declared
    return Catalogue("usd", (declared, PRO) if declared.free else (STARTER, PRO, declared))


PAGE = (ROOT / "docs" / "selling.md").read_text("utf-8")
LINES = re.findall(r"^\| .* \| `(.*)` \|$", PAGE, re.M)


def test_the_page_has_an_example_for_each_way_of_selling() -> None:
    assert len(LINES) == 17


@pytest.fixture
def pricing(make_app: Callable[..., Flask]) -> Callable[[Catalogue], str]:
    """Return a function that returns the text of the pricing page of a catalogue."""
    app = make_app()

    def show(catalogue: Catalogue) -> str:
        app.config["CATALOGUE"] = catalogue
        app.config["STRIPE_PRICES"] = {}
        page = app.test_client().get("/pricing").text
        return " ".join(re.sub(r"<[^>]*>", " ", page).split())

    return show


@pytest.mark.parametrize("line", LINES)
def test_each_line_of_the_page_is_valid_and_shown(
    line: str, pricing: Callable[[Catalogue], str]
) -> None:
    catalogue = written(line)

    assert problems(catalogue) == []
    page = pricing(catalogue)
    assert all(plan.name in page for plan in catalogue.plans)


def plan(id: str, rank: int, **more: Any) -> Plan:
    return Plan(id, id.title(), f"The {id} plan.", rank, ("All of it",), **more)


@pytest.mark.parametrize(
    ("sold", "shown", "absent"),
    [
        ({"currency": "eur"}, ["€15 a month"], []),
        ({"currency": "jpy"}, ["¥1,500 a month"], ["¥15 "]),
        ({"currency": "kwd"}, ["KWD 1.500 a month"], []),
        ({"prices": {"monthly": 1500}}, ["Billed every month", "cancel at any time"], ["Yearly"]),
        ({"prices": {"yearly": 14400}}, ["$144 a year"], ["Monthly", "a month"]),
        (
            {"prices": {"once": 29900}},
            ["$299 once", "One payment, no subscription", "Buy Pro"],
            ["Change or cancel", "Monthly"],
        ),
        ({"trial": Trial(1)}, ["1 day free", "Start free trial"], ["no card"]),
        ({"trial": Trial(14, False)}, ["14 days free, no card"], []),
    ],
)
def test_the_pricing_page_says_what_is_sold(
    sold: dict[str, Any], shown: list[str], absent: list[str],
    pricing: Callable[[Catalogue], str],
) -> None:  # fmt: skip
    currency = sold.pop("currency", "usd")
    page = pricing(Catalogue(currency, (STARTER, plan("pro", 1, **{"prices": PRO.prices, **sold}))))

    assert [text for text in shown if text not in page] == []
    assert [text for text in absent if text in page] == []


@pytest.mark.parametrize("count", [1, 5])
def test_one_to_five_plans_are_shown(count: int, pricing: Callable[[Catalogue], str]) -> None:
    plans = [plan(f"plan{n}", n, prices={"monthly": n * 1000}) for n in range(1, count + 1)]

    page = pricing(Catalogue("usd", (STARTER, *plans)))

    assert page.count("Billed every month") == count

"""The catalogue of plans: invalid plans are refused at startup, and only listed prices are sold."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from saas.config import ConfigError, from_env
from saas.declaration import Product
from saas.plan_checks import problems
from saas.plans import Catalogue, Monthly, Plan, Total, Trial
from tests.harness.apps import SECRET
from tests.harness.sample_product import product as sample_product
from tests.harness.sample_product.catalogue import HOBBY, SOLO, TEAM, catalogue
from tests.harness.shop import Shop
from tests.harness.visitor import Visitor


def club(**changes: Any) -> Plan:
    values = {"id": "club", "name": "Club", "summary": "", "rank": 4, "bullets": ()}
    prices = {name: changes.pop(name) for name in ("monthly", "yearly", "once") if name in changes}
    values |= {"features": {"branding"}, "prices": prices, **changes}
    return Plan(**values)


def selling(*more: Plan) -> Product:
    """Return the sample product with these additional plans."""
    sold = dataclasses.replace(catalogue, plans=(*catalogue.plans, *more))
    return dataclasses.replace(sample_product, catalogue=sold)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (club(monthly=0), ["'club'", "'monthly': 0", "above 0"]),
        (club(monthly=9900, yearly=0), ["'club'", "'yearly': 0"]),
        (club(yearly=-1), ["'club'", "'yearly': -1"]),
        (club(monthly=15.0), ["'monthly': 15.0", "whole number"]),
        (club(monthly=True), ["'monthly': True"]),
        (club(monthly="1500"), ["'monthly': '1500'"]),
        (club(), ["'club'", "no price"]),
        (club(prices=["monthly"]), ["'club'", "prices=['monthly']", "a dict"]),
        (club(prices={"weekly": 900}), ["'club'", "'weekly'", "'monthly', 'yearly' or 'once'"]),
        (club(free=True, monthly=900), ["'club'", "free=True and a price"]),
        (club(free=True), ["Exactly one plan", "hobby, club"]),
        (club(id="solo-plus", monthly=900), ["'solo-plus'", "underscores"]),
        (club(id="Club", monthly=900), ["'Club'", "lower-case"]),
        (club(id="2nd", monthly=900), ["'2nd'"]),
        (club(id="größe", monthly=900), ["'größe'"]),
        (club(id="", monthly=900), ["''"]),
        (club(id="solo", monthly=900), ["Two plans have the id 'solo'"]),
        (club(monthly=100_000_000), ["'club'", "99999999"]),
        (club(monthly=900, rank=0), ["'club'", "rank=0", "above 0"]),
        (club(monthly=900, rank="1"), ["'club'", "rank='1'"]),
        (club(monthly=900, name=" "), ["'club'", "name=' '"]),
        (club(monthly=900, bullets="abc"), ["'club'", "bullets='abc'"]),
        (club(monthly=900, features=("Own logo",)), ["'club'", "features=('Own logo',)", "a set"]),
        (club(monthly=900, features={"Own logo"}), ["'club'", "{'Own logo'}", "bullets"]),
        (club(monthly=900, features=set()), ["'club'", "lower plan 'team'", "add branding"]),
        (club(monthly=900, quotas={"cards": 10}), ["'club'", "'cards': 10", "Monthly(100)"]),
        (club(monthly=900, quotas={"cards": Total("10")}), ["'club'", "Total(limit='10')"]),
        (club(monthly=900, quotas={"cards": Monthly(-1)}), ["'club'", "limit=-1"]),
        (club(free=True, trial=Trial(3)), ["'club'", "free=True and a trial"]),
        (club(monthly=900, trial=14), ["'club'", "trial=14", "Trial(days=14)"]),
        (club(once=900, monthly=900), ["'club'", "'once' and another", "grants="]),
        (club(once=900, grants="gold", features=set()), ["grants='gold'", "'solo', 'team'"]),
        (club(once=900, grants="hobby", features=set()), ["grants='hobby'", "not free"]),
        (club(monthly=900, grants="solo", features=set()), ["'club'", "without the price 'once'"]),
        (club(once=900, grants="solo"), ["'club'", "its own quotas or features", "'solo'"]),
        (club(once=900, trial=Trial(3)), ["'club'", "'once' and a trial"]),
        (club(monthly=900, trial=Trial(0)), ["'club'", "0 days"]),
        (club(monthly=900, trial=Trial(731)), ["'club'", "731 days", "730"]),
        (club(monthly=900, trial=Trial(7, card_required="no")), ["'club'", "'no'", "False"]),
        (
            club(monthly=900, trial=Trial(7, missing_payment_method="stop")),
            ["'club'", "'stop'", "'cancel' or 'pause'"],
        ),
    ],
    ids=lambda value: "" if isinstance(value, list) else f"{value.id} {value.prices}",
)
def test_an_invalid_plan_is_named_with_its_field(plan: Plan, message: list[str]) -> None:
    messages = problems(Catalogue("eur", (*catalogue.plans, plan)))

    assert any(all(part in problem for part in message) for problem in messages), messages


def test_a_plan_may_have_one_interval_and_a_free_plan_is_required() -> None:
    good = Catalogue("eur", (HOBBY, club(monthly=9900), club(id="year", yearly=9900)))
    assert problems(good) == []
    bad = Catalogue("eur", (SOLO, TEAM))
    assert problems(bad) == ["Exactly one plan must have free=True, not 0."]


def test_an_invalid_catalogue_is_refused_at_startup_with_all_its_problems() -> None:
    odd = selling(club(id="solo-plus", monthly=9900), club(id="gift", monthly=0))

    with pytest.raises(ConfigError) as refused:
        from_env({"SECRET_KEY": SECRET}, odd)

    message = str(refused.value)
    assert (
        "sample_product/catalogue.py: The plan id 'solo-plus' must be lower-case letters" in message
    )
    assert "The plan 'gift' has the price 'monthly': 0" in message


def test_a_new_plan_has_a_variable_for_each_of_its_prices() -> None:
    product = selling(club(id="year", yearly=99000))
    values = {"STRIPE_YEAR_YEARLY_PRICE_ID": "prod_1", "STRIPE_YEAR_MONTHLY_PRICE_ID": "prod_1"}

    with pytest.raises(ConfigError) as refused:
        from_env({"SECRET_KEY": SECRET, **values}, product)

    assert list(refused.value.problems) == ["STRIPE_YEAR_YEARLY_PRICE_ID"]
    assert "must start with price_" in str(refused.value)


@pytest.mark.parametrize("currency", ["EUR", "euro", "", "xxy", None])
def test_a_currency_that_does_not_exist_is_named(currency: Any) -> None:
    (problem,) = problems(Catalogue(currency, catalogue.plans))

    assert problem.startswith(f"CURRENCY is {currency!r}")


def test_an_unknown_proration_is_named() -> None:
    (problem,) = problems(Catalogue("eur", catalogue.plans, proration="later"))

    assert problem.startswith("PRORATION is 'later': give 'always_invoice', 'create_prorations'")


def test_a_price_with_thousandths_of_a_dinar_is_named() -> None:
    plans = (HOBBY, club(monthly=1505), club(id="round", yearly=1500))

    (problem,) = problems(Catalogue("kwd", plans))

    assert problem.startswith("The plan 'club' has the price 'monthly': 1505. In kwd it must end")


def test_two_highlighted_plans_are_named() -> None:
    odd = Catalogue("eur", (*catalogue.plans, club(monthly=900, highlighted=True)))

    assert problems(odd) == ["At most one plan must have highlighted=True, not 2 (solo, club)."]


@pytest.fixture
def one_interval_each(shop: Shop) -> None:
    """Sell Solo only monthly and Team only yearly."""
    shop.change_plan("solo", prices={"monthly": 1500})
    shop.change_plan("team", prices={"yearly": 30000})


def test_only_the_configured_intervals_are_shown_and_sold(
    shop: Shop, visitor: Visitor, one_interval_each: None
) -> None:
    for interval in ("monthly", "yearly"):
        message = " ".join(visitor.visit(f"/pricing?interval={interval}").text.split())
        assert "€15 a month Billed every month" in message
        assert "€300 a year Billed every year" in message
        assert "Start for free" in message
        assert message.count("€0") == 1  # the free plan's
        assert "Save at least" not in message

    visitor.sign_in("ann@example.com")
    page = visitor.visit("/pricing")
    sold = {(f.fields["plan"], f.fields["interval"]) for f in page.forms if "plan" in f.fields}
    assert sold == {("solo", "monthly"), ("team", "yearly"), ("agency", "yearly")}
    message = visitor.submit(
        "/billing/checkout", having={"plan": "solo", "interval": "monthly"}, interval="yearly"
    ).text
    assert "Solo is only billed monthly." in message
    assert "a month" in visitor.visit("/dashboard/reports").text

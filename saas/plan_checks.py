"""Find errors in a catalogue of plans, as sentences that name the plan and the field."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from babel.numbers import is_currency

from saas.charges import THREE_DECIMALS
from saas.plans import INTERVALS, PRORATIONS, UNLIMITED, Catalogue, Monthly, Plan, Total, Trial

MAX_AMOUNT = 99_999_999  # of the smallest unit: https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts
MISSING_PAYMENT_METHOD = ("cancel", "pause")
LONGEST_TRIAL = 730  # days: https://docs.stripe.com/api/checkout/sessions/create


def problems(catalogue: Catalogue) -> list[str]:
    """Return errors in this catalogue as sentences; empty if it is valid."""
    messages = [problem for plan in catalogue.plans for problem in _problems_of(plan)]
    if not _is_currency(catalogue.currency):
        messages.insert(
            0, f"CURRENCY is {catalogue.currency!r}: give a code such as 'usd' or 'eur'."
        )
    if catalogue.currency in THREE_DECIMALS:
        messages += [
            f"The plan {plan.id!r} has the price {name!r}: {price!r}. In {catalogue.currency} it "
            "must end in 0, because Stripe charges no thousandths."
            for plan in catalogue.plans
            for name, price in plan.prices.items()
            if _is_chargeable(price) and price % 10
        ]
    if catalogue.proration not in PRORATIONS:
        messages.append(f"PRORATION is {catalogue.proration!r}: give {_either(PRORATIONS)}.")
    messages += [problem for plan in catalogue.plans for problem in _of_grants(catalogue, plan)]
    counted = Counter(plan.id for plan in catalogue.plans)
    messages += [f"Two plans have the id {id!r}." for id, count in counted.items() if count > 1]
    for name in ("free", "highlighted"):
        marked = [plan.id for plan in catalogue.plans if getattr(plan, name)]
        if len(marked) > 1 or (name == "free" and not marked):
            named = f" ({', '.join(marked)})" if marked else ""
            most = "Exactly one" if name == "free" else "At most one"
            messages.append(f"{most} plan must have {name}=True, not {len(marked)}{named}.")
    return messages or list(_features_lost_by_upgrades(catalogue.plans))


_ID = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def _problems_of(plan: Plan) -> Iterator[str]:
    if not _is_name(plan.id) or len(plan.id) > 40:
        yield (
            f"The plan id {plan.id!r} must be lower-case letters, digits and underscores: it "
            "becomes part of variables such as STRIPE_PRO_MONTHLY_PRICE_ID."
        )
    yield from _problems_of_details(plan)
    yield from _problems_of_prices(plan)
    yield from _problems_of_quotas(plan)
    yield from _problems_of_trial(plan)


def _problems_of_prices(plan: Plan) -> Iterator[str]:
    if not isinstance(plan.prices, Mapping):
        yield f"The plan {plan.id!r} has prices={plan.prices!r}: give a dict, {{'monthly': 1500}}."
        return
    for name, price in plan.prices.items():
        if name not in INTERVALS:
            yield (
                f"The plan {plan.id!r} has a price for {name!r}: a plan can be sold "
                f"{_either(INTERVALS)}."
            )
        elif not _is_chargeable(price):
            yield (
                f"The plan {plan.id!r} has the price {name!r}: {price!r}. Give a whole number "
                f"above 0, up to {MAX_AMOUNT}, in the smallest unit of the currency, or leave "
                f"{name} out if it is not sold."
            )
    if "once" in plan.prices and len(plan.prices) > 1:
        yield (
            f"The plan {plan.id!r} has the price 'once' and another: make a plan of its own for "
            "the one-time payment, with grants= and the id of this one."
        )
    if plan.free and plan.prices:
        yield f"The plan {plan.id!r} has free=True and a price: leave one of them out."
    if not plan.free and not plan.prices:
        yield f"The plan {plan.id!r} has no price: give it prices, or free=True."


def _problems_of_details(plan: Plan) -> Iterator[str]:
    if not isinstance(plan.name, str) or not plan.name.strip():
        yield f"The plan {plan.id!r} has name={plan.name!r}: give it a name."
    if type(plan.rank) is not int or (plan.rank != 0 if plan.free else plan.rank < 1):
        expected = (
            "0, because the plan is free"
            if plan.free
            else "a whole number above 0, higher for higher plans"
        )
        yield f"The plan {plan.id!r} has rank={plan.rank!r}: it must be {expected}."
    if not isinstance(plan.bullets, tuple | list):
        yield f"The plan {plan.id!r} has bullets={plan.bullets!r}: give a tuple of texts."
    if not isinstance(plan.features, set | frozenset) or not all(map(_is_name, plan.features)):
        yield (
            f"The plan {plan.id!r} has features={plan.features!r}: give a set of names in "
            "lower-case letters, digits and underscores, such as {'custom_codes'}. Texts for the "
            "pricing page are its bullets."
        )


def _problems_of_quotas(plan: Plan) -> Iterator[str]:
    for feature, quota in plan.quotas.items():
        if quota is UNLIMITED:
            continue
        is_quota = isinstance(quota, Monthly | Total)
        if not is_quota or type(quota.limit) is not int or quota.limit < 0:
            yield (
                f"The plan {plan.id!r} has the quota {feature!r}: {quota!r}. Give Monthly(100), "
                "Total(5) or UNLIMITED, with a whole number."
            )


def _problems_of_trial(plan: Plan) -> Iterator[str]:
    trial = plan.trial
    if trial is None:
        return
    if not isinstance(trial, Trial):
        yield f"The plan {plan.id!r} has trial={trial!r}: give Trial(days=14)."
        return
    if type(trial.days) is not int or not 1 <= trial.days <= LONGEST_TRIAL:
        yield f"The plan {plan.id!r} has a trial of {trial.days!r} days: give 1 to {LONGEST_TRIAL}."
    if type(trial.card_required) is not bool:
        yield (
            f"The plan {plan.id!r} has a trial with card_required={trial.card_required!r}: "
            "give True or False."
        )
    if trial.missing_payment_method not in MISSING_PAYMENT_METHOD:
        yield (
            f"The plan {plan.id!r} has a trial with "
            f"missing_payment_method={trial.missing_payment_method!r}: "
            f"give {_either(MISSING_PAYMENT_METHOD)}."
        )
    if plan.free or plan.is_one_time:
        other = "free=True" if plan.free else "the price 'once'"
        yield f"The plan {plan.id!r} has {other} and a trial: leave one of them out."


def _of_grants(catalogue: Catalogue, plan: Plan) -> Iterator[str]:
    """Yield errors in `grants`, which names another plan of the catalogue."""
    if plan.grants is None:
        return
    sold = [other.id for other in catalogue.plans if not (other.free or other.grants)]
    if plan.grants not in sold:
        yield (
            f"The plan {plan.id!r} has grants={plan.grants!r}: give the id of a plan that is not "
            f"free, such as {_either(tuple(sold))}."
            if len(sold) > 1
            else f"The plan {plan.id!r} has grants={plan.grants!r}, which is no plan to grant."
        )
    if not plan.is_one_time:
        yield f"The plan {plan.id!r} has grants= without the price 'once': leave it out."
    if plan.quotas or plan.features:
        yield (
            f"The plan {plan.id!r} has grants= and its own quotas or features: leave them out, "
            f"because it gives those of {plan.grants!r}."
        )


def _either(values: tuple[str, ...]) -> str:
    return f"{', '.join(map(repr, values[:-1]))} or {values[-1]!r}"


def _features_lost_by_upgrades(plans: tuple[Plan, ...]) -> Iterator[str]:
    """Yield a sentence for each plan without a feature of a lower one: an upgrade would lose it."""
    plans = tuple(plan for plan in plans if not plan.grants)
    for plan in plans:
        for lower in plans:
            if lower.rank < plan.rank and (lost := lower.features - plan.features):
                yield (
                    f"The plan {plan.id!r} lacks features of the lower plan {lower.id!r}: add "
                    f"{', '.join(sorted(lost))}."
                )


def _is_name(value: object) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def _is_currency(code: object) -> bool:
    return isinstance(code, str) and code.islower() and is_currency(code.upper())


def _is_chargeable(price: object) -> bool:
    return type(price) is int and 0 < price <= MAX_AMOUNT

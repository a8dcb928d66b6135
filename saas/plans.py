"""Plans and catalogues, and the pure rule that derives a plan from a subscription's columns.

The product declares its plans in `product/catalogue.py`. Stripe charges its own prices, whose ids
come from the configuration. An invalid catalogue is refused at startup: see `Catalogue.problems`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Literal

from babel.numbers import is_currency

Interval = Literal["monthly", "yearly"]
INTERVALS: tuple[Interval, ...] = ("monthly", "yearly")
UNLIMITED = None
MAX_AMOUNT = 99_999_999  # of the smallest unit: https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts
LONGEST_TRIAL = 730  # days: https://docs.stripe.com/api/checkout/sessions/create


@dataclass(frozen=True)
class Plan:
    """A plan. `prices` names its intervals, in the currency's smallest unit: `{"monthly": 1500}`.

    Only these intervals are sold. Exactly one plan is `free` and has no price. `quotas`
    count uses per calendar month. `features` are names that the code asks for, such as
    `user.plan.has("custom_codes")`; `bullets` are texts for the pricing page.

    With `trial_days` (up to 730), the first subscription of an account starts with that many free
    days. A card is required, and each account has one trial. The pricing page emphasizes the plan
    that is `highlighted`.
    """

    id: str
    name: str
    summary: str
    rank: int
    bullets: tuple[str, ...]
    free: bool = False
    prices: Mapping[str, int] = field(default_factory=dict)
    trial_days: int = 0
    highlighted: bool = False
    quotas: Mapping[str, int | None] = field(default_factory=dict)
    features: Set[str] = frozenset()

    @property
    def is_free(self) -> bool:
        return self.free

    @property
    def monthly(self) -> int | None:
        return self.prices.get("monthly")

    @property
    def yearly(self) -> int | None:
        return self.prices.get("yearly")

    @property
    def intervals(self) -> tuple[Interval, ...]:
        return tuple(interval for interval in INTERVALS if interval in self.prices)

    @property
    def yearly_saving(self) -> int:
        """The saving of a year over twelve months; 0 if they cannot be compared."""
        if self.monthly is None or self.yearly is None:
            return 0
        return max(self.monthly * 12 - self.yearly, 0)

    def quota(self, feature: str) -> int | None:
        """Return the monthly quota of `feature`: a number, 0 for none, or None for unlimited."""
        return self.quotas.get(feature, 0)

    def has(self, feature: str) -> bool:
        """Return whether the plan has a feature."""
        return feature in self.features

    def includes(self, other: Plan) -> bool:
        """Return whether this plan includes everything that `other` allows."""
        return self.rank >= other.rank


Prices = Mapping[tuple[str, str], tuple[str, ...]]


@dataclass(frozen=True)
class Catalogue:
    """The plans from lowest to highest, and the currency of their prices (ISO 4217)."""

    currency: str
    plans: tuple[Plan, ...]

    @cached_property
    def by_id(self) -> Mapping[str, Plan]:
        return {plan.id: plan for plan in self.plans}

    @cached_property
    def for_sale(self) -> tuple[Plan, ...]:
        return tuple(plan for plan in self.plans if not plan.is_free)

    @cached_property
    def free(self) -> Plan:
        return next(plan for plan in self.plans if plan.is_free)

    @cached_property
    def intervals(self) -> tuple[Interval, ...]:
        """The intervals in which at least one plan is sold."""
        sold = {interval for plan in self.for_sale for interval in plan.intervals}
        return tuple(interval for interval in INTERVALS if interval in sold)

    @cached_property
    def price_variables(self) -> Mapping[tuple[str, str], str]:
        """The environment variable with the Stripe price ids of each plan and interval."""
        return {
            (plan.id, interval): f"STRIPE_{plan.id.upper()}_{interval.upper()}_PRICE_ID"
            for plan in self.for_sale
            for interval in plan.intervals
        }

    @cached_property
    def quotas(self) -> frozenset[str]:
        """The features for which any plan has a quota."""
        return frozenset(feature for plan in self.plans for feature in plan.quotas)

    @cached_property
    def features(self) -> frozenset[str]:
        """The features that any plan has."""
        return frozenset(feature for plan in self.plans for feature in plan.features)

    def lowest_with(self, feature: str) -> Plan:
        """Return the lowest plan that has a feature."""
        return min((plan for plan in self.plans if plan.has(feature)), key=lambda plan: plan.rank)

    def is_highest(self, plan: Plan) -> bool:
        return all(plan.includes(other) for other in self.plans)

    def sold_as(self, price_id: str | None, prices: Prices) -> tuple[Plan, Interval] | None:
        """Return the plan and interval of a Stripe price, or None for a price that is not ours."""
        for (plan_id, interval), ids in prices.items():
            if price_id in ids:
                return self.by_id[plan_id], "yearly" if interval == "yearly" else "monthly"
        return None

    def granted(
        self,
        *,
        status: str | None,
        price_id: str | None,
        past_due_since: datetime | None,
        at: datetime,
        grace: timedelta,
        prices: Prices,
    ) -> Plan:
        """Return the plan that these columns give; in doubt the free one, never an error."""
        sold = self.sold_as(price_id, prices)
        if sold and gives_access(status, past_due_since, at=at, grace=grace):
            return sold[0]
        return self.free

    def problems(self) -> list[str]:
        """Return errors in this catalogue as sentences; empty if it is valid."""
        messages = [problem for plan in self.plans for problem in _problems_of(plan)]
        if not _is_currency(self.currency):
            messages.insert(
                0, f"CURRENCY is {self.currency!r}: give a code such as 'usd' or 'eur'."
            )
        counted = Counter(plan.id for plan in self.plans)
        messages += [f"Two plans have the id {id!r}." for id, count in counted.items() if count > 1]
        for name in ("free", "highlighted"):
            marked = [plan.id for plan in self.plans if getattr(plan, name)]
            if len(marked) > 1 or (name == "free" and not marked):
                named = f" ({', '.join(marked)})" if marked else ""
                most = "Exactly one" if name == "free" else "At most one"
                messages.append(f"{most} plan must have {name}=True, not {len(marked)}{named}.")
        return messages or list(_features_lost_by_upgrades(self.plans))


def gives_access(
    status: str | None, past_due_since: datetime | None, *, at: datetime, grace: timedelta
) -> bool:
    """Return whether a subscription with this status gives access to its plan.

    The status decides, not the clock: Stripe says when a period has ended without payment. Only the
    grace period after a failed payment is computed here. An unknown status gives no access.
    """
    if status in ("active", "trialing"):
        return True
    return status == "past_due" and past_due_since is not None and at < past_due_since + grace


_ID = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def _problems_of(plan: Plan) -> Iterator[str]:
    if not _is_name(plan.id) or len(plan.id) > 40:
        yield (
            f"The plan id {plan.id!r} must be lower-case letters, digits and underscores: it "
            "becomes part of variables such as STRIPE_PRO_MONTHLY_PRICE_ID."
        )
    yield from _problems_of_details(plan)
    yield from _problems_of_prices(plan)
    days = plan.trial_days
    if type(days) is not int or not 0 <= days <= LONGEST_TRIAL:
        yield f"The plan {plan.id!r} has trial_days={days!r}: give 0 to {LONGEST_TRIAL} days."


def _problems_of_prices(plan: Plan) -> Iterator[str]:
    if not isinstance(plan.prices, Mapping):
        yield f"The plan {plan.id!r} has prices={plan.prices!r}: give a dict, {{'monthly': 1500}}."
        return
    for name, price in plan.prices.items():
        if name not in INTERVALS:
            yield (
                f"The plan {plan.id!r} has a price for {name!r}: a plan can be sold "
                f"{' and '.join(INTERVALS)}."
            )
        elif not _is_chargeable(price):
            yield (
                f"The plan {plan.id!r} has the price {name!r}: {price!r}. Give a whole number "
                f"above 0, up to {MAX_AMOUNT}, in the smallest unit of the currency, or leave "
                f"{name} out if it is not sold."
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
    for feature, most in plan.quotas.items():
        if most is not UNLIMITED and (type(most) is not int or most < 0):
            yield (
                f"The plan {plan.id!r} has the quota {feature!r}: {most!r}. Give a whole number, "
                "or UNLIMITED."
            )
    if plan.free and plan.trial_days:
        yield f"The plan {plan.id!r} has free=True and trial_days: leave one of them out."


def _features_lost_by_upgrades(plans: tuple[Plan, ...]) -> Iterator[str]:
    """Yield a sentence for each plan without a feature of a lower one: an upgrade would lose it."""
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

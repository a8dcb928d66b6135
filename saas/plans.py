"""What is sold, and the pure rule by which a subscription's columns give a plan.

Change this file to make the plans your own: names, prices as people read them, features, quotas.
What is charged stands at Stripe; the ids of its prices come from the configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

Interval = Literal["monthly", "yearly"]
INTERVALS: tuple[Interval, ...] = ("monthly", "yearly")
UNLIMITED = None


@dataclass(frozen=True)
class Plan:
    """Something to subscribe to. Prices are in US cents; `quotas` count uses a calendar month.

    With `trial_days` (up to 730) the first subscription of an account begins with so many free
    days, with a card and once, whatever becomes of the subscription.
    """

    id: str
    name: str
    summary: str
    rank: int
    features: tuple[str, ...]
    monthly: int = 0
    yearly: int = 0
    trial_days: int = 0
    quotas: Mapping[str, int | None] = field(default_factory=dict)

    @property
    def is_free(self) -> bool:
        return self.monthly == 0

    def price(self, interval: str) -> int:
        """What one interval costs, in cents."""
        return self.yearly if interval == "yearly" else self.monthly

    def quota(self, feature: str) -> int | None:
        """How often a month `feature` may be used: a number, 0 for never, None for no limit."""
        return self.quotas.get(feature, 0)

    def includes(self, other: Plan) -> bool:
        """Whether who has this plan may do what `other` allows."""
        return self.rank >= other.rank


STARTER = Plan(
    id="starter",
    name="Starter",
    summary="Look around, free for as long as you like.",
    rank=0,
    features=("Your own account", "Sign-in without a password", "Closed and deleted when you say"),
)
PRO = Plan(
    id="pro",
    name="Pro",
    summary="For one person who ships.",
    rank=1,
    monthly=1500,
    yearly=14400,
    features=("Everything in Starter", "100 share cards a month", "Light and dark cards"),
    quotas={"cards": 100},
)
BUSINESS = Plan(
    id="business",
    name="Business",
    summary="For those who publish all day.",
    rank=2,
    monthly=3000,
    yearly=30000,
    features=("Everything in Pro", "Share cards without a limit"),
    quotas={"cards": UNLIMITED},
)

CATALOGUE: tuple[Plan, ...] = (STARTER, PRO, BUSINESS)
BY_ID: Mapping[str, Plan] = {plan.id: plan for plan in CATALOGUE}
FOR_SALE: tuple[Plan, ...] = tuple(plan for plan in CATALOGUE if not plan.is_free)

Prices = Mapping[tuple[str, str], tuple[str, ...]]


def sold_as(price_id: str | None, prices: Prices) -> tuple[Plan, Interval] | None:
    """The plan and interval that a price of Stripe's stands for; None for a price not ours."""
    for (plan_id, interval), ids in prices.items():
        if price_id in ids:
            return BY_ID[plan_id], "yearly" if interval == "yearly" else "monthly"
    return None


def gives_access(
    status: str | None, past_due_since: datetime | None, *, at: datetime, grace: timedelta
) -> bool:
    """Whether a subscription in this status gives its plan.

    The status decides, not the clock: Stripe says when a period has ended without being paid.
    Only the grace of a payment that failed is counted here. An unknown status gives nothing.
    """
    if status in ("active", "trialing"):
        return True
    return status == "past_due" and past_due_since is not None and at < past_due_since + grace


def granted(
    *,
    status: str | None,
    price_id: str | None,
    past_due_since: datetime | None,
    at: datetime,
    grace: timedelta,
    prices: Prices,
) -> Plan:
    """The plan that these columns give; the free one in every doubt, never a crash."""
    sold = sold_as(price_id, prices)
    if sold and gives_access(status, past_due_since, at=at, grace=grace):
        return sold[0]
    return STARTER

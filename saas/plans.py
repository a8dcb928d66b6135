"""Plans and catalogues, and the pure rule that derives a plan from a subscription's columns.

The product declares its plans in `product/catalogue.py`. Stripe charges its own prices, whose ids
come from the configuration. An invalid catalogue is refused at startup: see `saas/plan_checks.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Literal, cast

Interval = Literal["monthly", "yearly", "once"]
INTERVALS: tuple[Interval, ...] = ("monthly", "yearly", "once")
PRORATIONS = ("always_invoice", "create_prorations", "none")  # Stripe's `proration_behavior`


@dataclass(frozen=True)
class Monthly:
    """A quota of uses in a calendar month (UTC)."""

    limit: int


@dataclass(frozen=True)
class Total:
    """A quota of things that exist at the same time, such as links or projects."""

    limit: int


UNLIMITED = None
Quota = Monthly | Total | None
NO_QUOTA = Total(0)


@dataclass(frozen=True)
class Trial:
    """Free days (1 to 730) at the start of the first subscription of an account.

    With `card_required=False`, Checkout asks for no card. If there is still none when the trial
    ends, Stripe will `"cancel"` or `"pause"` the subscription, as `missing_payment_method` says.
    """

    days: int
    card_required: bool = True
    missing_payment_method: Literal["cancel", "pause"] = "cancel"


@dataclass(frozen=True)
class Plan:
    """A plan. `prices` names its intervals, in the currency's smallest unit: `{"monthly": 1500}`.

    Only these intervals are sold. A plan with the price "once" is paid for once and has no other;
    it gives what the plan that it `grants` gives, or its own features and quotas. Exactly one plan
    is `free` and has no price.

    A quota is `Monthly(100)`, `Total(5)` or `UNLIMITED`. `features` are names that the code asks
    for, such as `user.plan.has("custom_codes")`; `bullets` are texts for the pricing page. Each
    account has one trial. The pricing page emphasizes the plan that is `highlighted`.
    """

    id: str
    name: str
    summary: str
    rank: int
    bullets: tuple[str, ...]
    free: bool = False
    prices: Mapping[str, int] = field(default_factory=dict)
    grants: str | None = None
    trial: Trial | None = None
    highlighted: bool = False
    quotas: Mapping[str, Quota] = field(default_factory=dict)
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
    def is_one_time(self) -> bool:
        return "once" in self.prices

    @property
    def intervals(self) -> tuple[Interval, ...]:
        return tuple(interval for interval in INTERVALS if interval in self.prices)

    @property
    def yearly_saving(self) -> int:
        """The saving of a year over twelve months; 0 if they cannot be compared."""
        if self.monthly is None or self.yearly is None:
            return 0
        return max(self.monthly * 12 - self.yearly, 0)

    def quota(self, feature: str) -> Quota:
        """Return the quota of `feature`: `Total(0)` if the plan has none, None for unlimited."""
        return self.quotas.get(feature, NO_QUOTA)

    def has(self, feature: str) -> bool:
        """Return whether the plan has a feature."""
        return feature in self.features

    def includes(self, other: Plan) -> bool:
        """Return whether this plan includes everything that `other` allows."""
        return self.rank >= other.rank


Prices = Mapping[tuple[str, str], tuple[str, ...]]


@dataclass(frozen=True)
class Catalogue:
    """The plans from lowest to highest, and the currency of their prices (ISO 4217).

    `proration` says when Stripe charges the difference of an upgrade in the middle of a period:
    immediately (`always_invoice`), with the next invoice (`create_prorations`), or not (`none`).
    """

    currency: str
    plans: tuple[Plan, ...]
    proration: str = "always_invoice"

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
        """The intervals in which at least one plan is subscribed to."""
        subscribed = [plan for plan in self.for_sale if not plan.is_one_time]
        sold = {interval for plan in subscribed for interval in plan.intervals}
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

    def counts(self, feature: str, kind: type[Monthly | Total]) -> bool:
        """Return whether any plan has a quota of this kind for `feature`."""
        return any(isinstance(plan.quotas.get(feature), kind) for plan in self.plans)

    @cached_property
    def features(self) -> frozenset[str]:
        """The features that any plan has."""
        return frozenset(feature for plan in self.plans for feature in plan.features)

    def lowest_with(self, feature: str) -> Plan:
        """Return the lowest plan that has a feature."""
        return min((plan for plan in self.plans if plan.has(feature)), key=lambda plan: plan.rank)

    @cached_property
    def sells_once(self) -> bool:
        """Whether any plan is paid for once."""
        return any(plan.is_one_time for plan in self.plans)

    def access_plan(self, plan: Plan) -> Plan:
        """Return the plan whose features and quotas a plan gives."""
        return self.by_id[plan.grants] if plan.grants else plan

    def is_highest(self, plan: Plan) -> bool:
        return all(plan.includes(self.access_plan(other)) for other in self.plans)

    def sold_as(self, price_id: str | None, prices: Prices) -> tuple[Plan, Interval] | None:
        """Return the plan and interval of a Stripe price, or None for a price that is not ours."""
        for (plan_id, interval), ids in prices.items():
            if price_id in ids:
                return self.by_id[plan_id], cast("Interval", interval)
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

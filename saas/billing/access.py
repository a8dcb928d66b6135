"""Restrict features to plans: `@plan_required`, `@feature_required` and quotas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar, cast

from flask import render_template
from sqlalchemy import ColumnElement, bindparam, select, update

from saas import database, errors, products
from saas.auth.bearer import api_user
from saas.billing.customers import Subscriber
from saas.billing.models import FeatureUse
from saas.database import db, now
from saas.extensions import login_manager
from saas.plans import Monthly, Plan, Quota, Total

View = TypeVar("View", bound=Callable[..., Any])

_TOTAL = "total"  # instead of a month

# Built once, because the dashboard and pages with quotas ask it at each request.
_USED = select(FeatureUse.used).where(
    FeatureUse.user_id == bindparam("user_id"),
    FeatureUse.feature == bindparam("feature"),
    FeatureUse.month == bindparam("month"),
)


@dataclass(frozen=True)
class Usage:
    """The used part of a quota: uses of this month, or things that exist now."""

    used: int
    quota: Quota
    is_monthly: bool

    @property
    def limit(self) -> int | None:
        """The number that the quota allows; None means unlimited."""
        return self.quota.limit if self.quota else None

    @property
    def is_exhausted(self) -> bool:
        return self.limit is not None and self.used >= self.limit


class QuotaExhausted(Exception):
    """A quota is used up. `is_monthly` says whether it resets next month."""

    def __init__(self, feature: str, *, is_monthly: bool) -> None:
        super().__init__(f"the quota {feature!r} is used up")
        self.is_monthly = is_monthly


def plan_required(plan_id: str, feature: str) -> Callable[[View], View]:
    """Restrict a view to users whose plan includes `plan_id`.

    Anonymous visitors are redirected to sign-in. Other users get a page (403) that names `feature`
    and links to the plan. JSON requests get 401 and 403 (`plan_required`) as JSON. Write it below
    `@token_required`, whose owner then counts.
    """

    def guard(view: View) -> View:
        def includes_required(plan: Plan) -> bool:
            catalogue = products.catalogue()
            return plan.includes(catalogue.access_plan(catalogue.by_id[plan_id]))

        guarded = _guard(
            view, includes_required, lambda: products.catalogue().by_id[plan_id], feature
        )
        guarded.required_plan = plan_id  # type: ignore[attr-defined]  # checked at startup
        return guarded

    return guard


def feature_required(name: str, feature: str) -> Callable[[View], View]:
    """Restrict a view to users whose plan has a feature, such as `"custom_codes"`.

    Other users are answered as by `plan_required`, with the lowest plan that has it; `feature`
    describes it to them.
    """

    def guard(view: View) -> View:
        guarded = _guard(
            view,
            lambda plan: plan.has(name),
            lambda: products.catalogue().lowest_with(name),
            feature,
        )
        guarded.required_feature = name  # type: ignore[attr-defined]  # checked at startup
        return guarded

    return guard


def _guard(
    view: View, is_allowed: Callable[[Plan], bool], required: Callable[[], Plan], feature: str
) -> View:
    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        user = api_user()
        if not user.is_authenticated:
            return login_manager.unauthorized()
        if is_allowed(user.plan):
            return view(*args, **kwargs)
        plan = required()
        if errors.wants_json():
            raise errors.APIError(403, "plan_required", f"{feature} needs the plan {plan.name}.")
        return render_template("billing/upgrade.html", required=plan, feature=feature), 403

    return cast("View", guarded)  # the same signature, by functools.wraps


def usage(user: Subscriber, feature: str) -> Usage:
    """Return the used part of a quota. Raises `ValueError` for an unknown one."""
    quota = user.plan.quota(feature)
    period = _counted_in(quota, feature)
    which = {"user_id": user.id, "feature": feature, "month": period}
    return Usage(db.session.scalar(_USED, which) or 0, quota, is_monthly=period != _TOTAL)


def use(user: Subscriber, feature: str) -> None:
    """Count one use. Raises `QuotaExhausted` if none are left. Safe for concurrent calls.

    For a `Total` quota, call it in the transaction that creates the thing, and `release` in the one
    that deletes it. If a view does not catch the error, users see a page that explains it.
    """
    quota = user.plan.quota(feature)
    limited_period = _counted_in(quota, feature)
    with database.write_transaction():
        for period in _periods(feature):
            database.insert_or_ignore(
                FeatureUse, user_id=user.id, feature=feature, month=period, used=0
            )
            claim = update(FeatureUse).where(*_is_row(user, feature, period))
            if quota and period == limited_period:
                claim = claim.where(FeatureUse.used < quota.limit)
            if not database.execute(claim.values(used=FeatureUse.used + 1)):
                raise QuotaExhausted(feature, is_monthly=period != _TOTAL)


def release(user: Subscriber, feature: str) -> None:
    """Count one thing less, because it was deleted. Does not change the uses of a month."""
    if _TOTAL not in _periods(feature):
        raise ValueError(f"no plan in the catalogue has a Total quota {feature!r}")
    with database.write_transaction():
        of = (*_is_row(user, feature, _TOTAL), FeatureUse.used > 0)
        database.execute(update(FeatureUse).where(*of).values(used=FeatureUse.used - 1))


def _is_row(user: Subscriber, feature: str, period: str) -> tuple[ColumnElement[bool], ...]:
    return (
        FeatureUse.user_id == user.id,
        FeatureUse.feature == feature,
        FeatureUse.month == period,
    )


def _periods(feature: str) -> tuple[str, ...]:
    """Return what is counted for any plan: uses of this month, things that exist, or both.

    Both are counted for all users, so that the numbers are right after a change of plan.
    """
    catalogue = products.catalogue()
    if feature not in catalogue.quotas:
        raise ValueError(f"no plan in the catalogue has a quota {feature!r}")
    is_total = catalogue.counts(feature, Total)
    is_monthly = catalogue.counts(feature, Monthly) or not is_total
    months = (now().strftime("%Y-%m"),) if is_monthly else ()
    return (*months, _TOTAL) if is_total else months


def _counted_in(quota: Quota, feature: str) -> str:
    """Return the period that a quota limits; for an unlimited one, the period to show."""
    periods = _periods(feature)
    is_total = isinstance(quota, Total) and _TOTAL in periods
    return periods[-1] if is_total else periods[0]

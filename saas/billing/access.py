"""Restrict features to plans: `@plan_required`, `@feature_required` and monthly quotas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any, TypeVar, cast

from flask import render_template
from sqlalchemy import bindparam, select, update

from saas import database, errors, products
from saas.auth.bearer import api_user
from saas.billing.customers import Subscriber
from saas.billing.models import FeatureUse
from saas.database import db, now
from saas.extensions import login_manager
from saas.plans import Plan

View = TypeVar("View", bound=Callable[..., Any])

# Built once, because the dashboard and pages with quotas ask it at each request.
_USED = select(FeatureUse.used).where(
    FeatureUse.user_id == bindparam("user_id"),
    FeatureUse.feature == bindparam("feature"),
    FeatureUse.month == bindparam("month"),
)


@dataclass(frozen=True)
class Usage:
    """The number of uses this month and its limit; a `limit` of None means unlimited."""

    used: int
    limit: int | None

    @property
    def is_exhausted(self) -> bool:
        return self.limit is not None and self.used >= self.limit


class QuotaExhausted(Exception):
    """This month's quota is used up."""


def plan_required(plan_id: str, feature: str) -> Callable[[View], View]:
    """Restrict a view to users whose plan includes `plan_id`.

    Anonymous visitors are redirected to sign-in. Other users get a page (403) that names `feature`
    and links to the plan. JSON requests get 401 and 403 (`plan_required`) as JSON. Write it below
    `@token_required`, whose owner then counts.
    """

    def guard(view: View) -> View:
        guarded = _guard(
            view,
            lambda plan: plan.includes(products.catalogue().by_id[plan_id]),
            lambda: products.catalogue().by_id[plan_id],
            feature,
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
    """Return the used part of this month's quota. Raises `ValueError` for an unknown quota."""
    _check_declared(feature)
    which = {"user_id": user.id, "feature": feature, "month": _current_month(now())}
    return Usage(db.session.scalar(_USED, which) or 0, user.plan.quota(feature))


def use(user: Subscriber, feature: str) -> None:
    """Count one use. Raises `QuotaExhausted` if none are left. Safe for concurrent calls.

    If a view does not catch the error, users see a page that explains it.
    """
    _check_declared(feature)
    limit = user.plan.quota(feature)
    month = _current_month(now())
    with database.write_transaction():
        database.insert_or_ignore(FeatureUse, user_id=user.id, feature=feature, month=month, used=0)
        claim = update(FeatureUse).where(
            FeatureUse.user_id == user.id,
            FeatureUse.feature == feature,
            FeatureUse.month == month,
        )
        if limit is not None:
            claim = claim.where(FeatureUse.used < limit)
        if not database.execute(claim.values(used=FeatureUse.used + 1)):
            raise QuotaExhausted


def _check_declared(feature: str) -> None:
    if feature not in products.catalogue().quotas:
        raise ValueError(f"no plan in the catalogue has a quota {feature!r}")


def _current_month(at: datetime) -> str:
    return at.strftime("%Y-%m")

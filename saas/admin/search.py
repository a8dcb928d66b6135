"""Find users: by the beginning of an email or name, by an id, or by filters."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import current_app
from sqlalchemy import ColumnElement, String, and_, cast, false, or_, select

from saas import products
from saas.admin.listing import PAGE, Listing, parse_id
from saas.auth import accounts
from saas.auth.models import User
from saas.database import db, now
from saas.plans import Plan
from saas.subscriber import LIVE_STATUSES

Condition = ColumnElement[bool]
LIVE = "live"  # any status of a subscription that may be charged


@dataclass(frozen=True)
class Filters:
    """What the list of users shows; empty values show all."""

    q: str = ""
    plan: str = ""
    status: str = ""
    role: str = ""
    account: str = ""
    sort: str = "newest"

    @property
    def conditions(self) -> list[Condition]:
        conditions: list[Condition] = []
        if self.status == LIVE:
            conditions.append(User.stripe_subscription_status.in_(LIVE_STATUSES))
        elif self.status:
            conditions.append(User.stripe_subscription_status == self.status)
        if self.role:
            conditions.append(User.role == self.role)
        if self.account == "disabled":
            conditions.append(User.disabled_at.isnot(None))
        if self.account == "closing":
            conditions.append(User.closing_at.isnot(None))
        if self.account == "granted":
            ids = [plan.id for plan in products.catalogue().plans]
            still = or_(User.granted_until.is_(None), User.granted_until > now())
            conditions += [User.granted_plan.in_(ids), still]
        return conditions

    @property
    def alternatives(self) -> list[Condition]:
        """One of these must hold as well. Each is a query of its own, which an index serves."""
        if not self.plan:
            return []
        plan = products.catalogue().by_id.get(self.plan)
        return _has_plan(plan) if plan else [false()]

    def listing(self) -> Listing:
        """Return the users that match, without `q`."""
        query, alternatives = select(User).where(*self.conditions), tuple(self.alternatives)
        if self.sort == "email":
            return Listing(query, (User.email,), lambda cursor: (cursor,), True, alternatives)
        if self.sort == "payment":
            pays = query.where(User.stripe_monthly_amount > 0)
            keys = (User.stripe_monthly_amount, User.id)
            return Listing(pays, keys, _amount_and_id, alternatives=alternatives)
        return Listing(query, (User.id,), parse_id, alternatives=alternatives)


def matches(filters: Filters, limit: int | None = PAGE + 1) -> Sequence[User]:
    """Return users that match `q` and the filters, at most `limit`, in order of email."""
    conditions = filters.conditions
    if filters.alternatives:
        conditions.append(or_(*filters.alternatives))
    users: dict[uuid.UUID, User] = {}
    for condition in _means(filters.q.strip()):
        query = select(User).where(condition, *conditions).limit(limit)
        users.update((user.id, user) for user in db.session.scalars(query))
    return sorted(users.values(), key=lambda user: user.email)[:limit]


def _means(text: str) -> list[Condition]:
    """Return what a search may mean: an id, or the beginning of an email or name."""
    try:
        return [User.id == uuid.UUID(text)]
    except ValueError:
        pass
    if text.startswith("cus_"):
        return [User.stripe_customer_id == text]
    if text.startswith("sub_"):
        return [User.stripe_subscription_id == text]
    names = {text, text.lower(), text.title()}
    try:
        typed = accounts.clean_email(text)  # such as the ASCII form of a Unicode domain
    except ValueError:
        typed = text.lower()
    return [
        User.email.startswith(typed, autoescape=True),
        *(User.name.startswith(name, autoescape=True) for name in sorted(names)),
    ]


def _has_plan(plan: Plan) -> list[Condition]:
    """Return the conditions under which a user subscribed to, bought or was given a plan."""
    if plan.is_free:
        status = User.stripe_subscription_status
        has_ended = or_(User.granted_plan.is_(None), User.granted_until <= now())
        is_over = or_(status.is_(None), status.not_in(LIVE_STATUSES))
        return [and_(is_over, has_ended, User.stripe_purchases.is_(None))]
    prices: dict[tuple[str, str], tuple[str, ...]] = current_app.config["STRIPE_PRICES"]
    ids = [
        price for (sold, _), price_ids in prices.items() if sold == plan.id for price in price_ids
    ]
    still = or_(User.granted_until.is_(None), User.granted_until > now())
    conditions: list[Any] = [and_(User.granted_plan == plan.id, still)]
    for price in ids:
        if plan.is_one_time:
            bought = cast(User.stripe_purchases, String).contains(price, autoescape=True)
            conditions.append(and_(User.stripe_purchases.isnot(None), bought))
        else:
            is_live = User.stripe_subscription_status.in_(LIVE_STATUSES)
            conditions.append((User.stripe_price_id == price) & is_live)
    return conditions


def _amount_and_id(cursor: str) -> tuple[int, uuid.UUID]:
    amount, _, user_id = cursor.partition("~")
    if not 0 <= int(amount) < 2**63:
        raise ValueError(cursor)
    return int(amount), uuid.UUID(user_id)

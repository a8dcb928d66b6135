"""Find users: by the beginning of an email or name, by an id, or by filters."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import current_app
from sqlalchemy import ColumnElement, String, cast, or_, select

from saas import products
from saas.admin.listing import PAGE, Listing
from saas.auth.models import User
from saas.database import db
from saas.plans import Plan
from saas.subscriber import LIVE_STATUSES

Condition = ColumnElement[bool]


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
        found = []
        if self.status:
            found.append(User.stripe_subscription_status == self.status)
        if self.role:
            found.append(User.role == self.role)
        if self.account == "disabled":
            found.append(User.disabled_at.isnot(None))
        if self.account == "closing":
            found.append(User.closing_at.isnot(None))
        return found

    @property
    def alternatives(self) -> list[Condition]:
        """One of these must hold as well. Each is a query of its own, which an index serves."""
        plan = products.catalogue().by_id.get(self.plan)
        return _has_plan(plan) if plan else []

    def listing(self) -> Listing:
        """Return the users that match, without `q`."""
        by_email = self.sort == "email"
        return Listing(
            select(User).where(*self.conditions),
            keys=(User.email,) if by_email else (User.id,),
            parse=(lambda cursor: (cursor,)) if by_email else (lambda cursor: (uuid.UUID(cursor),)),
            ascending=by_email,
            alternatives=tuple(self.alternatives),
        )


def matches(filters: Filters) -> Sequence[User]:
    """Return at most 51 users that match `q` and the filters, in order of email."""
    conditions = filters.conditions
    if filters.alternatives:
        conditions.append(or_(*filters.alternatives))
    found: dict[uuid.UUID, User] = {}
    for condition in _means(filters.q.strip()):
        query = select(User).where(condition, *conditions).limit(PAGE + 1)
        found.update((user.id, user) for user in db.session.scalars(query))
    return sorted(found.values(), key=lambda user: user.email)[: PAGE + 1]


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
    return [
        User.email.startswith(text.lower(), autoescape=True),
        *(User.name.startswith(name, autoescape=True) for name in sorted(names)),
    ]


def _has_plan(plan: Plan) -> list[Condition]:
    """Return the conditions under which a user subscribed to, bought or was given a plan."""
    if plan.is_free:
        return [
            User.stripe_subscription_status.is_(None)
            & User.granted_plan.is_(None)
            & User.stripe_purchases.is_(None)
        ]
    prices: dict[tuple[str, str], tuple[str, ...]] = current_app.config["STRIPE_PRICES"]
    ids = [price for (sold, _), each in prices.items() if sold == plan.id for price in each]
    found: list[Any] = [User.granted_plan == plan.id]
    for price in ids:
        if plan.is_one_time:
            found.append(cast(User.stripe_purchases, String).contains(price, autoescape=True))
        else:
            is_live = User.stripe_subscription_status.in_(LIVE_STATUSES)
            found.append((User.stripe_price_id == price) & is_live)
    return found

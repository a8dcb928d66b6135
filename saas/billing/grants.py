"""Plans given by hand: for a limited time or for good, with a reason, and without Stripe.

A user has at most one granted plan. `users.granted_plan` and `granted_until` repeat the current
row of `granted_plans`, so that pages need no further query.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update

from saas import database, products
from saas.auth import audit
from saas.billing.customers import Subscriber
from saas.billing.models import GrantedPlan
from saas.database import db, now


class GrantError(Exception):
    """The plan cannot be granted or revoked; the message says why."""


def grant(
    user: Subscriber, plan_id: str, *, reason: str, until: datetime | None, by: str
) -> GrantedPlan:
    """Give a user a plan until a time, or for good. It replaces an earlier grant.

    `by` is `audit.OPERATOR`, or the id of an administrator as text. Raises `GrantError`.
    """
    _check_plan(plan_id)
    reason = _checked(reason)
    if until is not None and until <= now():
        raise GrantError(f"{until:%Y-%m-%d} has passed. Give a date in the future.")
    with database.write_transaction() as session:
        _write(user.id, granted_plan=plan_id, granted_until=until)  # locks the user's row
        _end_current(user.id, by, "replaced by another grant")
        granted = GrantedPlan(
            user_id=user.id, plan=plan_id, reason=reason, until=until, granted_by=by
        )
        session.add(granted)
        limit = f" until {until:%Y-%m-%d}" if until else ""
        audit.record(f"grant {plan_id}{limit}", user.id, by=by, reason=reason)
    db.session.refresh(user)
    return granted


def revoke(user: Subscriber, *, reason: str, by: str) -> None:
    """Take the granted plan away. Other sources of access stay. Raises `GrantError`."""
    reason = _checked(reason)
    with database.write_transaction():
        db.session.refresh(user)
        if user.granted is None:
            raise GrantError(f"{user.email} has no granted plan.")
        plan_id = user.granted_plan
        _end_current(user.id, by, reason)
        _write(user.id, granted_plan=None, granted_until=None)
        audit.record(f"revoke {plan_id}", user.id, by=by, reason=reason)
    db.session.refresh(user)


def list_for_user(user_id: uuid.UUID) -> Sequence[GrantedPlan]:
    """Return all grants of a user, newest first."""
    grants = select(GrantedPlan).where(GrantedPlan.user_id == user_id)
    return db.session.scalars(grants.order_by(GrantedPlan.id.desc())).all()


def _check_plan(plan_id: str) -> None:
    sold = {plan.id: plan for plan in products.catalogue().plans if not plan.is_free}
    if plan_id not in sold:
        raise GrantError(f"There is no plan {plan_id!r} to grant. Give {', '.join(sold)}.")


def _checked(reason: str) -> str:
    try:
        return audit.clean_reason(reason)
    except ValueError as error:
        raise GrantError(str(error)) from None


def _end_current(user_id: uuid.UUID, by: str, reason: str) -> None:
    current = (GrantedPlan.user_id == user_id, GrantedPlan.ended_at.is_(None))
    ended = {"ended_at": now(), "ended_by": by, "end_reason": reason}
    database.execute(update(GrantedPlan).where(*current).values(ended))


def _write(user_id: uuid.UUID, **columns: object) -> None:
    database.execute(update(Subscriber).where(Subscriber.id == user_id).values(columns))

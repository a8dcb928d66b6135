"""Monthly recurring revenue (MRR) and its movements.

A movement is recorded in the transaction of the change that causes it. It outlives its account,
without the id of the user, so that past months stay true.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import delete, exists, select

from saas import database, products
from saas.billing.models import RevenueMovement, SubscriptionChange
from saas.charges import Recurring
from saas.database import db, now

# Movements of the amount; trials have no amount.
NEW, REACTIVATION, EXPANSION = "new", "reactivation", "expansion"
CONTRACTION, CHURN = "contraction", "churn"
TRIAL_STARTED, TRIAL_CONVERTED, TRIAL_ENDED = "trial_started", "trial_converted", "trial_ended"
TRIALS = (TRIAL_STARTED, TRIAL_CONVERTED, TRIAL_ENDED)

_COUNTED = (
    "active",
    "past_due",
)  # as in Stripe: https://docs.stripe.com/billing/subscriptions/analytics
_PER_YEAR = {"day": 365, "week": 52, "month": 12, "year": 1}


class Monthly(NamedTuple):
    """What a subscription pays per month, in the smallest unit of its currency."""

    amount: int = 0
    currency: str = ""


def monthly(columns: Mapping[str, Any]) -> Monthly:
    """Return the MRR of a subscriber with these columns.

    Trials, paused collection and prices that cannot be added up, such as metered ones, count as 0.
    """
    stored = columns.get("stripe_recurring")
    if columns.get("stripe_subscription_status") not in _COUNTED or not stored:
        return Monthly()
    recurring = Recurring.from_json(stored)
    if not recurring.amount or recurring.interval is None or not recurring.is_collected:
        return Monthly()
    months = 12 * recurring.interval_count
    return Monthly(
        _divide(recurring.amount * _PER_YEAR[recurring.interval], months), recurring.currency
    )


def record(
    user_id: uuid.UUID,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    at: datetime | None = None,
) -> None:
    """Record the movements between two states of a subscriber's columns, in this transaction."""
    price_id = after.get("stripe_price_id") or before.get("stripe_price_id")
    sold = products.sold_as(price_id)
    for kind, amount, currency in _movements(user_id, before, after):
        db.session.add(
            RevenueMovement(
                at=at or now(),
                user_id=user_id,
                kind=kind,
                plan=sold[0].id if sold else None,
                amount=amount,
                currency=currency,
            )
        )


def rebuild() -> int:
    """Record the movements of all current users again, from the history of their changes.

    Those of deleted accounts stay. Returns the number of users.
    """
    users = select(SubscriptionChange.user_id).distinct().order_by(SubscriptionChange.user_id)
    ids = db.session.scalars(users).all()
    for user_id in ids:
        _rebuild(user_id)
    return len(ids)


def _rebuild(user_id: uuid.UUID) -> None:
    changes = select(SubscriptionChange).where(SubscriptionChange.user_id == user_id)
    with database.write_transaction() as session:
        database.execute(delete(RevenueMovement).where(RevenueMovement.user_id == user_id))
        for change in session.scalars(changes.order_by(SubscriptionChange.counter)).all():
            record(user_id, change.before, change.after, change.at)
            session.flush()  # the next change asks for this one


def _movements(
    user_id: uuid.UUID, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[tuple[str, int, str]]:
    old, new = monthly(before), monthly(after)
    was_trial, is_trial = (
        columns.get("stripe_subscription_status") == "trialing" for columns in (before, after)
    )
    if is_trial and not was_trial:
        yield TRIAL_STARTED, 0, ""
    if was_trial and not is_trial:
        yield TRIAL_CONVERTED if new.amount else TRIAL_ENDED, 0, ""
    if old.amount and (not new.amount or old.currency != new.currency):
        yield CHURN, -old.amount, old.currency
        old = Monthly()
    if new.amount and not old.amount:
        yield REACTIVATION if _has_paid(user_id) else NEW, new.amount, new.currency
    elif new.amount != old.amount:
        kind = EXPANSION if new.amount > old.amount else CONTRACTION
        yield kind, new.amount - old.amount, new.currency


def _has_paid(user_id: uuid.UUID) -> bool:
    earlier = exists().where(RevenueMovement.user_id == user_id, RevenueMovement.kind == NEW)
    return bool(db.session.scalar(select(earlier)))


def _divide(amount: int, months: int) -> int:
    """Divide and round half up."""
    return (2 * amount + months) // (2 * months)

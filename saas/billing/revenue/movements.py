"""Monthly recurring revenue (MRR) and its movements.

A movement is recorded in the transaction of the change that causes it. It outlives its account,
without the id of the user, so that past months stay true.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import delete, exists, select

from saas import database, products
from saas.billing import customers
from saas.billing.customers import Subscriber
from saas.billing.models import RevenueMovement, SubscriptionChange
from saas.charges import Recurring
from saas.database import db, now

# Movements of the amount; trials have no amount.
NEW, REACTIVATION, EXPANSION = "new", "reactivation", "expansion"
CONTRACTION, CHURN = "contraction", "churn"
TRIAL_STARTED, TRIAL_CONVERTED, TRIAL_ENDED = "trial_started", "trial_converted", "trial_ended"
TRIALS = (TRIAL_STARTED, TRIAL_CONVERTED, TRIAL_ENDED)

# As in Stripe: https://docs.stripe.com/billing/subscriptions/analytics
_COUNTED = ("active", "past_due")
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

    Those of deleted accounts, and those older than the kept history, stay. Returns the number of
    users.
    """
    customers_only = select(Subscriber.id).where(Subscriber.stripe_customer_id.isnot(None))
    ids = db.session.scalars(customers_only.order_by(Subscriber.id)).all()
    database.release_connection()
    return sum(_rebuild(user_id) for user_id in ids)


def _rebuild(user_id: uuid.UUID) -> bool:
    """Record a user's movements again; return False if the user was deleted."""
    mine = RevenueMovement.user_id == user_id
    changes = select(SubscriptionChange).where(SubscriptionChange.user_id == user_id)
    with database.write_transaction() as session:
        # Locked, so that no sync adds a movement meanwhile.
        user = session.get(Subscriber, user_id, populate_existing=True, with_for_update=True)
        if user is None:
            return False
        history = session.scalars(changes.order_by(SubscriptionChange.counter)).all()
        if history:
            later = RevenueMovement.at >= history[0].at
            database.execute(delete(RevenueMovement).where(mine, later))
            _open(user_id, history[0].before, history[0].at)
            _replay(history)
            record(user_id, history[-1].after, user.synced_columns, user.stripe_synced_at)
        else:
            _open(user_id, user.synced_columns, user.stripe_synced_at)
        customers.store_monthly_amount(user_id, monthly(user.synced_columns).amount)
    return True


def _replay(history: Sequence[SubscriptionChange]) -> None:
    for change in history:
        record(change.user_id, change.before, change.after, change.at)
        db.session.flush()  # the next change asks for this one


def _open(user_id: uuid.UUID, columns: Mapping[str, Any], at: datetime | None) -> None:
    """Record a subscription whose beginning is older than the history, if nothing else does."""
    if not db.session.scalar(select(exists().where(RevenueMovement.user_id == user_id))):
        record(user_id, {}, columns, at)
        db.session.flush()


def _movements(
    user_id: uuid.UUID, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[tuple[str, int, str]]:
    old, new = monthly(before), monthly(after)
    if kind := _trial(user_id, before, after):
        yield kind, 0, ""
    if old.amount and (not new.amount or old.currency != new.currency):
        yield CHURN, -old.amount, old.currency
        old = Monthly()
    if new.amount and not old.amount:
        yield REACTIVATION if _has_paid(user_id) else NEW, new.amount, new.currency
    elif new.amount != old.amount:
        kind = EXPANSION if new.amount > old.amount else CONTRACTION
        yield kind, new.amount - old.amount, new.currency


def _trial(user_id: uuid.UUID, before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    """Return what became of a trial. While its first payment fails, it is still open."""
    was, status = (columns.get("stripe_subscription_status") for columns in (before, after))
    if was == status or was not in ("trialing", "past_due") and status != "trialing":
        return None
    if status == "trialing":
        return TRIAL_STARTED
    if status == "past_due" or not _has_open_trial(user_id):
        return None
    return TRIAL_CONVERTED if status == "active" else TRIAL_ENDED


def _has_open_trial(user_id: uuid.UUID) -> bool:
    of_trials = select(RevenueMovement.kind).where(
        RevenueMovement.user_id == user_id, RevenueMovement.kind.in_(TRIALS)
    )
    latest = of_trials.order_by(RevenueMovement.at.desc()).limit(1)
    return db.session.scalar(latest) == TRIAL_STARTED


def _has_paid(user_id: uuid.UUID) -> bool:
    earlier = exists().where(RevenueMovement.user_id == user_id, RevenueMovement.kind == NEW)
    return bool(db.session.scalar(select(earlier)))


def _divide(amount: int, months: int) -> int:
    """Divide and round half up."""
    return (2 * amount + months) // (2 * months)

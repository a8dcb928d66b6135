"""What was left behind: events that could not be applied, and periods that ended in silence."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from sqlalchemy import ColumnElement, and_, func, or_, select

from saas import jobs
from saas.auth.models import User
from saas.billing import handling, subscriptions, sweeping
from saas.billing.letters import TRIAL_NOTICE
from saas.billing.models import StripeEvent
from saas.database import db, now
from saas.subscriber import LIVE_STATUSES

_WAIT = timedelta(minutes=2)  # the webhook itself may still be at it
_GIVE_UP_AFTER = 3 * 24 * 60  # attempts, one a minute: as long as Stripe itself delivers again
_ASK_AGAIN = timedelta(hours=1)
_A_DAY = timedelta(days=1)
_AT_ONCE = 200


@jobs.periodic_task(minutes=1)
def apply_what_was_left() -> None:
    """Events that were noted and not applied: Stripe or our database was away, or we crashed."""
    left = db.session.execute(
        select(StripeEvent.id, StripeEvent.customer_id)
        .where(StripeEvent.processed_at.is_(None), StripeEvent.received_at < now() - _WAIT)
        .where(StripeEvent.attempts < _GIVE_UP_AFTER)
        .order_by(StripeEvent.attempts, StripeEvent.received_at)  # a bad one keeps nobody waiting
        .limit(_AT_ONCE)
    ).all()
    sweeping.one_by_one(left, lambda event: handling.handle(*event), about="event")


@jobs.periodic_task(minutes=10)
def look_after_ended_periods() -> None:
    """Ask Stripe about people whose period is over and of whom no event has told.

    The clock takes nothing away by itself: Stripe says whether the period was renewed.
    """
    at = now()
    silent = and_(
        User.stripe_subscription_status.in_(LIVE_STATUSES),
        or_(User.stripe_current_period_end < at, User.stripe_cancel_at < at),
        or_(User.stripe_synced_at.is_(None), User.stripe_synced_at < at - _ASK_AGAIN),
    )
    _sync(silent, cause="period end")


@jobs.periodic_task(minutes=60)
def look_after_trials() -> None:
    """Ask about trials that end soon, so that nobody is charged without having been told."""
    at = now()
    ending = and_(
        User.stripe_subscription_status == "trialing",
        User.stripe_current_period_end.between(at, at + TRIAL_NOTICE),
        or_(User.stripe_synced_at.is_(None), User.stripe_synced_at < at - _A_DAY),
    )
    _sync(ending, cause="trial end")


def _sync(whom: ColumnElement[bool], cause: str) -> None:
    """Sync some of these, in any order: nobody waits for ever behind those that fail."""
    chosen = select(User.id).where(whom).order_by(func.random()).limit(_AT_ONCE)
    people = db.session.scalars(chosen).all()
    sweeping.one_by_one(people, partial(subscriptions.sync, cause=cause), about="person")

"""What was left behind: events that could not be applied, and periods that ended in silence."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import or_, select

from saas import jobs
from saas.auth.models import User
from saas.billing import gateway, handling, subscriptions
from saas.billing.letters import TRIAL_NOTICE
from saas.billing.models import StripeEvent
from saas.database import db, now
from saas.subscriber import LIVE_STATUSES

log = logging.getLogger("saas.billing")

_WAIT = timedelta(minutes=2)  # the webhook itself may still be at it
_GIVE_UP_AFTER = 3 * 24 * 60  # attempts, one a minute: as long as Stripe itself delivers again
_ASK_AGAIN = timedelta(hours=1)
_A_DAY = timedelta(days=1)
_AT_ONCE = 200


@jobs.sweep(minutes=1)
def apply_what_was_left() -> None:
    """Events that were noted and not applied: Stripe or our database was away, or we crashed."""
    left = db.session.execute(
        select(StripeEvent.id, StripeEvent.customer_id)
        .where(StripeEvent.processed_at.is_(None), StripeEvent.received_at < now() - _WAIT)
        .where(StripeEvent.attempts < _GIVE_UP_AFTER)
        .order_by(StripeEvent.attempts, StripeEvent.received_at)  # a bad one keeps nobody waiting
        .limit(_AT_ONCE)
    ).all()
    for event_id, customer_id in left:
        try:
            handling.handle(event_id, customer_id)
        except gateway.StripeError as error:
            log.warning("event still not applied: %s", error, extra={"event_id": event_id})
        except Exception:  # whatever is wrong with one, the others are applied
            log.exception("event still not applied", extra={"event_id": event_id})


@jobs.sweep(minutes=10)
def look_after_ended_periods() -> None:
    """Ask Stripe about people whose period is over and of whom no event has told.

    The clock takes nothing away by itself: Stripe says whether the period was renewed.
    """
    at = now()
    silent = select(User.id).where(
        User.stripe_subscription_status.in_(LIVE_STATUSES),
        or_(User.stripe_current_period_end < at, User.stripe_cancel_at < at),
        or_(User.stripe_synced_at.is_(None), User.stripe_synced_at < at - _ASK_AGAIN),
    )
    _sync(db.session.scalars(silent.limit(_AT_ONCE)).all(), cause="period end")


@jobs.sweep(minutes=60)
def look_after_trials() -> None:
    """Ask about trials that end soon, so that nobody is charged without having been told."""
    at = now()
    ending = select(User.id).where(
        User.stripe_subscription_status == "trialing",
        User.stripe_current_period_end.between(at, at + TRIAL_NOTICE),
        or_(User.stripe_synced_at.is_(None), User.stripe_synced_at < at - _A_DAY),
    )
    _sync(db.session.scalars(ending.limit(_AT_ONCE)).all(), cause="trial end")


def _sync(people: Sequence[UUID], cause: str) -> None:
    for person_id in people:
        try:
            subscriptions.sync(person_id, cause=cause)
        except gateway.StripeError as error:
            log.warning("a sweep could not sync: %s", error, extra={"person_id": person_id})
        except Exception:  # whatever is wrong with one, the others are looked after
            log.exception("a sweep could not sync", extra={"person_id": person_id})

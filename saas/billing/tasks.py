"""Periodic tasks: retry failed events, and sync users whose events did not arrive."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial
from typing import TypeVar

from sqlalchemy import ColumnElement, and_, func, or_, select

from saas import deadlines, jobs
from saas.billing import customers, events, gateway, subscriptions
from saas.billing.customers import Subscriber
from saas.billing.emails import TRIAL_NOTICE
from saas.billing.models import MAX_ATTEMPTS, StripeEvent
from saas.database import db, now
from saas.subscriber import LIVE_STATUSES

T = TypeVar("T")
log = logging.getLogger("saas.billing")

_TIMEOUT = 60.0  # seconds per user, who may have thousands of subscriptions; a call has 4
_MAX_FAILURES = 3  # failed calls after which Stripe is considered unreachable
_GRACE = timedelta(minutes=2)  # the webhook may still be processing it
_RECHECK_AFTER = timedelta(hours=1)
_ONE_DAY = timedelta(days=1)
BATCH_SIZE = 200


@jobs.periodic_task(minutes=1)
def retry_events() -> None:
    """Retry recorded events that were not applied."""
    unprocessed = db.session.execute(
        select(StripeEvent.id, StripeEvent.customer_id, StripeEvent.object_id)
        .where(StripeEvent.processed_at.is_(None), StripeEvent.received_at < now() - _GRACE)
        .where(StripeEvent.attempts < MAX_ATTEMPTS)
        .order_by(
            StripeEvent.attempts, StripeEvent.received_at
        )  # failing events do not block others
        .limit(BATCH_SIZE)
    ).all()
    process_each(
        unprocessed,
        lambda event: events.process(event.id, event.customer_id, object_id=event.object_id),
        about="event",
    )


@jobs.periodic_task(minutes=10)
def sync_ended_periods() -> None:
    """Sync users whose period ended without a webhook.

    Our clock never ends access by itself: Stripe says whether the period was renewed.
    """
    at = now()
    live = Subscriber.stripe_subscription_status.in_(LIVE_STATUSES)
    for is_over in (Subscriber.stripe_current_period_end < at, Subscriber.stripe_cancel_at < at):
        # Two queries, because databases use an index for each, and none for both.
        _sync(and_(live, is_over, _was_not_synced_for(_RECHECK_AFTER)), cause="period end")


@jobs.periodic_task(minutes=60)
def sync_ending_trials() -> None:
    """Sync trials that end soon, so that every user is reminded before the first charge."""
    at = now()
    ending = and_(
        Subscriber.stripe_subscription_status == "trialing",
        Subscriber.stripe_current_period_end.between(at, at + TRIAL_NOTICE),
        _was_not_synced_for(_ONE_DAY),
    )
    _sync(ending, cause="trial end")


@jobs.periodic_task(minutes=10)
def update_stale_emails() -> None:
    """Retry updates of customers' emails in Stripe that failed before."""
    stale = select(Subscriber.id).where(Subscriber.stripe_email_stale_since <= now())
    users = db.session.scalars(stale.order_by(func.random()).limit(BATCH_SIZE)).all()
    process_each(users, customers.update_stale_email, about="email of user")


def _was_not_synced_for(period: timedelta) -> ColumnElement[bool]:
    synced_at = Subscriber.stripe_synced_at
    return or_(synced_at.is_(None), synced_at < now() - period)


def _sync(condition: ColumnElement[bool], cause: str) -> None:
    """Sync some of these users, in random order so that failing ones do not block the others."""
    chosen = select(Subscriber.id).where(condition).order_by(func.random()).limit(BATCH_SIZE)
    users = db.session.scalars(chosen).all()
    process_each(users, partial(subscriptions.sync, cause=cause), about="user")


def process_each(items: Iterable[T], work: Callable[[T], object], about: str) -> None:
    """Do `work` for each item; a failing item does not stop the others.

    If Stripe is unreachable, the rest waits for the next run, so that the worker can send emails
    again. `about` describes the items in the log.
    """
    unanswered, why = 0, ""
    for item in items:
        try:
            with deadlines.deadline(_TIMEOUT):
                work(item)
        except gateway.Unavailable as error:
            log.warning("not processed: %s %s: %s", about, item, gateway.describe(error))
            unanswered += 1
            is_refused = gateway.is_refusal(error)
            why = "Stripe refuses our key" if is_refused else "Stripe does not answer"
        except gateway.StripeError as error:
            log.error("not processed: %s %s: %s", about, item, gateway.describe(error))
        except Exception:
            log.exception("not processed: %s %s", about, item)
        if unanswered == _MAX_FAILURES:
            log.warning("%s: remaining items wait for the next run", why)
            return

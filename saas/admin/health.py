"""What needs an operator now, shown above the overview."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from flask import current_app
from sqlalchemy import func, or_, select

from saas import database, jobs
from saas.admin import figures, reports
from saas.admin.models import StoredReport
from saas.auth.models import User
from saas.billing import events, gateway
from saas.billing.models import MAX_ATTEMPTS, StripeEvent
from saas.database import db, now
from saas.mail.models import OutboxMessage

log = logging.getLogger("saas.admin")

_SILENT = timedelta(days=1)
_OLD_EMAIL = timedelta(minutes=15)
_GIVEN_UP = timedelta(days=7)  # for which emails that were given up on are reported
_NAME = "missing events"


@dataclass(frozen=True)
class Problem:
    """A sentence, what to do, and the page that shows more."""

    text: str
    advice: str
    endpoint: str = ""
    arguments: tuple[tuple[str, str], ...] = ()


def problems() -> list[Problem]:
    """Return what needs an operator now, the most urgent first."""
    return [
        *_no_worker(),
        *_silence(),
        *_failed_events(),
        *_old_emails(),
        *_unsent_emails(),
        *_past_due(),
        *_wrong_revenue(),
    ]


@jobs.periodic_task(minutes=60)
def check_events_arrive() -> None:
    """Ask Stripe for its events of the last day, if none has arrived in that time."""
    at, missing = now(), 0
    last = db.session.scalar(select(func.max(StripeEvent.received_at)))
    if current_app.config["STRIPE_API_KEY"] and (last is None or last < at - _SILENT):
        types = events.HANDLED_TYPES[: gateway.MAX_EVENT_TYPES]
        database.release_connection()
        try:
            listed = gateway.event_page(types, at - _SILENT, None).events
        except gateway.StripeError as error:
            log.warning("Stripe's events could not be listed: %s", gateway.describe(error))
            return
        missing = sum(1 for event in listed if not events.ignore_reason(event))
    reports.store(_NAME, {"missing": missing})


def _past_due() -> Iterator[Problem]:
    past_due = select(func.count()).select_from(User)
    count = db.session.scalar(past_due.where(User.stripe_subscription_status == "past_due"))
    if count:
        yield Problem(
            f"{count} subscription{'s are' if count > 1 else ' is'} past due.",
            "Stripe tries to collect the payments again.",
            "admin.users",
            (("status", "past_due"),),
        )


def _wrong_revenue() -> Iterator[Problem]:
    latest = figures.latest()
    if latest and latest.mrr != latest.charged:
        yield Problem(
            "The movements of revenue do not add up to what the subscriptions pay.",
            "Run this command, then update the figures: flask billing rebuild-revenue",
        )


def _no_worker() -> Iterator[Problem]:
    overdue = jobs.overdue()
    advice = "Emails and repairs wait. Start the worker with: flask worker"
    if overdue is None:
        yield Problem("No worker has run yet.", advice)
    elif overdue > jobs.MAX_OVERDUE:
        minutes = overdue // timedelta(minutes=1)
        yield Problem(f"No worker has run a task for {minutes} minutes.", advice)


def _silence() -> Iterator[Problem]:
    report = db.session.get(StoredReport, _NAME)
    last = db.session.scalar(select(func.max(StripeEvent.received_at)))
    if not report or not report.content["missing"] or (last and last > now() - _SILENT):
        return
    yield Problem(
        "No webhook has arrived for a day, although Stripe has events.",
        "Find the reason with: flask billing doctor. Then run: flask billing catch-up",
    )


def _failed_events() -> Iterator[Problem]:
    failed = select(func.count(), func.max(StripeEvent.attempts)).select_from(StripeEvent)
    count, attempts = db.session.execute(
        failed.where(StripeEvent.processed_at.is_(None), StripeEvent.attempts > 0)
    ).one()
    if count:
        are_retried = attempts < MAX_ATTEMPTS
        yield Problem(
            f"{count} of Stripe's events could not be applied yet.",
            "They are tried again by themselves. See why:"
            if are_retried
            else "Some are not tried again any more. See why, and replay them:",
            "admin.events",
            (("state", "failed"),),
        )


def _old_emails() -> Iterator[Problem]:
    """Yield emails that keep failing or wait too long, except those that were just sent again."""
    ago = now() - _OLD_EMAIL
    late = or_(OutboxMessage.attempts > 0, OutboxMessage.due_at < ago)
    pending = select(func.count()).select_from(OutboxMessage)
    pending = pending.where(OutboxMessage.due_at.isnot(None), OutboxMessage.created_at < ago, late)
    if count := db.session.scalar(pending):
        yield Problem(
            f"{count} email{'s have' if count > 1 else ' has'} been waiting for over 15 minutes.",
            "They are tried again by themselves. See why:",
            "admin.emails",
            (("state", "pending"),),
        )


def _unsent_emails() -> Iterator[Problem]:
    """Yield emails that were given up on."""
    unsent = select(func.count()).select_from(OutboxMessage)
    unsent = unsent.where(
        OutboxMessage.id > database.first_id(now() - _GIVEN_UP),
        OutboxMessage.due_at.is_(None),
        OutboxMessage.last_error.isnot(None),
    )
    if count := db.session.scalar(unsent):
        yield Problem(
            f"{count} email{'s' if count > 1 else ''} of the last week could not be sent.",
            "Sending was given up. See why, and send again:",
            "admin.emails",
            (("state", "failed"), ("age", "week")),
        )

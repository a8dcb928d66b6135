"""Enqueue the emails that follow from a sync.

They depend on differences and on Stripe's state, never on single events. Each recorded change
causes one email, regardless of the number and order of the events that report it. A state that
appears and disappears between two syncs causes none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from saas import mail, products
from saas.billing.customers import Subscriber
from saas.billing.gateway import DUPLICATE, NOT_REFUNDED, Overdue, Subscription
from saas.billing.models import StripeEvent
from saas.charges import Purchase
from saas.database import db, now
from saas.mail.models import OutboxMessage
from saas.plans import Plan

Columns = Mapping[str, Any]

TRIAL_NOTICE = timedelta(days=3)  # like Stripe's trial_will_end
_ENTITLING = ("active", "trialing", "past_due")
_FAILURES = ("payment_failed", "action_required")
_NEWS_PERIOD = timedelta(days=30)


def enqueue_for_change(user: Subscriber, before: Columns, after: Columns, counter: int) -> None:
    """Enqueue the emails for a recorded change, in the transaction that records it."""
    if before == after:
        return
    for kind, context in _changes(before, after).items():
        mail.enqueue(kind, user.id, key=f"{user.id}:{counter}:{kind}", context=context)
    if _has_recovered(before, after):
        _enqueue_recovered(user, str(after["stripe_subscription_id"]))
    known = {purchase.session: purchase for purchase in _purchases(before)}
    for purchase in _purchases(after):
        _enqueue_for_purchase(user, known.get(purchase.session), purchase, counter)


def enqueue_for_reminders(
    user: Subscriber,
    after: Columns,
    subscriptions: Sequence[Subscription],
    overdue: Overdue | None,
    event_id: str | None,
) -> None:
    """Enqueue the emails about single objects in Stripe, once per object by their key."""
    subscription = after["stripe_subscription_id"]
    if overdue and overdue.invoice_id:
        kind = "action_required" if overdue.action_required else "payment_failed"
        context = {"invoice": overdue.invoice_id, "subscription": subscription}
        mail.enqueue(kind, user.id, key=f"{kind}:{overdue.invoice_id}", context=context)
    if _is_trial_ending(after, event_id):
        ends = after["stripe_current_period_end"].isoformat()
        context = {"subscription": subscription, "ends": ends}
        mail.enqueue(
            "trial_ending", user.id, key=f"trial_ending:{subscription}:{ends}", context=context
        )
    for ended in subscriptions:
        if ended.comment_on_end in (DUPLICATE, NOT_REFUNDED) and _is_recent(ended.ended_at):
            context = {"subscription": ended.id, "is_refused": ended.comment_on_end == NOT_REFUNDED}
            key = f"duplicate_refunded:{ended.id}"
            mail.enqueue("duplicate_refunded", user.id, key=key, context=context)


def _purchases(columns: Columns) -> list[Purchase]:
    return [Purchase.from_json(item) for item in columns["stripe_purchases"] or ()]


def _enqueue_for_purchase(
    user: Subscriber, old: Purchase | None, new: Purchase, counter: int
) -> None:
    """Enqueue the emails about a one-time purchase: it was paid, refunded or disputed.

    An old one that is new to us, after a restored backup for example, is no news.
    """
    if old is None and not _is_recent(new.paid_at):
        return
    before = old or replace(new, refunded=0, dispute="")
    context: dict[str, Any] = {"session": new.session}
    emails: dict[str, dict[str, Any]] = {}
    if old is None:
        emails["purchased"] = context
    if new.refunded > before.refunded:
        emails["purchase_refunded"] = context
    if new.refunded < before.refunded:
        emails["refund_failed"] = {**context, "amount": before.refunded - new.refunded}
    if new.dispute and new.dispute != before.dispute:
        emails["purchase_disputed"] = {**context, "outcome": new.dispute}
    for kind, values in emails.items():
        mail.enqueue(kind, user.id, key=f"{kind}:{new.session}:{counter}", context=values)


def _is_recent(ended_at: datetime | None) -> bool:
    return ended_at is not None and ended_at > now() - _NEWS_PERIOD


def _changes(before: Columns, after: Columns) -> dict[str, dict[str, Any]]:
    """Return the kinds of emails for a change, with their context."""
    had, has = _plan(before), _plan(after)
    emails: dict[str, dict[str, Any]] = {}
    if has and not had and before["stripe_subscription_status"] != "unpaid":
        emails["welcome"] = {"subscription": after["stripe_subscription_id"]}
    if had and not has:
        status = after["stripe_subscription_status"]
        emails["ended"] = {"price": before["stripe_price_id"], "status": status}
    if has and _was_cancelled(before, after) and not _is_covered(has, after):
        emails["cancellation"] = {
            "subscription": after["stripe_subscription_id"],
            "ends": after["stripe_cancel_at"].isoformat(),
        }
    return emails


def _plan(columns: Columns) -> Plan | None:
    """Return the plan that these columns give by status alone, without the grace period."""
    if columns["stripe_subscription_status"] not in _ENTITLING:
        return None
    sold = products.sold_as(columns["stripe_price_id"])
    return sold[0] if sold else None


def _is_covered(plan: Plan, columns: Columns) -> bool:
    """Return whether a one-time purchase gives the plan too, so that it does not end."""
    plans = [
        products.sold_as(purchase.price) for purchase in _purchases(columns) if purchase.is_valid
    ]
    access_plan = products.catalogue().access_plan
    return any(access_plan(sold[0]).includes(plan) for sold in plans if sold)


def _was_cancelled(before: Columns, after: Columns) -> bool:
    end = "stripe_subscription_id", "stripe_cancel_at"
    is_new = [before[name] for name in end] != [after[name] for name in end]
    return after["stripe_cancel_at"] is not None and is_new


def _has_recovered(before: Columns, after: Columns) -> bool:
    return (
        before["stripe_subscription_id"] == after["stripe_subscription_id"]
        and before["stripe_subscription_status"] in ("past_due", "unpaid")
        and after["stripe_subscription_status"] in ("active", "trialing")
    )


def _enqueue_recovered(user: Subscriber, subscription: str) -> None:
    """Enqueue the email about a recovery if one about the failure of its invoice was enqueued."""
    notices = db.session.scalars(
        select(OutboxMessage)
        .where(OutboxMessage.subject_id == user.id, OutboxMessage.kind.in_(_FAILURES))
        .order_by(OutboxMessage.created_at.desc())
    )
    for notice in notices:
        context = notice.context or {}
        if context.get("subscription") == subscription:
            invoice = context["invoice"]
            mail.enqueue(
                "recovered", user.id, key=f"recovered:{invoice}", context={"invoice": invoice}
            )
            return


def _is_trial_ending(after: Columns, event_id: str | None) -> bool:
    """Return whether the trial ends within three days by our clock, or Stripe says so."""
    if after["stripe_subscription_status"] != "trialing" or after["stripe_cancel_at"]:
        return False
    ends = after["stripe_current_period_end"]
    if ends is None:
        return False
    return ends - now() <= TRIAL_NOTICE or _is_trial_will_end(after, event_id)


def _is_trial_will_end(after: Columns, event_id: str | None) -> bool:
    event = db.session.get(StripeEvent, event_id) if event_id else None
    return (
        event is not None
        and event.type == "customer.subscription.trial_will_end"
        and event.object_id == after["stripe_subscription_id"]
    )

"""The emails that follow from a history, written from the specification and not from the code.

"Welcome" when access began, "ended" when it ended, "cancellation" when an end was set: one for each
recorded change, however many events and syncs said the same.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from saas.billing.models import SubscriptionChange
from saas.database import db
from saas.mail.models import OutboxMessage
from tests.billing.simulation.customer import Subscriber
from tests.harness.sample_product.catalogue import SOLO

FOLLOWING = ("welcome", "ended", "cancellation")
NOTICES = ("payment_failed", "action_required")


def assert_emails_match_history(subscriber: Subscriber) -> None:
    """Each recorded change has its emails exactly once, and there are no others.

    The history is deleted with its user; emails already enqueued stay in the outbox.
    """
    if subscriber.user() is None:
        return
    history = db.session.scalars(
        select(SubscriptionChange).where(SubscriptionChange.user_id == subscriber.id)
    ).all()
    expected = sorted(
        f"{subscriber.id}:{change.counter}:{kind}"
        for change in history
        for kind in _kinds(subscriber, change.before, change.after)
    )
    promised = db.session.execute(
        select(OutboxMessage.kind, OutboxMessage.key).where(
            OutboxMessage.subject_id == subscriber.id
        )
    ).all()
    assert sorted(key for kind, key in promised if kind in FOLLOWING) == expected
    _recoveries_follow_failures({key for _, key in promised})


def _kinds(subscriber: Subscriber, before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    had, has = _gives_access(subscriber, before), _gives_access(subscriber, after)
    kinds = set()
    if has and not had and before["stripe_subscription_status"] != "unpaid":
        kinds.add("welcome")
    if had and not has:
        kinds.add("ended")
    end = ("stripe_subscription_id", "stripe_cancel_at")
    is_new = [before[name] for name in end] != [after[name] for name in end]
    if has and after["stripe_cancel_at"] and is_new and not _is_covered(subscriber, after):
        kinds.add("cancellation")
    return kinds


def _is_covered(subscriber: Subscriber, columns: dict[str, Any]) -> bool:
    """Return whether a one-time purchase gives Solo too, so that Solo does not end."""
    return subscriber.world.plan_of(columns["stripe_price_id"]) == SOLO and any(
        item["refunded"] < item["amount"] and item["dispute"] != "lost"
        for item in columns["stripe_purchases"] or ()
    )


def _gives_access(subscriber: Subscriber, columns: dict[str, Any]) -> bool:
    known = subscriber.world.plan_of(columns["stripe_price_id"])
    return bool(known) and columns["stripe_subscription_status"] in (
        "active",
        "trialing",
        "past_due",
    )


def _recoveries_follow_failures(keys: set[str]) -> None:
    for key in keys:
        kind, _, invoice = key.partition(":")
        if kind == "recovered":
            assert any(f"{notice}:{invoice}" in keys for notice in NOTICES), key

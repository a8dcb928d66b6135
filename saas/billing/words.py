"""A subscription's state and its changes, in words for people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from flask import current_app
from sqlalchemy import select

from saas import plans
from saas.billing.models import SubscriptionChange
from saas.database import db
from saas.subscriber import Subscriber

_STATUS = {
    "active": "Active",
    "trialing": "Trial",
    "past_due": "Payment failed",
    "unpaid": "Unpaid",
    "paused": "Paused",
    "incomplete": "Waiting for the first payment",
    "incomplete_expired": "The first payment never came",
    "canceled": "Ended",
}


@dataclass(frozen=True)
class Line:
    """A line of the history."""

    at: datetime
    words: str


def status(person: Subscriber) -> str:
    """How the subscription stands, in a word or two; empty where there never was one."""
    if person.is_canceling and person.stripe_subscription_status in ("active", "trialing"):
        return "Ends soon"
    known = person.stripe_subscription_status
    return _STATUS.get(known, "Unknown") if known else ""


def history(person_id: UUID, limit: int = 20) -> list[Line]:
    """The latest changes of a person's subscription, newest first."""
    rows = db.session.execute(
        select(SubscriptionChange.at, SubscriptionChange.before, SubscriptionChange.after)
        .where(SubscriptionChange.user_id == person_id)
        .order_by(SubscriptionChange.at.desc())
        .limit(limit)
    )
    return [Line(row.at, change(row.before, row.after)) for row in rows]


def change(before: dict[str, Any], after: dict[str, Any]) -> str:
    """One change, told by the first rule that fits."""
    old, new = before["stripe_subscription_status"], after["stripe_subscription_status"]
    bought = _name(after["stripe_price_id"])
    if old != new:
        return _status_change(old, new, bought, before, after)
    if before["stripe_price_id"] != after["stripe_price_id"]:
        return f"Changed to {bought}"
    if after["stripe_cancel_at"] and not before["stripe_cancel_at"]:
        return f"Cancelled, with access until {_day(after['stripe_cancel_at'])}"
    if before["stripe_cancel_at"] and not after["stripe_cancel_at"]:
        return "Resumed: it renews as before"
    if before["stripe_current_period_end"] != after["stripe_current_period_end"]:
        return f"Renewed until {_day(after['stripe_current_period_end'])}"
    return "Updated"


def _status_change(
    old: str | None, new: str | None, bought: str, before: dict[str, Any], after: dict[str, Any]
) -> str:
    if new is None or new == "canceled":
        return f"{_name(before['stripe_price_id'])} ended"
    if new == "active":
        return "Payment received" if old in ("past_due", "unpaid") else f"Subscribed to {bought}"
    if new == "trialing":
        return f"Trial of {bought} began"
    if new == "past_due":
        return "A payment failed"
    return _STATUS.get(new, f"Status {new}")


def _name(price_id: str | None) -> str:
    sold = plans.sold_as(price_id, current_app.config["STRIPE_PRICES"])
    return f"{sold[0].name}, {sold[1]}" if sold else "the subscription"


def _day(value: str | None) -> str:
    return f"{datetime.fromisoformat(value):%-d %B %Y}" if value else "its end"

"""The history of a subscription, as sentences for the billing page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Integer, bindparam, select

from saas import database, jobs, products
from saas.billing.models import SubscriptionChange
from saas.charges import Purchase, Recurring
from saas.database import db
from saas.template_filters import day, discount, money, price

# Sentences by new status; {} is the plan.
_NEW_STATUS = {
    "trialing": "Trial of {} started",
    "past_due": "A payment failed",
    "unpaid": "Payment not received: {} is paused",
    "paused": "Trial ended without a payment method: {} is paused",
    "incomplete": "Chose {}. The first payment is pending",
    "incomplete_expired": "The first payment was not received",
}
# Sentences for subscriptions that became active, by previous status.
_BACK_TO_ACTIVE = {
    "past_due": "Payment received",
    "unpaid": "Payment received",
    "trialing": "The trial ended, and {} continues",
    "paused": "{} resumed",
}
# Sentences for subscriptions that ended, by previous status.
_ENDED = {
    "trialing": "The trial of {} ended",
    "past_due": "{} ended, after a payment failed",
    "unpaid": "{} ended, after a payment failed",
    "paused": "{} ended, without a payment method",
}
_DISPUTES = {
    "open": "was disputed",
    "won": "stands: the dispute was won",
    "lost": "was lost in a dispute",
    "": "stands: the bank's inquiry was closed",
}
KEPT = timedelta(days=3 * 365)
# Built once, because Billing asks it at each request.
_LATEST = (
    select(SubscriptionChange.at, SubscriptionChange.before, SubscriptionChange.after)
    .where(SubscriptionChange.user_id == bindparam("user_id"))
    .order_by(SubscriptionChange.at.desc())
    .limit(bindparam("limit", type_=Integer))
)


@dataclass(frozen=True)
class HistoryEntry:
    """A line of the history."""

    at: datetime
    words: str


def list_for_user(user_id: UUID, limit: int = 20) -> list[HistoryEntry]:
    """Return the latest changes of a user's subscription, newest first."""
    rows = db.session.execute(_LATEST, {"user_id": user_id, "limit": limit})
    return [HistoryEntry(row.at, describe(row.before, row.after)) for row in rows]


def describe(before: dict[str, Any], after: dict[str, Any]) -> str:
    """Describe one change by the first rule that matches."""
    if change := _purchase_change(before.get("stripe_purchases"), after.get("stripe_purchases")):
        return change
    bought = _name(after["stripe_price_id"])
    if before["stripe_subscription_status"] != after["stripe_subscription_status"]:
        return _status_change(bought, before, after)
    if before["stripe_price_id"] != after["stripe_price_id"]:
        return f"Changed to {bought}"
    if after.get("stripe_action_required") and not before.get("stripe_action_required"):
        return "Your bank requires you to confirm a payment"
    if before["stripe_cancel_at"] != after["stripe_cancel_at"]:
        return _cancel_change(before["stripe_cancel_at"], after["stripe_cancel_at"])
    old, new = before.get("stripe_recurring"), after.get("stripe_recurring")
    if old and new and old != new:
        return _charge_change(Recurring.from_json(old), Recurring.from_json(new))
    if before["stripe_current_period_end"] != after["stripe_current_period_end"]:
        return f"Renewed until {_day(after['stripe_current_period_end'])}"
    return "Updated"


def _purchase_change(
    before: list[dict[str, Any]] | None, after: list[dict[str, Any]] | None
) -> str | None:
    """Describe the first change of a one-time purchase; None if there is none.

    A refund comes first: of two payments in the same second, either may be the one that is kept.
    """
    known = {item["session"]: Purchase.from_json(item) for item in before or ()}
    for item in sorted(after or (), key=lambda item: Purchase.from_json(item).is_valid):
        new, old = Purchase.from_json(item), known.get(item["session"])
        if new != old and (plan := products.sold_as(new.price)):
            others = [Purchase.from_json(other) for other in after or () if other is not item]
            is_owned = any(other.price == new.price and other.is_valid for other in others)
            return _purchase_sentence(plan[0].name, old, new, is_owned=is_owned)
    return None


def _purchase_sentence(name: str, old: Purchase | None, new: Purchase, *, is_owned: bool) -> str:
    """Describe a change. With `is_owned`, another payment gives the same plan."""
    ended = "" if new.is_valid or is_owned else f": {name} ended"
    if old is None and new.is_valid:
        return f"Bought {name} for {money(new.amount, new.currency)}"
    before = old.refunded if old else 0
    if new.refunded < before:
        return f"The refund for {name} failed"
    if new.refunded > before:
        if is_owned and not new.is_valid:
            return f"{name} was paid twice, and the second payment was refunded"
        all_of_it = "Payment" if new.refunded >= new.amount else money(new.refunded, new.currency)
        return f"{all_of_it} for {name} refunded{ended}"
    return f"The payment for {name} {_DISPUTES[new.dispute]}{ended}"


def _cancel_change(old: str | None, new: str | None) -> str:
    if new is None:
        return "Resumed; renews as before"
    return f"End date changed to {_day(new)}" if old else f"Canceled, with access until {_day(new)}"


def _charge_change(old: Recurring, new: Recurring) -> str:
    now = price(new)
    if old.is_collected != new.is_collected:
        return "Payments resumed" if new.is_collected else "Payments paused"
    if old.quantity != new.quantity and new.quantity is not None:
        return f"Quantity changed to {new.quantity}" + (f": {now}" if now else "")
    if price(old) != now:
        return f"Price changed to {now}" if now else "Price changed"
    if added := [entry for entry in new.discounts if entry not in old.discounts]:
        return f"Discount: {discount(added[0], new.currency)}"
    return "Discount ended" if old.discounts != new.discounts else "Updated"


def _status_change(bought: str, before: dict[str, Any], after: dict[str, Any]) -> str:
    old, new = before["stripe_subscription_status"], after["stripe_subscription_status"]
    if new is None or new == "canceled":
        ended = _ENDED.get(old or "", "{} ended").format(_name(before["stripe_price_id"]))
        return ended[0].upper() + ended[1:]
    if new == "active":
        return _BACK_TO_ACTIVE.get(old or "", "Subscribed to {}").format(bought)
    if new == "past_due" and after.get("stripe_action_required"):
        return "Your bank requires you to confirm a payment"
    return _NEW_STATUS.get(str(new), f"The payment provider set {{}} to {new}").format(bought)


def _name(price_id: str | None) -> str:
    sold = products.sold_as(price_id)
    return f"{sold[0].name} ({sold[1]})" if sold else "another plan"


def _day(value: str | None) -> str:
    return day(datetime.fromisoformat(value)) if value else "its end"


@jobs.daily(at="03:30")
def delete_old_changes_of_subscriptions() -> None:
    """Delete changes that are too old to be of use."""
    database.delete_older(SubscriptionChange, KEPT)

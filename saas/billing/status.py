"""The meaning of the state of a user's plan, computed once for all pages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup, escape

from saas.subscriber import Subscriber
from saas.template_filters import date, price

_LABELS = {
    "active": "Active",
    "trialing": "Trial",
    "past_due": "Payment failed",
    "unpaid": "Unpaid",
    "paused": "Paused",
    "incomplete": "Waiting for the first payment",
}


@dataclass(frozen=True)
class Banner:
    """A notice above every signed-in page, with a button that opens the customer portal.

    With `resumes`, the button continues a paused subscription instead.
    """

    icon: str
    headline: str | Markup
    text: str | Markup
    button: str
    resumes: bool = False


@dataclass(frozen=True)
class SubscriptionStatus:
    """The state of a plan: a badge, the next date, and an action to take.

    `label` is empty without a subscription. `tone` is the variant of its badge. `date_label` says
    what happens on `date`, such as "Renews on".
    """

    label: str = ""
    tone: str = "secondary"
    date_label: str = ""
    date: datetime | None = None
    banner: Banner | None = None


def describe(user: Subscriber) -> SubscriptionStatus:
    """Return the status of a user's plan: of the subscription, or of what gives a higher plan."""
    if user.is_purchase_enough and user.plan == user.purchased and not _renews(user):
        ends = user.stripe_cancel_at if user.is_subscribed else None
        ends_on = "Subscription ends on" if ends else ""
        return SubscriptionStatus("Bought", "success", ends_on, ends, _banner(user))
    if user.granted and not user.subscription_plan.includes(user.plan):
        until = user.granted_until
        return SubscriptionStatus(
            "Granted", "success", "Until" if until else "", until, _banner(user)
        )
    label = _label(user)
    if not label:
        return SubscriptionStatus()
    date_label, at = _next_date(user)
    return SubscriptionStatus(label, _tone(user), date_label, at, _banner(user))


def _renews(user: Subscriber) -> bool:
    return user.is_subscribed and not user.is_canceling


def _label(user: Subscriber) -> str:
    if user.is_canceling and not user.is_past_due and user.has_paid_subscription:
        return "Ends soon"
    if user.is_collection_paused:
        return "Payments paused"
    return _LABELS.get(user.stripe_subscription_status or "", "")


def _tone(user: Subscriber) -> str:
    if user.is_past_due:
        return "destructive"
    if user.is_canceling or user.is_collection_paused:
        return "warning"
    return "success" if user.has_paid_subscription else "secondary"


def _next_date(user: Subscriber) -> tuple[str, datetime | None]:
    if user.is_past_due:
        return ("Pay by", user.access_ends_at) if user.has_paid_subscription else ("", None)
    if user.is_canceling:
        return "Ends on", user.stripe_cancel_at
    if user.is_trialing:
        return "Free until", user.stripe_current_period_end
    if user.is_collection_paused:
        return "Current period ends on", user.stripe_current_period_end
    if user.has_paid_subscription and user.stripe_current_period_end:
        return "Renews on", user.stripe_current_period_end
    return "", None


def _banner(user: Subscriber) -> Banner | None:
    plan = (user.subscribed_to or [user.subscription_plan])[0].name
    if user.is_past_due:
        return _payment_banner(user, plan)
    if user.stripe_subscription_status == "incomplete":
        text = f"{plan} starts as soon as it is."
        return Banner("hourglass", "Your payment is being confirmed.", text, "View the invoice")
    if user.is_paused:
        cost = price(user.recurring)
        text = (
            f"It continues for {cost}, charged now." if cost else "It is charged when you continue."
        )
        continues = f"Continue with {plan}"
        return Banner("triangle-alert", f"{plan} is paused.", text, continues, resumes=True)
    if user.is_canceling and user.stripe_cancel_at and not user.is_purchase_enough:
        headline = escape(plan) + Markup(" ends on ") + date(user.stripe_cancel_at) + "."
        keep = f"Keep {plan}"
        return Banner("calendar-clock", headline, "Nothing changes until then.", keep)
    return None


def _payment_banner(user: Subscriber, plan: str) -> Banner:
    asks_bank = bool(user.stripe_action_required)
    headline = "Your last payment failed."
    if asks_bank:
        headline = "Your bank requires you to confirm the payment."
    if user.has_paid_subscription and user.access_ends_at:
        text = escape(f"You keep {plan} until ") + date(user.access_ends_at) + ". "
    elif user.access_ends_at:
        text = escape(f"{plan} has been paused since ") + date(user.access_ends_at) + ". "
    else:
        text = escape(f"{plan} is paused. ")
    if asks_bank:
        advice, button = "Open the invoice in the portal to confirm it.", "Confirm the payment"
    elif user.has_paid_subscription:
        advice, button = "Update your payment method to keep it.", "Update payment method"
    else:
        advice, button = "Pay the open invoice to restore it.", "Pay now"
    return Banner("triangle-alert", headline, text + advice, button)

"""Why a user has access: each source, what it gives, and what the columns say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from flask import current_app

from saas.auth.models import User
from saas.billing import gateway, grants
from saas.plans import Plan
from saas.template_filters import day, money, price

_REASONS = {
    "cancellation_requested": "because it was canceled",
    "payment_disputed": "because a payment was disputed",
    "payment_failed": "because its payment failed",
}


@dataclass(frozen=True)
class Source:
    """A source of access: the plan that it gives now, or None, and the facts behind that."""

    name: str
    gives: Plan | None
    facts: list[tuple[str, str]]


def sources_of(user: User) -> list[Source]:
    """Return the subscription, the one-time purchases and the granted plan of a user."""
    return [*_subscription(user), *_purchases(user), *_grant(user)]


def end_of_subscription(user: User) -> str:
    """Ask Stripe when and why the user's subscription ended; empty unless it has ended.

    Raises `gateway.StripeError`. https://docs.stripe.com/api/subscriptions/object
    """
    if user.stripe_customer_id is None or user.stripe_subscription_status != "canceled":
        return ""
    for subscription in gateway.list_subscriptions(user.stripe_customer_id):
        if subscription.id == user.stripe_subscription_id and subscription.ended_at:
            why = _REASONS.get(subscription.reason_for_end or "", "for a reason it does not give")
            return f"The subscription ended on {day(subscription.ended_at)} (UTC), {why}."
    return ""


def stripe_url(kind: str, object_id: str) -> str:
    """Return the page of an object in Stripe's Dashboard, or in the sandbox.

    `kind` is "customers" or "subscriptions".
    """
    if current_app.config["STRIPE_IS_SANDBOX"]:
        return f"{current_app.config['SANDBOX_URL']}/stripe"
    mode = "" if gateway.is_live() else "test/"
    return f"https://dashboard.stripe.com/{mode}{kind}/{object_id}"


def _subscription(user: User) -> Iterator[Source]:
    if not user.stripe_subscription_id:
        return
    sold = user.subscribed_to
    gives = user.subscription_plan
    facts = [
        ("Plan", f"{sold[0].name}, {sold[1]}" if sold else "The price is not in the catalogue"),
        ("Status", user.stripe_subscription_status or "none"),
    ]
    if user.is_subscribed:
        facts.append(("Price", price(user.recurring) or "unknown"))
    period = "Trial ends" if user.is_trialing else "Period ends"
    dates = {
        period: user.stripe_current_period_end if user.is_subscribed else None,
        "Ends": user.stripe_cancel_at,
        "Past due since": user.stripe_past_due_since,
        "Access ends": user.access_ends_at,
    }
    facts += [(name, f"{day(at)} (UTC)") for name, at in dates.items() if at]
    facts += [
        ("Subscription", user.stripe_subscription_id),
        ("Price id", user.stripe_price_id or "none"),
    ]
    yield Source("Subscription", None if gives.is_free else gives, facts)


def _purchases(user: User) -> Iterator[Source]:
    for bought, plan in user.purchases:
        facts = [
            ("Plan", plan.name),
            ("Paid", f"{money(bought.amount, bought.currency)} on {day(bought.paid_at)} (UTC)"),
        ]
        if bought.refunded:
            facts.append(("Refunded", money(bought.refunded, bought.currency)))
        if bought.dispute:
            facts.append(("Dispute", bought.dispute))
        facts.append(("Payment", bought.payment or "none: it was free of charge"))
        gives = current_app.config["CATALOGUE"].access_plan(plan) if bought.is_valid else None
        yield Source("Purchase", gives, facts)


def _grant(user: User) -> Iterator[Source]:
    for granted in grants.list_for_user(user.id):
        if granted.ended_at is not None:
            continue
        until = f"{day(granted.until)} (UTC)" if granted.until else "for good"
        facts = [
            ("Plan", user.granted.name if user.granted else granted.plan),
            ("Until", until),
            ("Reason", granted.reason),
            ("Since", f"{day(granted.granted_at)} (UTC)"),
        ]
        yield Source("Granted plan", user.granted, facts)

"""Content of the billing emails: from plain values to HTML and text, without models or Stripe.

Amounts are in the smallest unit of their currency; dates are in UTC. Prices are the subscription's
own (`Charge`), never the catalogue's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from flask import current_app

from saas import mail, security
from saas.charges import NextInvoice, Purchase, Recurring
from saas.mail.transports import compose
from saas.plans import Plan
from saas.template_filters import amount, day, day_utc, discount, money, price


@dataclass(frozen=True)
class Charge:
    """The price of a subscription, as far as we know it."""

    recurring: Recurring | None = None
    next_invoice: NextInvoice | None = None

    @property
    def price(self) -> str:
        """The price, such as `$12 a month, 20% off until 1 May 2027 (UTC)`; empty if unknown."""
        text = price(self.recurring)
        if self.recurring is None or not text:
            return ""
        parts = [
            discount(reduction, self.recurring.currency)
            + (f" until {day_utc(reduction.ends)}" if reduction.ends else "")
            for reduction in self.recurring.discounts
        ]
        return f"{text}, {', '.join(parts)}" if parts else text

    @property
    def due(self) -> str:
        """The amount of the next invoice; empty if there is none."""
        invoice = self.next_invoice
        return money(invoice.amount_due, invoice.currency) if invoice else ""

    @property
    def due_on(self) -> str:
        return day_utc(self.next_invoice.date) if self.next_invoice else ""


def welcome(
    to: str, plan: Plan, charge: Charge, trial_ends: datetime | None, missing: str | None = None
) -> mail.Email:
    """Compose the email about a new plan.

    `missing` is Stripe's behaviour at the end of a trial without a payment method, or None.
    """
    return compose(
        to,
        f"Your trial of {plan.name} has begun" if trial_ends else f"You are on {plan.name}",
        "welcome",
        plan=plan,
        charge=charge,
        trial_ends=day_utc(trial_ends) if trial_ends else None,
        missing=missing,
        dashboard=security.public_url("users.dashboard"),
        billing=_billing(),
    )


def payment_problem(
    to: str,
    kind: str,
    plan: Plan,
    due: tuple[int, str],
    page: str,
    access_ends: datetime | None,
    *,
    is_first: bool = False,
) -> mail.Email:
    """Compose the email about a failed or unconfirmed payment (`kind`).

    `access_ends` is None if access has ended. With `is_first`, the plan starts with this payment.
    """
    waits = kind == "action_required"
    return compose(
        to,
        f"Confirm your payment for {plan.name}"
        if waits
        else f"Your payment for {plan.name} failed",
        kind,
        plan=plan,
        amount=amount(*due),
        page=page,
        access_ends=day_utc(access_ends) if access_ends else None,
        is_first=is_first,
        billing=_billing(),
    )


def recovered(to: str, plan: Plan, paid: int, currency: str) -> mail.Email:
    """Compose the email about a recovered payment."""
    return compose(
        to,
        f"Your payment for {plan.name} has arrived",
        "recovered",
        plan=plan,
        amount=amount(paid, currency),
        billing=_billing(),
    )


def cancellation(to: str, plan: Plan, charge: Charge, ends: datetime) -> mail.Email:
    """Compose the email about a scheduled end, which may be after the next invoice."""
    upcoming = charge.next_invoice
    return compose(
        to,
        f"{plan.name} is canceled and ends on {day(ends)}",
        "cancellation",
        plan=plan,
        charge=charge,
        ends=day_utc(ends),
        renews_before=upcoming is not None and upcoming.date < ends,
        billing=_billing(),
    )


def ended(to: str, plan: Plan | None, status: str | None, now_on: Plan) -> mail.Email:
    """Compose the email about the end of a plan. `status` is None for a deleted customer.

    `now_on` is the plan that the user has afterwards.
    """
    name = plan.name if plan else "Your plan"
    is_paused = status == "paused"
    return compose(
        to,
        f"{name} is paused" if is_paused else f"{name} has ended",
        "ended",
        name=name,
        is_paused=is_paused,
        is_unpaid=status == "unpaid",
        now_on="the free plan" if now_on.is_free else now_on.name,
        pricing=security.public_url("site.pricing"),
        billing=_billing(),
    )


def trial_ending(
    to: str, plan: Plan, charge: Charge, ends: datetime, missing: str | None = None
) -> mail.Email:
    """Compose the email about the end of a trial, which asks for a payment method if needed.

    `missing` is what Stripe does without one: `cancel`, `pause`, or None if there is one.
    """
    return compose(
        to,
        f"Your trial of {plan.name} ends on {day(ends)}",
        "trial_ending",
        plan=plan,
        charge=charge,
        ends=day_utc(ends),
        missing=missing,
        billing=_billing(),
    )


def duplicate_refunded(
    to: str, given_back: tuple[int, str] | None, *, is_refused: bool = False
) -> mail.Email:
    """Compose the email about a canceled duplicate. `given_back` is the amount, if known."""
    is_refunded = not is_refused and (given_back is None or given_back[0] > 0)
    return compose(
        to,
        "A second subscription was ended" + (" and refunded" if is_refunded else ""),
        "duplicate_refunded",
        amount=amount(*given_back) if given_back and is_refunded else None,
        is_refunded=is_refunded,
        is_refused=is_refused,
        contact=current_app.config["SUPPORT_EMAIL"],
        billing=_billing(),
    )


def purchased(
    to: str, plan: Plan, purchase: Purchase, ending: Plan | None, ends: datetime | None
) -> mail.Email:
    """Compose the email about a one-time purchase. `ending` is a subscription that it replaces."""
    return compose(
        to,
        f"You have bought {plan.name}",
        "purchased",
        plan=plan,
        amount=amount(purchase.amount, purchase.currency),
        ending=ending.name if ending and ends else None,
        ends=day_utc(ends) if ends else None,
        billing=_billing(),
    )


def purchase_refunded(
    to: str, plan: Plan, purchase: Purchase, now_on: Plan, *, is_second: bool = False
) -> mail.Email:
    """Compose the email about a refund. `now_on` is the plan that the user has afterwards.

    With `is_second`, the plan was paid twice, and the first payment still gives it.
    """
    refunded = "Your payment" if purchase.refunded >= purchase.amount else "A part of your payment"
    if is_second:
        refunded = "Your second payment"
    return compose(
        to,
        f"{refunded} for {plan.name} was refunded",
        "purchase_refunded",
        plan=plan,
        amount=amount(purchase.refunded, purchase.currency),
        refunded=refunded,
        is_second=is_second,
        is_kept=is_second or purchase.is_valid,
        now_on=now_on.name,
        billing=_billing(),
    )


def refund_failed(to: str, plan: Plan, returned: tuple[int, str]) -> mail.Email:
    """Compose the email about a refund that the user's bank has refused."""
    return compose(
        to,
        f"Your refund for {plan.name} failed",
        "refund_failed",
        plan=plan,
        amount=amount(*returned),
        contact=current_app.config["SUPPORT_EMAIL"],
        billing=_billing(),
    )


def purchase_disputed(to: str, plan: Plan, purchase: Purchase, now_on: Plan) -> mail.Email:
    """Compose the email about an open, won or lost dispute of a one-time payment."""
    subjects = {
        "open": f"Your bank disputes your payment for {plan.name}",
        "won": f"Your payment for {plan.name} stands",
        "lost": f"{plan.name} has ended",
    }
    return compose(
        to,
        subjects[purchase.dispute],
        "purchase_disputed",
        plan=plan,
        amount=amount(purchase.amount, purchase.currency),
        outcome=purchase.dispute,
        now_on=now_on.name,
        contact=current_app.config["SUPPORT_EMAIL"],
        billing=_billing(),
    )


def _billing() -> str:
    return security.public_url("billing.overview")

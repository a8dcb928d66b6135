"""Sample emails of billing for `flask mail preview`."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from flask import current_app

from saas import mail, products
from saas.billing.emails import messages
from saas.billing.emails.messages import Charge
from saas.charges import NextInvoice, Purchase, Recurring
from saas.plans import Plan

_TO = "ada@example.com"
_DAY = datetime(2030, 5, 17, 9, 30, tzinfo=UTC)


@mail.preview("welcome")
def welcome() -> mail.Email:
    return messages.welcome(_TO, _plan(), _charge(), None)


@mail.preview("payment_failed")
def payment_failed() -> mail.Email:
    return messages.payment_problem(_TO, "payment_failed", _plan(), _due(), _page(), _DAY)


@mail.preview("action_required")
def action_required() -> mail.Email:
    return messages.payment_problem(_TO, "action_required", _plan(), _due(), _page(), _DAY)


@mail.preview("recovered")
def recovered() -> mail.Email:
    return messages.recovered(_TO, _plan(), *_due())


@mail.preview("cancellation")
def cancellation() -> mail.Email:
    return messages.cancellation(_TO, _plan(), Charge(), _DAY)


@mail.preview("ended")
def ended() -> mail.Email:
    return messages.ended(_TO, _plan(), "canceled", products.catalogue().free)


@mail.preview("trial_ending")
def trial_ending() -> mail.Email:
    return messages.trial_ending(_TO, _plan(), _charge(), _DAY)


@mail.preview("duplicate_refunded")
def duplicate_refunded() -> mail.Email:
    return messages.duplicate_refunded(_TO, _due())


@mail.preview("purchased")
def purchased() -> mail.Email:
    return messages.purchased(_TO, _plan_sold_once(), _purchase(), _plan(), _DAY)


@mail.preview("purchase_refunded")
def purchase_refunded() -> mail.Email:
    refunded = replace(_purchase(), refunded=_purchase().amount)
    return messages.purchase_refunded(_TO, _plan_sold_once(), refunded, products.catalogue().free)


@mail.preview("refund_failed")
def refund_failed() -> mail.Email:
    purchase = _purchase()
    return messages.refund_failed(_TO, _plan_sold_once(), (purchase.amount, purchase.currency))


@mail.preview("purchase_disputed")
def purchase_disputed() -> mail.Email:
    disputed = replace(_purchase(), dispute="open")
    plan = _plan_sold_once()
    return messages.purchase_disputed(_TO, plan, disputed, plan)


def _purchase() -> Purchase:
    price = next(iter(_plan_sold_once().prices.values()), 0)
    currency = products.catalogue().currency
    return Purchase("cs_sample", "price_sample", _DAY, price, currency, payment="pi_sample")


def _plan_sold_once() -> Plan:
    """Return the lowest one-time plan, or the lowest plan if none is sold."""
    for_sale = products.catalogue().for_sale
    return next((plan for plan in for_sale if plan.is_one_time), _plan())


def _plan() -> Plan:
    """Return the lowest plan for sale, or the free one if none is for sale."""
    catalogue = products.catalogue()
    return next(iter(catalogue.for_sale), catalogue.free)


def _due() -> tuple[int, str]:
    """Return the plan's price and currency."""
    return next(iter(_plan().prices.values()), 0), products.catalogue().currency


def _charge() -> Charge:
    amount, currency = _due()
    interval = "month" if _plan().monthly else "year"
    return Charge(
        Recurring(amount, amount, currency, interval), NextInvoice(amount, currency, date=_DAY)
    )


def _page() -> str:
    """Return a placeholder URL for a hosted invoice page."""
    if current_app.config["STRIPE_IS_SANDBOX"]:
        return f"{current_app.config['SANDBOX_URL']}/stripe/invoices/in_1SampleOfAnInvoice00"
    return "https://invoice.stripe.com/i/acct_sample/test_sample"

"""Made-up mails of billing, for `flask mail preview`: of the real shape, about nobody."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import current_app

from saas import mail, plans
from saas.billing.letters import wording
from saas.billing.letters.wording import Charge
from saas.charges import NextInvoice, Recurring

_TO = "ada@example.com"
_DAY = datetime(2030, 5, 17, 9, 30, tzinfo=UTC)
_PLAN = next(iter(plans.FOR_SALE), plans.FREE)
_DUE = (1500, "usd")
_CHARGE = Charge(Recurring(1500, 1500, "usd", "month"), NextInvoice(*_DUE, date=_DAY))


@mail.sample("welcome")
def welcome() -> mail.Letter:
    return wording.welcome(_TO, _PLAN, _CHARGE, None)


@mail.sample("payment_failed")
def payment_failed() -> mail.Letter:
    return wording.payment_problem(_TO, "payment_failed", _PLAN, _DUE, _page(), _DAY)


@mail.sample("action_required")
def action_required() -> mail.Letter:
    return wording.payment_problem(_TO, "action_required", _PLAN, _DUE, _page(), _DAY)


@mail.sample("recovered")
def recovered() -> mail.Letter:
    return wording.recovered(_TO, _PLAN, *_DUE)


@mail.sample("cancellation")
def cancellation() -> mail.Letter:
    return wording.cancellation(_TO, _PLAN, Charge(), _DAY)


@mail.sample("ended")
def ended() -> mail.Letter:
    return wording.ended(_TO, _PLAN, "canceled")


@mail.sample("trial_ending")
def trial_ending() -> mail.Letter:
    return wording.trial_ending(_TO, _PLAN, _CHARGE, _DAY)


@mail.sample("second_refunded")
def second_refunded() -> mail.Letter:
    return wording.second_refunded(_TO, (1500, "usd"))


def _page() -> str:
    """Where a hosted invoice page would be; this one shows that there is none."""
    if current_app.config["STRIPE_IS_SANDBOX"]:
        return f"{current_app.config['SANDBOX_URL']}/stripe/invoices/in_1SampleOfAnInvoice00"
    return "https://invoice.stripe.com/i/acct_sample/test_sample"

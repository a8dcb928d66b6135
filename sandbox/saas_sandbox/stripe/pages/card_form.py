"""The card form of checkout, portal and invoice."""

from flask import request

from saas_sandbox.stripe.engine import payment_methods
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.cards import BANK_BY_NUMBER, BY_NUMBER
from saas_sandbox.stripe.engine.errors import StripeError
from saas_sandbox.stripe.engine.resource import Resource

REFUSED = (
    "We are unable to authenticate your payment method. "
    "Please choose a different payment method and try again."
)


def method(account: Account, clock: str | None) -> Resource:
    """Return the payment method of the entered number, not attached yet."""
    number = "".join(request.form.get("number", "").split())
    if number in BANK_BY_NUMBER:
        return account.add(payment_methods.from_bank(account, BANK_BY_NUMBER[number], clock))
    if number in BY_NUMBER:
        return account.add(payment_methods.from_card(account, BY_NUMBER[number], clock))
    if len(number) < 12:
        raise StripeError("Your card number is incomplete.")
    raise StripeError(
        "Your card number is invalid. The sandbox only accepts Stripe's test numbers, "
        "such as 4242 4242 4242 4242."
    )


def asks_owner(method: Resource | None) -> bool:
    """Return whether authentication is still required; raise if it was refused."""
    if method is None:
        return False
    if payment_methods.behaviour(method).get("authentication", "never") == "never":
        return False
    confirmed = request.form.get("confirmed")
    if confirmed == "no":
        raise StripeError(REFUSED)
    return confirmed != "yes"

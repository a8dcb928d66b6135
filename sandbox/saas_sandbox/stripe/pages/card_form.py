"""The card form of checkout, portal and invoice."""

from flask import request

from saas_sandbox.stripe.engine import payment_methods
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.cards import BANKS_BY_NUMBER, CARDS_BY_NUMBER
from saas_sandbox.stripe.engine.errors import StripeError
from saas_sandbox.stripe.engine.resource import Resource

AUTHENTICATION_FAILED = (
    "We are unable to authenticate your payment method. "
    "Please choose a different payment method and try again."
)


def create_payment_method(account: Account, clock: str | None) -> Resource:
    """Return the payment method of the entered number, not attached yet."""
    number = "".join(request.form.get("number", "").split())
    if number in BANKS_BY_NUMBER:
        return account.add(payment_methods.build_from_bank(account, BANKS_BY_NUMBER[number], clock))
    if number in CARDS_BY_NUMBER:
        return account.add(payment_methods.build_from_card(account, CARDS_BY_NUMBER[number], clock))
    if len(number) < 12:
        raise StripeError("Your card number is incomplete.")
    raise StripeError(
        "Your card number is invalid. The sandbox only accepts Stripe's test numbers, "
        "such as 4242 4242 4242 4242."
    )


def needs_confirmation(method: Resource | None) -> bool:
    """Return whether authentication is still required; raise if it was refused."""
    if method is None:
        return False
    if payment_methods.get_behaviour(method).get("authentication", "never") == "never":
        return False
    confirmed = request.form.get("confirmed")
    if confirmed == "no":
        raise StripeError(AUTHENTICATION_FAILED)
    return confirmed != "yes"

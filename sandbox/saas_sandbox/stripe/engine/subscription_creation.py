"""Create a subscription, by the API or by Checkout."""

from saas_sandbox.stripe.engine import billing_cycle, collection, lifecycle, payment_methods
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.cards import Decline
from saas_sandbox.stripe.engine.errors import StripeError
from saas_sandbox.stripe.engine.payments import Outcome
from saas_sandbox.stripe.engine.resource import Resource

NEEDS_ACTION = Decline(
    "subscription_payment_intent_requires_action",
    None,
    "Payment for this subscription requires additional user action before it can be completed "
    "successfully. Payment can be completed using the PaymentIntent associated with "
    "subscription.latest_invoice.",
)
NO_METHOD = StripeError(
    "This customer has no attached payment source or default payment method. Please consider "
    "adding a default payment method.",
    code="resource_missing",
)


def by_api(
    account: Account,
    subscription: Resource,
    customer: Resource,
    behaviour: str,
    *,
    prorate: bool = True,
) -> Resource:
    """Create it incomplete or trialing, then pay according to `payment_behavior`.

    https://docs.stripe.com/api/subscriptions/create – default_incomplete leaves the first attempt
    to the caller; error_if_incomplete refuses everything if it fails.
    """
    invoice = billing_cycle.begin(account, subscription, customer, prorate=prorate)
    billing_cycle.announce_start(account, subscription)
    collection.open_up(account, invoice)
    if invoice["status"] == "paid" or behaviour == "default_incomplete":
        return subscription
    if subscription["collection_method"] == "send_invoice":
        return subscription

    method = collection.method_for(account, invoice)
    if method is None:
        raise NO_METHOD
    outcome = collection.collect(account, invoice, method=method)
    if behaviour == "error_if_incomplete":
        _insist(outcome)
    note_processing(account, subscription, outcome)
    return subscription


def by_checkout(
    account: Account, subscription: Resource, customer: Resource, method: Resource | None
) -> Outcome:
    """Create it after the payment: since basil, Checkout collects the payment first.

    The customer is present, so any authentication has already happened.
    """
    delayed = method is not None and payment_methods.behaviour(method)["delayed"]
    if subscription["status"] == "incomplete" and not delayed:
        subscription["status"] = "active"

    invoice = billing_cycle.begin(account, subscription, customer)
    outcome = Outcome("succeeded")
    if invoice["amount_due"]:
        outcome = collection.collect(account, invoice, method=method, authenticated=True)
        _insist(outcome)
    else:
        collection.open_up(account, invoice)
        if method:
            method["_internal"]["set_up"] = True
            account.save(method)
    note_processing(account, subscription, outcome)
    billing_cycle.announce_start(account, subscription)
    return outcome


def note_processing(account: Account, subscription: Resource, outcome: Outcome) -> None:
    """ "Subscriptions can also be incomplete if there's a pending payment": that one may wait."""
    if outcome.kind == "processing":
        subscription["_internal"]["processing"] = True
        lifecycle.keep(account, subscription)


def _insist(outcome: Outcome) -> None:
    if outcome.kind == "requires_action":
        raise NEEDS_ACTION.error()
    if outcome.decline:
        raise outcome.decline.error()

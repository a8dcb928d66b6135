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
NO_PAYMENT_METHOD = StripeError(
    "This customer has no attached payment source or default payment method. Please consider "
    "adding a default payment method.",
    code="resource_missing",
)


def create_by_api(
    account: Account,
    subscription: Resource,
    customer: Resource,
    behaviour: str,
    *,
    prorate: bool = True,
) -> Resource:
    """Create a subscription incomplete or trialing, then pay according to `payment_behavior`.

    https://docs.stripe.com/api/subscriptions/create – default_incomplete leaves the first attempt
    to the caller; error_if_incomplete refuses the whole call if the payment fails.
    """
    invoice = billing_cycle.create_with_first_invoice(
        account, subscription, customer, prorate=prorate
    )
    billing_cycle.emit_created(account, subscription)
    collection.finalize_for_payment(account, invoice)
    by_invoice = subscription["collection_method"] == "send_invoice"
    if by_invoice or invoice["status"] == "paid" or behaviour == "default_incomplete":
        return subscription

    method = collection.find_payment_method(account, invoice)
    if method is None:
        raise NO_PAYMENT_METHOD
    outcome = collection.collect_invoice(account, invoice, method=method)
    if behaviour == "error_if_incomplete":
        _raise_on_failure(outcome)
    mark_processing(account, subscription, outcome)
    return subscription


def create_by_checkout(
    account: Account, subscription: Resource, customer: Resource, method: Resource | None
) -> Outcome:
    """Create a subscription after the payment: since basil, Checkout collects the payment first.

    The customer is present, so any authentication has already happened.
    """
    delayed = method is not None and payment_methods.get_behaviour(method)["delayed"]
    if subscription["status"] == "incomplete" and not delayed:
        subscription["status"] = "active"

    invoice = billing_cycle.create_with_first_invoice(account, subscription, customer)
    outcome = Outcome("succeeded")
    if invoice["amount_due"]:
        outcome = collection.collect_invoice(account, invoice, method=method, authenticated=True)
        _raise_on_failure(outcome)
    else:
        collection.finalize_for_payment(account, invoice)
        if method:
            method["_internal"]["set_up"] = True
            account.save(method)
    mark_processing(account, subscription, outcome)
    billing_cycle.emit_created(account, subscription)
    return outcome


def mark_processing(account: Account, subscription: Resource, outcome: Outcome) -> None:
    """ "Subscriptions can also be incomplete if there's a pending payment": it must not expire."""
    if outcome.kind == "processing":
        subscription["_internal"]["processing"] = True
        lifecycle.save_subscription(account, subscription)


def _raise_on_failure(outcome: Outcome) -> None:
    if outcome.kind == "requires_action":
        raise NEEDS_ACTION.error()
    if outcome.decline:
        raise outcome.decline.error()

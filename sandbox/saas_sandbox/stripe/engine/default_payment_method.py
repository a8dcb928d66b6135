"""Change a customer's default payment method."""

from saas_sandbox.stripe.engine import lifecycle, payment_methods
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.resource import Resource


def set_default_payment_method(account: Account, customer: Resource, method: Resource) -> None:
    """Make a method the default of the customer and of every live subscription."""
    payment_methods.attach_stored_method(account, method, customer)
    method["_internal"]["set_up"] = True
    account.save(method)
    customer["invoice_settings"]["default_payment_method"] = method["id"]
    account.save(customer, "customer.updated")
    for subscription in account.select("subscription", "customer = ?", customer["id"]):
        if not lifecycle.is_ended(subscription):
            subscription["default_payment_method"] = method["id"]
            lifecycle.save_subscription(account, subscription)

"""Change a customer's default payment method."""

from saas_sandbox.stripe.engine import lifecycle, payment_methods
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.resource import Resource


def use_from_now_on(account: Account, customer: Resource, method: Resource) -> None:
    """Make a method the default of the customer and of every live subscription."""
    payment_methods.attach_stored(account, method, customer)
    method["_internal"]["set_up"] = True
    account.save(method)
    customer["invoice_settings"]["default_payment_method"] = method["id"]
    account.save(customer, "customer.updated")
    for subscription in account.select("subscription", "customer = ?", customer["id"]):
        if not lifecycle.is_over(subscription):
            subscription["default_payment_method"] = method["id"]
            lifecycle.keep(account, subscription)

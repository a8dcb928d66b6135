"""Customers. https://docs.stripe.com/api/customers"""

from stripe import params as shape

from saas_sandbox.stripe.api import pagination
from saas_sandbox.stripe.api.operations import operation
from saas_sandbox.stripe.engine import lifecycle, metadata, payment_methods
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.customers import build_customer, validate_field
from saas_sandbox.stripe.engine.params import Params
from saas_sandbox.stripe.engine.resource import Resource

CUSTOMER_FIELDS = (
    "address", "balance", "description", "email", "name", "next_invoice_sequence", "phone",
    "preferred_locales", "shipping", "tax_exempt",
)  # fmt: skip


@operation("POST", "/customers", shape.CustomerCreateParams)
def create(account: Account, params: Params) -> Resource:
    clock = params.get("test_clock")
    if clock:
        account.get_undeleted("test_helpers.test_clock", clock, "test_clock")
    customer = build_customer(account, clock)
    _apply_params(account, customer, params)
    account.add(customer, "customer.created")
    method = params.get("payment_method")
    attached = (
        payment_methods.attach_payment_method(account, method, customer)["id"] if method else None
    )
    _set_default_payment_method(account, customer, params, {method: attached})
    return account.save(customer)


@operation("GET", "/customers/<id>", shape.CustomerRetrieveParams)
def retrieve(account: Account, params: Params, id: str) -> Resource:
    return account.get("customer", id)


@operation("POST", "/customers/<id>", shape.CustomerUpdateParams)
def update(account: Account, params: Params, id: str) -> Resource:
    customer = account.get_undeleted("customer", id)
    _apply_params(account, customer, params)
    _set_default_payment_method(account, customer, params)
    return account.save(customer, "customer.updated")


@operation("DELETE", "/customers/<id>", shape.CustomerDeleteParams)
def delete(account: Account, params: Params, id: str) -> Resource:
    """ "Permanently deletes a customer. It cannot be undone. Also immediately cancels any active
    subscriptions on the customer."
    """
    customer = account.get_undeleted("customer", id)
    for subscription in account.select("subscription", "customer = ?", id):
        if not lifecycle.is_ended(subscription):
            lifecycle.cancel_subscription(account, subscription, reason="cancellation_requested")
    return account.delete(customer, "customer.deleted")


@operation("GET", "/customers", shape.CustomerListParams)
def list_all(account: Account, params: Params) -> Resource:
    """ "The response will not include customers with test clocks if this parameter isn't set." """
    equal = {"lookup": params.get("email"), "clock": params.get("test_clock", "")}
    return pagination.list_page(account, "customer", "/v1/customers", params, **equal)


def _apply_params(account: Account, customer: Resource, params: Params) -> None:
    validate_field("email", params.get("email"))
    params.copy_to(customer, *CUSTOMER_FIELDS)
    customer["address"] = payment_methods.complete_address(customer["address"])
    if shipping := customer["shipping"]:
        customer["shipping"] = {
            "phone": None,
            **shipping,
            "address": payment_methods.complete_address(shipping["address"]),
        }
    metadata.update_metadata(customer, params)
    customer.setdefault("_internal", {})["lookup"] = customer["email"]


def _set_default_payment_method(
    account: Account,
    customer: Resource,
    params: Params,
    attached: dict[str, str | None] | None = None,
) -> None:
    """Set the default; `attached` maps test ids such as pm_card_visa to attached methods."""
    settings = params.section("invoice_settings")
    if "default_payment_method" in settings:
        method = settings["default_payment_method"]
        method = (attached or {}).get(method) or method
        if method:
            payment_methods.get_owned_method(
                account, method, customer, "invoice_settings[default_payment_method]"
            )
        customer["invoice_settings"]["default_payment_method"] = method or None
    settings.copy_to(customer["invoice_settings"], "footer", "custom_fields")

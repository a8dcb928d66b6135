"""Managed Payments, in which Stripe sells as the merchant of record.

https://docs.stripe.com/payments/managed-payments/update-checkout#remove-unsupported-parameters
"""

from typing import Any

from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.errors import StripeError, invalid
from saas_sandbox.stripe.engine.params import Params

# Parameters that Stripe decides itself. `custom_text` and `allowed_payment_method_types` are not in
# the documentation's table, but Stripe refuses them with the same message.
UNSUPPORTED = (
    "adaptive_pricing", "allowed_payment_method_types", "automatic_tax", "custom_text",
    "customer_update[address]", "customer_update[name]", "invoice_creation",
    "payment_method_configuration", "payment_method_types", "shipping_address_collection",
    "shipping_options", "tax_id_collection",
)  # fmt: skip
UNSUPPORTED_BY_MODE = {
    "subscription": (
        "payment_method_options", "subscription_data[application_fee_percent]",
        "subscription_data[default_tax_rates]", "subscription_data[invoice_settings]",
        "subscription_data[on_behalf_of]", "subscription_data[transfer_data]",
    ),
    "payment": (
        "excluded_payment_method_types", "payment_intent_data[application_fee_amount]",
        "payment_intent_data[on_behalf_of]", "payment_intent_data[receipt_email]",
        "payment_intent_data[setup_future_usage]", "payment_intent_data[shipping]",
        "payment_intent_data[statement_descriptor]",
        "payment_intent_data[statement_descriptor_suffix]", "payment_intent_data[transfer_data]",
        "payment_intent_data[transfer_group]",
    ),
}  # fmt: skip


def parse_managed_payments(
    account: Account, params: Params, mode: str, lines: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return the fields of the session; refuse what Managed Payments does not allow."""
    if "managed_payments" not in params:
        return {}
    if not params["managed_payments"].get("enabled", False):
        return {"managed_payments": {"enabled": False}}
    if mode not in UNSUPPORTED_BY_MODE:
        raise invalid(
            f"Managed Payments cannot be used in `{mode}` mode.", "managed_payments[enabled]"
        )
    _check_params(params, mode)
    _check_tax_codes(account, lines)
    tax = {"enabled": True, "liability": None, "provider": "stripe", "status": "complete"}
    return {"managed_payments": {"enabled": True}, "automatic_tax": tax}


def _check_params(params: Params, mode: str) -> None:
    for path in (*UNSUPPORTED, *UNSUPPORTED_BY_MODE[mode]):
        section, _, name = path.rstrip("]").partition("[")
        if section in params and (not name or name in params.section(section)):
            raise _incompatible(path)
    options = params.section("payment_method_options")
    for method in options if mode == "payment" else ():
        if "setup_future_usage" in options.section(method):
            raise _incompatible(f"payment_method_options[{method}][setup_future_usage]")


def _check_tax_codes(account: Account, lines: list[dict[str, Any]]) -> None:
    for number, line in enumerate(lines):
        product = account.get("product", account.get("price", line["price"])["product"])
        if not product["tax_code"]:
            raise invalid(
                f"Invalid line_items[{number}]: the product tax code is missing. Set the product's "
                "tax_code field to an eligible product tax code (more details: https://docs.stripe."
                "com/payments/managed-payments/eligibility#product-tax-code-requirements). "
                "Product tax code is required for Managed Payments.",
                f"line_items[{number}]",
            )


def _incompatible(path: str) -> StripeError:
    return invalid(f"{path} cannot be used with Managed Payments.", path)

"""Automatic tax: one flat rate, from the account's settings.

Real tax depends on the customer's location. The sandbox only adds a consistent tax line.
"""

from decimal import Decimal
from typing import Any

from saas_sandbox.stripe.engine import invoice_lines
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.errors import invalid
from saas_sandbox.stripe.engine.resource import Resource


def check_head_office(account: Account, enabled: bool) -> None:
    """Refuse automatic tax without a head office."""
    head_office = account.settings["tax_settings"].get("head_office") or {}
    if enabled and not head_office.get("address"):
        raise invalid(
            "You must have a valid head office address to enable automatic tax calculation in test "
            "mode. Visit https://dashboard.stripe.com/test/settings/tax to update it.",
            "automatic_tax",
        )


def apply_to_invoice(account: Account, invoice: Resource, customer: Resource) -> None:
    """Add tax to an invoice after discounts."""
    if not invoice["automatic_tax"]["enabled"]:
        return

    invoice["automatic_tax"]["status"] = "complete"
    discount = sum(entry["amount"] for entry in invoice["total_discount_amounts"])
    base = sum(line["amount"] for line in invoice["lines"]["data"]) - discount
    tax = calculate_tax(account, base, customer)
    if tax:
        invoice["total_taxes"] = [_build_tax(tax, base)]


def calculate_tax(account: Account, base: int, customer: Resource | None = None) -> int:
    """Return the tax on an amount."""
    percent = account.settings["tax_percent"]
    exempt = customer is not None and customer["tax_exempt"] != "none"
    if not percent or exempt:
        return 0
    return invoice_lines.round_half_up(Decimal(base) * Decimal(str(percent)) / 100)


def invoice_fields(source: Resource) -> dict[str, Any]:
    enabled = bool((source.get("automatic_tax") or {}).get("enabled"))
    return {
        "disabled_reason": None,
        "enabled": enabled,
        "liability": {"type": "self"} if enabled else None,
        "provider": "stripe" if enabled else None,
        "status": None,
    }


def subscription_fields(enabled: bool) -> dict[str, Any]:
    return {
        "disabled_reason": None,
        "enabled": enabled,
        "liability": {"type": "self"} if enabled else None,
    }


def _build_tax(tax: int, base: int) -> dict[str, Any]:
    return {
        "amount": tax,
        "tax_behavior": "exclusive",
        "tax_rate_details": {"tax_rate": "txr_sandbox"},
        "taxability_reason": "standard_rated",
        "taxable_amount": base,
        "type": "tax_rate_details",
    }

"""Limits that Stripe checks before it executes a request: lengths, counts, ranges.

The numbers are from Stripe's API reference. Paths of parameters omit the indices of lists.
"""

import re
from typing import Any

from saas_sandbox.stripe.api.expand import check_depth
from saas_sandbox.stripe.api.operations import Operation
from saas_sandbox.stripe.engine import metadata
from saas_sandbox.stripe.engine.currencies import CURRENCIES
from saas_sandbox.stripe.engine.customers import check_email
from saas_sandbox.stripe.engine.errors import StripeError, invalid
from saas_sandbox.stripe.engine.params import Params

MAX_LENGTH = 5000
MAX_AMOUNT = 99_999_999  # "The amount value supports up to eight digits"
MAX_INTEGER = 999_999_999
ANY_PATH = "*"

LENGTHS: dict[str, dict[str, int]] = {
    "/billing_portal/configurations": {"business_profile.headline": 60},
    "/checkout/sessions": {
        "client_reference_id": 200,
        "custom_text.after_submit.message": 1200,
        "custom_text.shipping_address.message": 1200,
        "custom_text.submit.message": 1200,
        "custom_text.terms_of_service_acceptance.message": 1200,
        "customer_email": 800,
        "subscription_data.description": 500,
        "payment_intent_data.description": 1000,
        "payment_intent_data.statement_descriptor": 22,
        "payment_intent_data.statement_descriptor_suffix": 22,
    },
    "/coupons": {"name": 40},
    "/customers": {
        "email": 512,
        "invoice_prefix": 12,
        "invoice_settings.custom_fields.name": 40,
        "invoice_settings.custom_fields.value": 140,
        "name": 256,
        "phone": 20,
    },
    "/disputes": {
        f"evidence.{name}": 20_000
        for name in (
            "access_activity_log",
            "cancellation_policy_disclosure",
            "cancellation_rebuttal",
            "duplicate_charge_explanation",
            "product_description",
            "refund_policy_disclosure",
            "refund_refusal_explanation",
            "uncategorized_text",
        )  # fmt: skip
    },
    "/invoices": {"description": 1500, "custom_fields.name": 40, "custom_fields.value": 140},
    "/payment_intents": {
        "description": 1000,
        "statement_descriptor": 22,
        "statement_descriptor_suffix": 22,
    },
    "/prices": {"lookup_key": 200, "lookup_keys": 200},
    "/products": {"description": 40_000, "statement_descriptor": 22, "unit_label": 12},
    "/promotion_codes": {"code": 500},
    "/subscriptions": {"description": 500},
    "/test_helpers/test_clocks": {"name": 300},
}

SIZES: dict[str, dict[str, int]] = {
    "/billing_portal/configurations": {"features.subscription_update.products": 10},
    "/checkout/sessions": {
        "custom_fields": 3,
        "discounts": 1,
        "optional_items": 10,
        "shipping_options": 5,
        "subscription_data.invoice_settings.account_tax_ids": 5,
    },
    "/customers": {"invoice_settings.custom_fields": 4, "tax_id_data": 5},
    "/events": {"types": 20},
    "/invoices": {"custom_fields": 4, "discounts": 20, "subscription_details.items": 20},
    "/prices": {"lookup_keys": 10},
    "/products": {"images": 8, "marketing_features": 15},
    "/subscriptions": {"add_invoice_items": 20, "discounts": 20, "items": 20},
    "/subscription_schedules": {"phases": 10, "phases.items": 20, "phases.discounts": 20},
}

RANGES: dict[str, dict[str, tuple[int, int]]] = {
    ANY_PATH: {
        "billing_cycle_anchor_config.day_of_month": (1, 31),
        "limit": (1, 100),
        "price_data.unit_amount": (0, MAX_AMOUNT),
        "items.price_data.unit_amount": (0, MAX_AMOUNT),
    },
    "/checkout/sessions": {
        "line_items.adjustable_quantity.maximum": (1, 999_999),
        "line_items.adjustable_quantity.minimum": (0, 999_998),
        "line_items.price_data.unit_amount": (0, MAX_AMOUNT),
        "line_items.quantity": (1, MAX_INTEGER),
        "subscription_data.trial_period_days": (1, 730),
    },
    "/coupons": {
        "amount_off": (1, MAX_AMOUNT),
        "duration_in_months": (1, 1200),
        "max_redemptions": (1, MAX_INTEGER),
    },
    "/customers": {"balance": (-MAX_AMOUNT, MAX_AMOUNT), "next_invoice_sequence": (1, MAX_INTEGER)},
    "/payment_intents": {"amount": (1, MAX_AMOUNT)},
    "/prices": {"unit_amount": (0, MAX_AMOUNT), "currency_options.*.unit_amount": (0, MAX_AMOUNT)},
    "/products": {"default_price_data.unit_amount": (0, MAX_AMOUNT)},
    "/promotion_codes": {
        "max_redemptions": (1, MAX_INTEGER),
        "restrictions.minimum_amount": (1, MAX_AMOUNT),
    },
    "/refunds": {"amount": (1, MAX_AMOUNT)},
    "/subscriptions": {
        "days_until_due": (1, 730),
        "items.quantity": (0, MAX_INTEGER),
        "trial_period_days": (0, 730),
    },
    "/subscription_schedules": {"phases.items.quantity": (0, MAX_INTEGER)},
}

# At most one parameter of each group.
EXCLUSIVE_PARAMS: dict[str, list[tuple[str, ...]]] = {
    ANY_PATH: [
        ("starting_after", "ending_before"),
        ("price", "price_data"),
        ("trial_end", "trial_period_days"),
        ("unit_amount", "unit_amount_decimal"),
    ],
    "/checkout/sessions": [
        ("customer", "customer_email"),
        ("allow_promotion_codes", "discounts"),
        ("payment_method_types", "excluded_payment_method_types"),
    ],
    "/coupons": [("percent_off", "amount_off")],
    "/events": [("type", "types")],
    "/invoices": [("subscription", "schedule"), ("customer", "customer_account")],
    "/prices": [("product", "product_data")],
    "/products": [("ids", "starting_after"), ("ids", "ending_before")],
    "/subscriptions": [
        ("cancel_at", "cancel_at_period_end"),
        ("billing_cycle_anchor", "billing_cycle_anchor_config"),
    ],
    "/subscription_schedules": [("customer", "from_subscription")],
}

_COUNTRY = re.compile(r"[A-Za-z]{2}")
EMAIL_PARAMS = {"email", "customer_email", "receipt_email"}


def check_limits(operation: Operation, params: Params) -> None:
    """Refuse values that are too long, too many, out of range, or mutually exclusive."""
    family = "/" + "/".join(part for part in operation.path.split("/")[1:3] if "<" not in part)
    family = next((known for known in _FAMILIES if family.startswith(known)), family)
    _check_value(family, params, "", "")
    for path in dict.get(params, "expand", []):
        check_depth(path)


def _check_value(family: str, value: Any, pattern: str, where: str) -> None:
    """Check parameters recursively; `pattern` is the path `where` without list indices."""
    if isinstance(value, Params):
        _check_exclusive(family, value, where)
        for name, inner in value.items():
            place = "*" if pattern.endswith("currency_options") else name
            _check_value(family, inner, f"{pattern}.{place}".lstrip("."), _join(where, name))
    elif isinstance(value, list):
        _check_size(family, value, pattern, where)
        for number, inner in enumerate(value):
            _check_value(family, inner, pattern, f"{where}[{number}]")
    elif isinstance(value, dict):
        metadata.check_limits(value, where)
    elif isinstance(value, str):
        _check_string(family, value, pattern, where)
    elif type(value) is int:
        _check_range(family, value, pattern, where)


def _check_exclusive(family: str, params: Params, where: str) -> None:
    for names in [*EXCLUSIVE_PARAMS[ANY_PATH], *EXCLUSIVE_PARAMS.get(family, [])]:
        present = [name for name in names if dict.get(params, name) not in (None, "", [])]
        if len(present) > 1:
            raise invalid(
                f"You may only specify one of these parameters: {', '.join(names)}.",
                _join(where, present[0]),
                "parameters_exclusive",
            )


def _check_size(family: str, value: list[Any], pattern: str, where: str) -> None:
    maximum = SIZES.get(family, {}).get(pattern)
    if maximum is not None and len(value) > maximum:
        raise invalid(f"Array {where} exceeded maximum {maximum} allowed elements.", where)


def _check_string(family: str, value: str, pattern: str, where: str) -> None:
    name = pattern.rpartition(".")[2]
    maximum = LENGTHS.get(family, {}).get(pattern, MAX_LENGTH)
    if len(value) > maximum:
        short = f"{value[:4]}...{value[-4:]}"
        raise invalid(f"Invalid string: {short}; must be at most {maximum} characters", where)
    if name in EMAIL_PARAMS and value:
        check_email(value, where)
    if name == "country" and value and not _COUNTRY.fullmatch(value):
        raise invalid(
            f"Country '{value[:40]}' is unknown. Try using a 2-character alphanumeric country code "
            "instead, such as 'US', 'EG', or 'GB'.",
            where,
        )
    if name == "currency" and value and value.lower() not in CURRENCIES:
        listed = ", ".join(CURRENCIES)
        raise invalid(
            f"Invalid currency: {value[:20]}. Stripe currently supports these currencies: {listed}",
            where,
        )


def _check_range(family: str, value: int, pattern: str, where: str) -> None:
    low, high = RANGES.get(family, {}).get(pattern) or RANGES[ANY_PATH].get(pattern) or (None, None)
    if low is not None and value < low:
        raise _out_of_range(f"greater than or equal to {low}", value, where)
    if high is not None and value > high:
        raise _out_of_range(f"less than or equal to {high}", value, where)


def _out_of_range(bound: str, value: int, where: str) -> StripeError:
    return invalid(
        f"This value must be {bound} (it currently is '{value}').",
        where,
        "parameter_invalid_integer",
    )


def _join(path: str, name: str) -> str:
    return f"{path}[{name}]" if path else name


_FAMILIES = sorted(
    {*LENGTHS, *SIZES, *RANGES, *EXCLUSIVE_PARAMS} - {ANY_PATH}, key=len, reverse=True
)

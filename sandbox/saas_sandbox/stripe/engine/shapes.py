"""Objects in the shape that the official SDK declares.

Stripe sends nullable fields as null. The SDK's classes define these fields, so builders need not
list unused ones.
"""

from functools import cache
from types import NoneType
from typing import Any, get_args

import stripe

from saas_sandbox.stripe.engine.resource import Resource

# Optional fields that are normally absent, not null.
ABSENT_FIELDS = {"deleted", "status_details", "presentment_details"}

# Absent unless expanded, or used by unsupported features.
INCLUDABLE_FIELDS: dict[type, set[str]] = {
    stripe.Customer: {
        "business_name", "cash_balance", "individual_name", "invoice_credit_balance", "sources",
        "subscriptions", "tax", "tax_ids",
    },
    stripe.Coupon: {"applies_to", "currency_options"},
    stripe.InvoiceItem: {"frozen_fields", "invoicing_rules"},
    stripe.PaymentIntent: {"hooks", "payment_details"},
    stripe.Price: {"currency_options", "tiers"},
    stripe.SetupIntent: {"attach_to_self"},
    stripe.Plan: {"tiers"},
    stripe.Invoice: {
        "amount_paid_off_stripe", "confirmation_secret", "payments", "threshold_reason",
    },
    stripe.Charge: {
        "authorization_code", "level3", "radar_options", "refunds", "transfer",
    },
    stripe.checkout.Session: {
        "branding_settings", "excluded_payment_method_types",
        "line_items", "name_collection", "optional_items", "redirect_on_completion", "return_url",
        "tax_id_collection",
    },
}  # fmt: skip


def build_object(shape: type, *, id: str, created: int, **fields: Any) -> Resource:
    """Return a new object with all nullable fields of the SDK, and the given values."""
    kind: str = shape.OBJECT_NAME  # type: ignore[attr-defined]
    base = {"id": id, "object": kind, **null_fields(shape), "created": created, "livemode": False}
    return base | fields


@cache
def null_fields(shape: type) -> dict[str, None]:
    absent = ABSENT_FIELDS | INCLUDABLE_FIELDS.get(shape, set())
    return {
        name: None
        for name, hint in shape.__annotations__.items()
        if NoneType in get_args(hint) and name not in absent
    }

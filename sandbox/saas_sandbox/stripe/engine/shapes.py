"""Objects in the shape that the official SDK declares.

Stripe sends a nullable field as null rather than leaving it out. The SDK's classes say which
fields those are, so no builder here has to list what it does not use.
"""

from functools import cache
from types import NoneType
from typing import Any, get_args

import stripe

from saas_sandbox.stripe.engine.resource import Resource

# Declared optional because they are absent, not null, in the ordinary case.
ABSENT = {"deleted", "status_details", "presentment_details"}

# Absent until somebody expands them, or until a feature that is not played here is in use.
INCLUDABLE: dict[type, set[str]] = {
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


def shaped(shape: type, *, id: str, created: int, **given: Any) -> Resource:
    """A new object with every nullable field the SDK knows, and the given values."""
    kind: str = shape.OBJECT_NAME  # type: ignore[attr-defined]
    base = {"id": id, "object": kind, **nulls(shape), "created": created, "livemode": False}
    return base | given


@cache
def nulls(shape: type) -> dict[str, None]:
    absent = ABSENT | INCLUDABLE.get(shape, set())
    return {
        name: None
        for name, hint in shape.__annotations__.items()
        if NoneType in get_args(hint) and name not in absent
    }

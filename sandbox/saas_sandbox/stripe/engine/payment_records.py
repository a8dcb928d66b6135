"""Payment records of payments outside of Stripe.

https://docs.stripe.com/api/payment-record
"""

from typing import Any

import stripe

from saas_sandbox.stripe.engine import ids
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.resource import Resource
from saas_sandbox.stripe.engine.shapes import build_object


def report_payment(account: Account, invoice: Resource) -> Resource:
    """Record that an invoice was paid outside of Stripe."""
    clock = invoice["_internal"]["clock"]
    amount, zero = _build_amount(invoice, invoice["amount_remaining"]), _build_amount(invoice, 0)
    names = ("authorized", "canceled", "failed", "refunded")
    record = build_object(
        stripe.PaymentRecord,
        id=ids.new("payment_record"),
        created=account.now(clock),
        amount=amount,
        amount_guaranteed=amount,
        amount_requested=amount,
        **{f"amount_{name}": zero for name in names},
        customer_details={
            "customer": invoice["customer"],
            **{name: invoice[f"customer_{name}"] for name in ("email", "name", "phone")},
        },
        metadata={},
        payment_method_details=_payment_method_details(),
        processor_details={"custom": {"payment_reference": None}, "type": "custom"},
        reported_by="self",
    )
    return account.add({**record, "_internal": {"clock": clock or ""}})


def _build_amount(invoice: Resource, value: int) -> dict[str, Any]:
    return {"currency": invoice["currency"], "value": value}


def _payment_method_details() -> dict[str, Any]:
    return {
        "billing_details": None,
        "custom": {"display_name": "Paid out of band", "type": None},
        "payment_method": None,
        "type": "custom",
    }

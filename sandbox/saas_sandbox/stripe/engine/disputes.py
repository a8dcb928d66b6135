"""Disputes (chargebacks). https://docs.stripe.com/api/disputes"""

from typing import Any

import stripe

from saas_sandbox.stripe.engine import ids
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.resource import Resource
from saas_sandbox.stripe.engine.shapes import build_object

DAY = 86400

EVIDENCE_FIELDS = (
    "access_activity_log", "billing_address", "cancellation_policy",
    "cancellation_policy_disclosure", "cancellation_rebuttal", "customer_communication",
    "customer_email_address", "customer_name", "customer_purchase_ip", "customer_signature",
    "duplicate_charge_documentation", "duplicate_charge_explanation", "duplicate_charge_id",
    "product_description", "receipt", "refund_policy", "refund_policy_disclosure",
    "refund_refusal_explanation", "service_date", "service_documentation", "shipping_address",
    "shipping_carrier", "shipping_date", "shipping_documentation", "shipping_tracking_number",
    "uncategorized_file", "uncategorized_text",
)  # fmt: skip


def open_dispute(account: Account, charge: Resource, reason: str = "fraudulent") -> Resource:
    """Dispute a charge: withdraw the amount immediately, and request evidence."""
    clock = charge["_internal"]["clock"]
    now = account.now(clock)
    dispute = build_object(
        stripe.Dispute,
        id=ids.new("dispute"),
        created=now,
        amount=charge["amount"],
        balance_transactions=[],
        charge=charge["id"],
        currency=charge["currency"],
        enhanced_eligibility_types=[],
        evidence=dict.fromkeys(EVIDENCE_FIELDS) | {"enhanced_evidence": {}},
        evidence_details=_evidence_details(now),
        is_charge_refundable=False,
        metadata={},
        payment_intent=charge["payment_intent"],
        payment_method_details=_payment_method_details(charge),
        reason=reason,
        status="needs_response",
    )
    del dispute["network_reason_code"]
    charge["disputed"] = True
    account.save(charge)
    internal = {"clock": clock, "customer": charge["customer"], "parent": charge["id"]}
    account.add({**dispute, "_internal": internal}, "charge.dispute.created")
    return dispute


def _evidence_details(now: int) -> dict[str, Any]:
    return {
        "due_by": now + 9 * DAY,
        "enhanced_eligibility": {},
        "has_evidence": False,
        "past_due": False,
        "submission_count": 0,
        "submission_method": "not_submitted",
    }


def _payment_method_details(charge: Resource) -> dict[str, Any] | None:
    if charge["payment_method_details"]["type"] != "card":
        return None
    brand = charge["payment_method_details"]["card"]["brand"]
    card = {"brand": brand, "case_type": "chargeback", "network": brand}
    return {"card": {**card, "network_reason_code": "10.4"}, "type": "card"}

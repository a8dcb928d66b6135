"""Disputes (chargebacks). https://docs.stripe.com/api/disputes"""

from typing import Any

import stripe

from saas_sandbox.stripe.engine import ids
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.errors import invalid
from saas_sandbox.stripe.engine.resource import Resource
from saas_sandbox.stripe.engine.shapes import build_object

DAY = 86400
FEE = 1500  # cents, per dispute in the United States
OPEN_STATUSES = ("needs_response", "under_review")

# The evidence that decides a dispute in test mode. https://docs.stripe.com/testing#evidence
TEST_DECISIONS = {"winning_evidence": "won", "losing_evidence": "lost"}

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
FILE_FIELDS = {
    "cancellation_policy", "customer_communication", "customer_signature",
    "duplicate_charge_documentation", "receipt", "refund_policy", "service_documentation",
    "shipping_documentation", "uncategorized_file",
}  # fmt: skip


def open_dispute(account: Account, charge: Resource, reason: str = "fraudulent") -> Resource:
    """Dispute what is left of a charge: withdraw it immediately, and request evidence."""
    _check_disputable(charge)
    dispute = _build_dispute(account, charge, reason)
    dispute["balance_transactions"] = [_build_transaction(account, dispute, -dispute["amount"])]
    charge["disputed"] = True
    account.save(charge)
    account.add(dispute, "charge.dispute.created")
    account.emit("charge.dispute.funds_withdrawn", dispute)
    return dispute


def add_evidence(dispute: Resource, evidence: dict[str, str]) -> None:
    """Stage evidence. It is sent to the bank by `submit_evidence`."""
    if dispute["status"] != "needs_response":
        raise invalid(
            f"This dispute has a status of {dispute['status']}, so its evidence cannot be updated.",
            "evidence",
        )
    dispute["evidence"] |= evidence
    dispute["evidence_details"]["has_evidence"] = True


def submit_evidence(account: Account, dispute: Resource) -> Resource:
    """Send the evidence to the bank, which decides immediately about Stripe's test evidence."""
    details = dispute["evidence_details"]
    if dispute["status"] != "needs_response" or not details["has_evidence"]:
        return account.save(dispute, "charge.dispute.updated")

    details["submission_count"] += 1
    details["submission_method"] = "manual"
    details["past_due"] = account.now(dispute["_internal"]["clock"]) > details["due_by"]
    dispute["status"] = "under_review"
    account.save(dispute, "charge.dispute.updated")
    decision = TEST_DECISIONS.get(dispute["evidence"]["uncategorized_text"])
    return decide_dispute(account, dispute, decision) if decision else dispute


def decide_dispute(account: Account, dispute: Resource, status: str) -> Resource:
    """Close a dispute as "won", which returns the funds, or as "lost"."""
    if dispute["status"] not in OPEN_STATUSES:
        raise invalid("This dispute is already closed.")
    dispute["status"] = status
    if status == "won":
        dispute["balance_transactions"].append(
            _build_transaction(account, dispute, dispute["amount"])
        )
    account.save(dispute, "charge.dispute.closed")
    if status == "won":
        account.emit("charge.dispute.funds_reinstated", dispute)
    return dispute


def find_dispute(account: Account, charge: Resource) -> Resource | None:
    """Return the dispute of a charge."""
    disputes = account.select("dispute", "parent = ?", charge["id"]) if charge["disputed"] else []
    return disputes[-1] if disputes else None


def is_charged_back(account: Account, charge: Resource) -> bool:
    """Return whether the bank has taken the amount back."""
    dispute = find_dispute(account, charge)
    return dispute is not None and dispute["status"] != "won"


def _check_disputable(charge: Resource) -> None:
    if charge["status"] != "succeeded":
        raise invalid(f"Charge {charge['id']} has not been captured.", "charge")
    if charge["disputed"]:
        raise invalid(f"Charge {charge['id']} has already been disputed.", "charge")
    if charge["refunded"]:
        raise invalid(f"Charge {charge['id']} has already been refunded.", "charge")


def _build_dispute(account: Account, charge: Resource, reason: str) -> Resource:
    clock = charge["_internal"]["clock"]
    now = account.now(clock)
    dispute = build_object(
        stripe.Dispute,
        id=ids.new("dispute"),
        created=now,
        amount=charge["amount"] - charge["amount_refunded"],
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
    internal = {"clock": clock, "customer": charge["customer"], "parent": charge["id"]}
    return {**dispute, "_internal": internal}


def _build_transaction(account: Account, dispute: Resource, amount: int) -> Resource:
    """Return the movement of funds: withdrawn with Stripe's fee, or reinstated without it."""
    withdrawn = amount < 0
    now, fee = account.now(dispute["_internal"]["clock"]), FEE if withdrawn else 0
    description = f"Chargeback {'withdrawal' if withdrawn else 'reversal'} for {dispute['charge']}"
    fee_detail = {"amount": fee, "application": None, "currency": dispute["currency"],
                  "description": "Dispute fee", "type": "stripe_fee"}  # fmt: skip
    transaction = build_object(
        stripe.BalanceTransaction,
        id=ids.new("balance_transaction"),
        created=now,
        amount=amount,
        available_on=now,
        balance_type="payments",
        currency=dispute["currency"],
        description=description,
        fee=fee,
        fee_details=[fee_detail] if fee else [],
        net=amount - fee,
        reporting_category="dispute" if withdrawn else "dispute_reversal",
        source=dispute["id"],
        status="available",
        type="adjustment",
    )
    del transaction["livemode"]
    return transaction


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

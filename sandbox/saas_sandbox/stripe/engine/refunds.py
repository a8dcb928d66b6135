"""Refunds of charges. https://docs.stripe.com/refunds"""

from typing import Any

import stripe

from saas_sandbox.stripe.engine import disputes, ids, payment_methods
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.errors import invalid
from saas_sandbox.stripe.engine.resource import Resource
from saas_sandbox.stripe.engine.shapes import build_object

REFUND_FAILS_AFTER = 2  # seconds
ABSENT_FIELDS = (
    "livemode", "description", "failure_balance_transaction", "failure_reason",
    "instructions_email", "next_action", "pending_reason",
)  # fmt: skip


def create_refund(
    account: Account,
    charge: Resource,
    amount: int | None = None,
    *,
    metadata: dict[str, str] | None = None,
    reason: str | None = None,
) -> Resource:
    """Refund an amount of a charge; without one, all that is left."""
    refundable = get_refundable_amount(charge)
    amount = refundable if amount is None else amount
    _check_refundable(account, charge, amount, refundable)
    refund = _build_refund(account, charge, amount, metadata=metadata or {}, reason=reason)
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    clock = charge["_internal"]["clock"]
    due = account.now(clock) + REFUND_FAILS_AFTER if _will_fail(account, charge) else None
    account.add({**refund, "_internal": {"clock": clock, "due": due}}, "refund.created")
    account.save(charge, "charge.refunded")
    return refund


def fail_refund(account: Account, refund: Resource) -> None:
    """Let a refund fail: the money is back on the balance. https://docs.stripe.com/refunds#failed-refunds"""
    charge = account.get("charge", refund["charge"])
    charge["amount_refunded"] -= refund["amount"]
    charge["refunded"] = False
    account.save(charge)
    refund["_internal"]["due"] = None
    refund |= {"status": "failed", "failure_reason": "expired_or_canceled_card"}
    for event in ("refund.updated", "refund.failed"):
        account.save(refund, event)


def get_refundable_amount(charge: Resource) -> int:
    refundable: int = charge["amount_captured"] - charge["amount_refunded"]
    return refundable


def _will_fail(account: Account, charge: Resource) -> bool:
    if not charge["payment_method"]:
        return False
    method = account.get("payment_method", charge["payment_method"])
    return bool(payment_methods.get_behaviour(method).get("refund_fails"))


def _check_refundable(account: Account, charge: Resource, amount: int, refundable: int) -> None:
    if charge["status"] != "succeeded":
        raise invalid(f"Charge {charge['id']} has not been captured.", "charge")
    if disputes.is_charged_back(account, charge):
        raise invalid(
            f"Charge {charge['id']} has been charged back; cannot issue a refund.",
            code="charge_disputed",
        )
    if not refundable:
        raise invalid(
            f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded"
        )
    if not 0 < amount <= refundable:
        raise invalid(
            f"Refund amount ({amount}) is greater than unrefunded amount on charge ({refundable})"
            if amount > refundable
            else "Invalid positive integer",
            "amount",
        )


def _build_refund(account: Account, charge: Resource, amount: int, **fields: Any) -> Resource:
    refund = build_object(
        stripe.Refund,
        id=ids.new("refund"),
        created=account.now(charge["_internal"]["clock"]),
        amount=amount,
        charge=charge["id"],
        currency=charge["currency"],
        customer=charge["customer"],
        destination_details={
            "card": {"reference_status": "pending", "reference_type": "acquirer_reference_number",
                     "type": "refund"},
            "type": "card",
        },
        payment_intent=charge["payment_intent"],
        payment_method=charge["payment_method"],
        status="succeeded",
        **fields,
    )  # fmt: skip
    for name in ABSENT_FIELDS:
        refund.pop(name, None)
    return refund

"""Payment intents and the charges that carry them out. https://docs.stripe.com/api/payment_intents"""

from dataclasses import dataclass
from typing import Any, Literal

import stripe

from saas_sandbox.stripe.engine import disputes, ids, payment_methods
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.cards import DECLINES, Decline
from saas_sandbox.stripe.engine.resource import Resource, strip_internal
from saas_sandbox.stripe.engine.shapes import build_object

# A real bank debit takes up to four business days; the sandbox's takes this long.
BANK_DEBIT_SECONDS = 3 * 86400


@dataclass(frozen=True)
class Outcome:
    """The result of a payment attempt."""

    kind: Literal["succeeded", "declined", "requires_action", "processing", "no_method"]
    decline: Decline | None = None


NO_METHOD_OUTCOME = Outcome("no_method")


def create_intent(
    account: Account, *, amount: int, currency: str, customer: Resource | None, **fields: Any
) -> Resource:
    """Create an intent to collect an amount, without an attempt."""
    clock = customer["test_clock"] if customer else None
    id = ids.new("payment_intent")
    internal = {"clock": clock or "", **fields.pop("_internal", {})}
    intent = build_object(
        stripe.PaymentIntent,
        id=id,
        created=account.now(clock),
        amount=amount,
        amount_capturable=0,
        amount_details={"tip": {}},
        amount_received=0,
        capture_method="automatic",
        client_secret=f"{id}_secret_{ids.token(25)}",
        confirmation_method="automatic",
        currency=currency,
        customer=customer["id"] if customer else None,
        payment_method_options={},
        payment_method_types=["card", "us_bank_account"],
        status="requires_payment_method",
        **{"metadata": {}, **fields},
    )
    return account.add({**intent, "_internal": internal}, "payment_intent.created")


def confirm_intent(
    account: Account, intent: Resource, method: Resource, *, authenticated: bool = False
) -> Outcome:
    """Attempt the payment. Every attempt that reaches a bank creates a charge."""
    intent["payment_method"] = method["id"]
    outcome = _authorize(method, authenticated)
    if outcome.kind == "requires_action":
        return _await_authentication(account, intent, outcome)
    if outcome.kind == "processing":
        return _await_bank(account, intent, method, outcome)
    if outcome.decline:
        return _fail(account, intent, method, outcome)
    if authenticated:
        method["_internal"]["set_up"] = True
        account.save(method)
    return _succeed(account, intent, _create_charge(account, intent, method, "succeeded"), outcome)


def settle_delayed_payment(account: Account, intent: Resource) -> Outcome:
    """Apply the bank's decision about a delayed payment."""
    method = account.get("payment_method", intent["payment_method"])
    charge = account.get("charge", intent["latest_charge"])
    intent["_internal"]["due"] = None
    fails = payment_methods.get_behaviour(method)["charge_fails"]
    if not fails:
        charge |= {"status": "succeeded", "paid": True, "amount_captured": charge["amount"]}
        charge["receipt_url"] = _receipt_url(account, charge["id"])
        return _succeed(account, intent, account.save(charge), Outcome("succeeded"))

    decline = Decline("payment_intent_payment_attempt_failed", fails, BANK_DECLINE_MESSAGE)
    charge |= {"status": "failed", "failure_code": fails, "failure_message": BANK_DECLINE_MESSAGE}
    account.save(charge, "charge.failed")
    return _record_failure(account, intent, method, Outcome("declined", decline))


BANK_DECLINE_MESSAGE = "The bank account could not be debited."


def cancel_intent(account: Account, intent: Resource, reason: str | None) -> Resource:
    clock = intent["_internal"]["clock"]
    intent |= {
        "status": "canceled",
        "canceled_at": account.now(clock),
        "cancellation_reason": reason,
        "next_action": None,
    }
    return account.save(intent, "payment_intent.canceled")


def _authorize(method: Resource, authenticated: bool) -> Outcome:
    behaviour = payment_methods.get_behaviour(method)
    if behaviour["delayed"]:
        return Outcome("processing")
    authentication = behaviour["authentication"]
    if not authenticated and (
        authentication == "always"
        or (authentication == "unless_set_up" and not method["_internal"]["set_up"])
    ):
        return Outcome("requires_action", DECLINES["authentication_required"])
    fails = behaviour["charge_fails"]
    return Outcome("declined", DECLINES[fails]) if fails else Outcome("succeeded")


def _await_authentication(account: Account, intent: Resource, outcome: Outcome) -> Outcome:
    intent["status"] = "requires_action"
    intent["next_action"] = {
        "type": "use_stripe_sdk",
        "use_stripe_sdk": {"type": "three_d_secure_redirect"},
    }
    account.save(intent, "payment_intent.requires_action")
    return outcome


def _await_bank(account: Account, intent: Resource, method: Resource, outcome: Outcome) -> Outcome:
    charge = _create_charge(account, intent, method, "pending")
    account.save(charge, "charge.pending")
    intent |= {"status": "processing", "latest_charge": charge["id"], "next_action": None}
    intent["_internal"]["due"] = account.now(intent["_internal"]["clock"]) + BANK_DEBIT_SECONDS
    account.save(intent, "payment_intent.processing")
    return outcome


def _succeed(account: Account, intent: Resource, charge: Resource, outcome: Outcome) -> Outcome:
    intent |= {
        "status": "succeeded",
        "amount_received": intent["amount"],
        "latest_charge": charge["id"],
        "last_payment_error": None,
        "next_action": None,
    }
    account.save(charge, "charge.succeeded")
    account.save(intent, "payment_intent.succeeded")
    method = account.get("payment_method", charge["payment_method"])
    if payment_methods.get_behaviour(method).get("disputed"):
        disputes.open_dispute(account, charge)
    return outcome


def _fail(account: Account, intent: Resource, method: Resource, outcome: Outcome) -> Outcome:
    charge = _create_charge(account, intent, method, "failed", outcome.decline)
    intent["latest_charge"] = charge["id"]
    account.save(charge, "charge.failed")
    return _record_failure(account, intent, method, outcome)


def _record_failure(
    account: Account, intent: Resource, method: Resource, outcome: Outcome
) -> Outcome:
    decline = outcome.decline
    intent |= {
        "status": "requires_payment_method",
        "payment_method": None,
        "next_action": None,
        "last_payment_error": {
            "charge": intent["latest_charge"],
            "code": decline.code if decline else None,
            "decline_code": decline.decline_code if decline else None,
            "message": decline.message if decline else None,
            "payment_method": strip_internal(method),
            "type": "card_error",
        },
    }
    account.save(intent, "payment_intent.payment_failed")
    return outcome


def _create_charge(
    account: Account,
    intent: Resource,
    method: Resource,
    status: str,
    decline: Decline | None = None,
) -> Resource:
    taken = status == "succeeded"
    id = ids.new("charge")
    charge = build_object(
        stripe.Charge,
        id=id,
        created=account.now(intent["_internal"]["clock"]),
        amount=intent["amount"],
        amount_captured=intent["amount"] if taken else 0,
        amount_refunded=0,
        billing_details=method["billing_details"],
        captured=status != "failed",
        currency=intent["currency"],
        customer=intent["customer"],
        description=intent["description"],
        disputed=False,
        failure_code=decline.code if decline else None,
        failure_message=decline.message if decline else None,
        fraud_details={},
        metadata=intent["metadata"],
        outcome=_build_charge_outcome(decline),
        paid=taken,
        payment_intent=intent["id"],
        payment_method=method["id"],
        payment_method_details=_payment_method_details(method),
        receipt_email=intent["receipt_email"],
        receipt_url=_receipt_url(account, id) if taken else None,
        refunded=False,
        status=status,
    )
    return account.add({**charge, "_internal": {"clock": intent["_internal"]["clock"]}})


def _receipt_url(account: Account, charge: str) -> str:
    return f"{account.base_url}/stripe/receipts/{charge}"


def _payment_method_details(method: Resource) -> dict[str, Any]:
    """Return the method as stored on the charge, without fields of the object itself."""
    kind = method["type"]
    removed, added = CHARGE_DETAILS[kind]
    fields = {name: value for name, value in method[kind].items() if name not in removed}
    if kind == "card":
        added = {**added, "network": fields["brand"]}
    return {kind: {**fields, **added}, "type": kind}


CHARGE_DETAILS: dict[str, tuple[set[str], dict[str, Any]]] = {
    "card": (
        {"display_brand", "generated_from", "networks", "three_d_secure_usage"},
        {
            "amount_authorized": None,
            "authorization_code": None,
            "electronic_commerce_indicator": None,
            "installments": None,
            "mandate": None,
            "network_token": {"used": False},
            "network_transaction_id": None,
            "three_d_secure": None,
            "transaction_link_id": None,
        },
    ),
    "us_bank_account": (
        {"financial_connections_account", "networks", "status_details"},
        {"payment_reference": None},
    ),
}


def _build_charge_outcome(decline: Decline | None) -> dict[str, Any]:
    return {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "declined_by_network" if decline else "approved_by_network",
        "reason": decline.decline_code if decline else None,
        "seller_message": (
            "The bank did not return any further details with this decline."
            if decline
            else "Payment complete."
        ),
        "type": "issuer_declined" if decline else "authorized",
    }

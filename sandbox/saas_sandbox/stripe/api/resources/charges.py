"""Charges and refunds. https://docs.stripe.com/api/refunds"""

import stripe
from stripe import params as shape

from saas_sandbox.stripe.api import expand, pagination
from saas_sandbox.stripe.api.operations import operation
from saas_sandbox.stripe.engine import ids, metadata
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.errors import invalid, missing_param
from saas_sandbox.stripe.engine.params import Params
from saas_sandbox.stripe.engine.resource import Resource, strip_internal
from saas_sandbox.stripe.engine.shapes import build_object


@operation("GET", "/charges/<id>", shape.ChargeRetrieveParams)
def retrieve_charge(account: Account, params: Params, id: str) -> Resource:
    return account.get("charge", id)


@operation("GET", "/charges", shape.ChargeListParams)
def list_charges(account: Account, params: Params) -> Resource:
    equal = {"customer": params.get("customer"), "parent": params.get("payment_intent")}
    return pagination.list_page(account, "charge", "/v1/charges", params, **equal)


@operation("POST", "/refunds", shape.RefundCreateParams)
def create(account: Account, params: Params) -> Resource:
    charge = _find_charge(account, params)
    refundable = charge["amount_captured"] - charge["amount_refunded"]
    amount = params.get("amount", refundable)
    _check_refundable(charge, amount, refundable)
    refund = _build_refund(account, charge, amount, params)
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    account.add({**refund, "_internal": {"clock": charge["_internal"]["clock"]}}, "refund.created")
    account.save(charge, "charge.refunded")
    return refund


def _build_refund(account: Account, charge: Resource, amount: int, params: Params) -> Resource:
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
        metadata=metadata.merge_values({}, params.get("metadata") or {}),
        payment_intent=charge["payment_intent"],
        payment_method=charge["payment_method"],
        reason=params.get("reason"),
        status="succeeded",
    )  # fmt: skip
    for name in ("livemode", "description", "failure_balance_transaction", "failure_reason",
                 "instructions_email", "next_action", "pending_reason"):  # fmt: skip
        refund.pop(name, None)
    return refund


@operation("GET", "/refunds/<id>", shape.RefundRetrieveParams)
def retrieve(account: Account, params: Params, id: str) -> Resource:
    return account.get("refund", id)


@operation("GET", "/refunds", shape.RefundListParams)
def list_all(account: Account, params: Params) -> Resource:
    condition: tuple[str, list[str]] = ("1", [])
    if "payment_intent" in params:
        condition = ("json_extract(body, '$.payment_intent') = ?", [params["payment_intent"]])
    return pagination.list_page(
        account, "refund", "/v1/refunds", params, condition=condition, parent=params.get("charge")
    )


def _find_charge(account: Account, params: Params) -> Resource:
    if "charge" in params:
        return account.get("charge", params["charge"], "charge")
    if "payment_intent" not in params:
        raise missing_param("payment_intent")
    intent = account.get("payment_intent", params["payment_intent"], "payment_intent")
    if intent["status"] != "succeeded":
        raise invalid(
            f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund.",
            "payment_intent",
        )
    return account.get("charge", intent["latest_charge"])


def _check_refundable(charge: Resource, amount: int, refundable: int) -> None:
    if charge["status"] != "succeeded":
        raise invalid(f"Charge {charge['id']} has not been captured.", "charge")
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


def _list_refunds(account: Account, charge: Resource) -> Resource:
    refunds = account.select("refund", "parent = ?", charge["id"])
    shown = [strip_internal(refund) for refund in refunds[::-1]]
    return pagination.build_list(shown, f"/v1/charges/{charge['id']}/refunds")


expand.INCLUDABLE_FIELDS["charge", "refunds"] = _list_refunds

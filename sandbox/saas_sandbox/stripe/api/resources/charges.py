"""Charges and refunds. https://docs.stripe.com/api/refunds"""

from stripe import params as shape

from saas_sandbox.stripe.api import expand, pagination
from saas_sandbox.stripe.api.operations import operation
from saas_sandbox.stripe.engine import metadata, refunds
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.errors import invalid, missing_param
from saas_sandbox.stripe.engine.params import Params
from saas_sandbox.stripe.engine.resource import Resource, strip_internal


@operation("GET", "/charges/<id>", shape.ChargeRetrieveParams)
def retrieve_charge(account: Account, params: Params, id: str) -> Resource:
    return account.get("charge", id)


@operation("GET", "/charges", shape.ChargeListParams)
def list_charges(account: Account, params: Params) -> Resource:
    equal = {"customer": params.get("customer"), "parent": params.get("payment_intent")}
    return pagination.list_page(account, "charge", "/v1/charges", params, **equal)


@operation("POST", "/refunds", shape.RefundCreateParams)
def create(account: Account, params: Params) -> Resource:
    return refunds.create_refund(
        account,
        _find_charge(account, params),
        params.get("amount"),
        metadata=metadata.merge_values({}, params.get("metadata") or {}),
        reason=params.get("reason"),
    )


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


def _list_refunds(account: Account, charge: Resource) -> Resource:
    rows = account.select("refund", "parent = ?", charge["id"])
    refunds = [strip_internal(refund) for refund in rows[::-1]]
    return pagination.build_list(refunds, f"/v1/charges/{charge['id']}/refunds")


expand.INCLUDABLE_FIELDS["charge", "refunds"] = _list_refunds

"""Disputes, read only. https://docs.stripe.com/api/disputes"""

from stripe import params as shape

from saas_sandbox.stripe.api import pagination
from saas_sandbox.stripe.api.operations import operation
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.params import Params
from saas_sandbox.stripe.engine.resource import Resource


@operation("GET", "/disputes/<id>", shape.DisputeRetrieveParams)
def retrieve(account: Account, params: Params, id: str) -> Resource:
    return account.get("dispute", id)


@operation("GET", "/disputes", shape.DisputeListParams)
def list_all(account: Account, params: Params) -> Resource:
    condition: tuple[str, list[str]] = ("1", [])
    if "payment_intent" in params:
        condition = ("json_extract(body, '$.payment_intent') = ?", [params["payment_intent"]])
    url, charge = "/v1/disputes", params.get("charge")
    return pagination.list_page(account, "dispute", url, params, condition=condition, parent=charge)

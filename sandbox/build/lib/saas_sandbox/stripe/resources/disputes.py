"""Disputes, to be read. https://docs.stripe.com/api/disputes"""

from stripe import params as shape

from .. import pages
from ..account import Account
from ..operations import operation
from ..params import Params
from ..resource import Resource


@operation("GET", "/disputes/<id>", shape.DisputeRetrieveParams)
def retrieve(account: Account, params: Params, id: str) -> Resource:
    return account.get("dispute", id)


@operation("GET", "/disputes", shape.DisputeListParams)
def list_all(account: Account, params: Params) -> Resource:
    also: tuple[str, list[str]] = ("1", [])
    if "payment_intent" in params:
        also = ("json_extract(body, '$.payment_intent') = ?", [params["payment_intent"]])
    url, charge = "/v1/disputes", params.get("charge")
    return pages.page(account, "dispute", url, params, also=also, parent=charge)

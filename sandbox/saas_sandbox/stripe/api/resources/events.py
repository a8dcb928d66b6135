"""Events, as they were sent. https://docs.stripe.com/api/events"""

from typing import Any

from stripe import params as shape

from saas_sandbox.stripe.api import pagination
from saas_sandbox.stripe.api.operations import operation
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.params import Params
from saas_sandbox.stripe.engine.resource import Resource

COUNT_PENDING = (
    "SELECT count(*) FROM deliveries WHERE account = ? AND event = ? AND state = 'pending'"
)
UNDELIVERED_EVENTS = "(SELECT event FROM deliveries WHERE account = ? AND state != 'delivered')"


@operation("GET", "/events/<id>", shape.EventRetrieveParams)
def retrieve(account: Account, params: Params, id: str) -> Resource:
    event = account.get("event", id)
    row = account.store.fetch_one(COUNT_PENDING, account.id, id)
    return {**event, "pending_webhooks": row[0] if row else 0}


@operation("GET", "/events", shape.EventListParams)
def list_all(account: Account, params: Params) -> Resource:
    where, values = ["1"], []
    types: list[str] = params.get("types") or []
    if "type" in params:
        types = [params["type"]]
    if types:
        where.append("(" + " OR ".join("lookup GLOB ?" for _ in types) + ")")
        values += types
    _filter_by_delivery(account, params, where, values)
    condition = (" AND ".join(where), values)
    return pagination.list_page(account, "event", "/v1/events", params, condition=condition)


def _filter_by_delivery(
    account: Account, params: Params, where: list[str], values: list[Any]
) -> None:
    """ "Filter events by whether all webhooks were successfully delivered." """
    if "delivery_success" in params:
        succeeded = params["delivery_success"]
        where.append(
            "id NOT IN " + UNDELIVERED_EVENTS if succeeded else "id IN " + UNDELIVERED_EVENTS
        )
        values.append(account.id)

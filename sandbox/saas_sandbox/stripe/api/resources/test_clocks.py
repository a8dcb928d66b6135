"""Test clocks. https://docs.stripe.com/api/test_clocks"""

from stripe.params import test_helpers as shape

from saas_sandbox.stripe.api import pagination
from saas_sandbox.stripe.api.operations import operation
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.params import Params
from saas_sandbox.stripe.engine.resource import Resource
from saas_sandbox.stripe.engine.test_clocks import KIND, build_clock, start_advance

URL = "/v1/test_helpers/test_clocks"


@operation("POST", "/test_helpers/test_clocks", shape.TestClockCreateParams)
def create(account: Account, params: Params) -> Resource:
    clock = build_clock(account, params["frozen_time"], params.get("name"))
    return account.add(clock, "test_helpers.test_clock.created")


@operation("GET", "/test_helpers/test_clocks/<id>", shape.TestClockRetrieveParams)
def retrieve(account: Account, params: Params, id: str) -> Resource:
    return account.get_undeleted(KIND, id)


@operation("GET", "/test_helpers/test_clocks", shape.TestClockListParams)
def list_all(account: Account, params: Params) -> Resource:
    return pagination.list_page(account, KIND, URL, params)


@operation("DELETE", "/test_helpers/test_clocks/<id>", shape.TestClockDeleteParams)
def delete(account: Account, params: Params, id: str) -> Resource:
    """Delete a clock with all its objects; tombstones of its customers remain."""
    clock = account.get_undeleted(KIND, id)
    customers = account.select("customer", "clock = ?", id)
    account.store.execute(
        "DELETE FROM objects WHERE account = ? AND clock = ? AND type NOT IN ('customer', 'event')",
        account.id, id,
    )  # fmt: skip
    for customer in customers:
        account.delete(customer)
    return account.delete(clock, "test_helpers.test_clock.deleted")


@operation("POST", "/test_helpers/test_clocks/<id>/advance", shape.TestClockAdvanceParams)
def advance(account: Account, params: Params, id: str) -> Resource:
    clock = account.get_undeleted(KIND, id)
    start_advance(account, clock, params["frozen_time"])
    return clock

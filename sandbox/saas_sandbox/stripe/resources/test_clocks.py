"""Test clocks. https://docs.stripe.com/api/test_clocks"""

import stripe
from stripe.params import test_helpers as shape

from .. import ids, pages
from ..account import Account
from ..errors import invalid
from ..operations import operation
from ..params import Params
from ..resource import Resource
from ..shapes import shaped

KIND = "test_helpers.test_clock"
URL = "/v1/test_helpers/test_clocks"
DAY = 86400
LATEST = 4102444800 * 2


@operation("POST", "/test_helpers/test_clocks", shape.TestClockCreateParams)
def create(account: Account, params: Params) -> Resource:
    clock = new_clock(account, params["frozen_time"], params.get("name"))
    return account.add(clock, "test_helpers.test_clock.created")


@operation("GET", "/test_helpers/test_clocks/<id>", shape.TestClockRetrieveParams)
def retrieve(account: Account, params: Params, id: str) -> Resource:
    return account.live(KIND, id)


@operation("GET", "/test_helpers/test_clocks", shape.TestClockListParams)
def list_all(account: Account, params: Params) -> Resource:
    return pages.page(account, KIND, URL, params)


@operation("DELETE", "/test_helpers/test_clocks/<id>", shape.TestClockDeleteParams)
def delete(account: Account, params: Params, id: str) -> Resource:
    """What lives on a clock goes with it; of its customers, tombstones remain."""
    clock = account.live(KIND, id)
    customers = account.select("customer", "clock = ?", id)
    account.store.execute(
        "DELETE FROM objects WHERE account = ? AND clock = ? AND type NOT IN ('customer', 'event')",
        account.id, id,
    )  # fmt: skip
    for customer in customers:
        account.bury(customer)
    return account.bury(clock, "test_helpers.test_clock.deleted")


@operation("POST", "/test_helpers/test_clocks/<id>/advance", shape.TestClockAdvanceParams)
def advance(account: Account, params: Params, id: str) -> Resource:
    clock = account.live(KIND, id)
    move_to(account, clock, params["frozen_time"])
    return clock


def new_clock(account: Account, frozen_time: int, name: str | None) -> Resource:
    if not 0 <= frozen_time <= LATEST:
        raise invalid("Invalid timestamp.", "frozen_time", "parameter_invalid_integer")
    clock = shaped(
        stripe.test_helpers.TestClock,
        id=ids.new(KIND),
        created=account.now(),
        deletes_after=account.now() + 30 * DAY,
        frozen_time=frozen_time,
        name=name,
        status="ready",
        status_details={},
    )
    return {**clock, "_": {"time": frozen_time, "happened": 0}}


def move_to(account: Account, clock: Resource, moment: int) -> None:
    """Start advancing. The answer comes at once; the clock is ready when all has happened."""
    if clock["status"] != "ready":
        raise invalid("This test clock is still advancing.", code="test_clock_advancing")
    if moment <= clock["frozen_time"]:
        raise invalid(
            "frozen_time must be after the test clock's current frozen time.", "frozen_time"
        )
    if moment > LATEST:
        raise invalid("Invalid timestamp.", "frozen_time", "parameter_invalid_integer")
    clock["_"]["started"] = clock["_"]["time"]
    clock["_"]["happened"] = 0
    clock["frozen_time"] = moment
    clock["status"] = "advancing"
    clock["status_details"] = {"advancing": {"target_frozen_time": moment}}
    account.change(clock, "test_helpers.test_clock.advancing")

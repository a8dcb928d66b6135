"""Create and advance test clocks. https://docs.stripe.com/api/test_clocks"""

import stripe

from saas_sandbox.stripe.engine import ids
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.errors import invalid
from saas_sandbox.stripe.engine.resource import Resource
from saas_sandbox.stripe.engine.shapes import build_object

KIND = "test_helpers.test_clock"
DAY = 86400
MAX_TIME = 4102444800 * 2


def build_clock(account: Account, frozen_time: int, name: str | None) -> Resource:
    if not 0 <= frozen_time <= MAX_TIME:
        raise invalid("Invalid timestamp.", "frozen_time", "parameter_invalid_integer")
    clock = build_object(
        stripe.test_helpers.TestClock,
        id=ids.new(KIND),
        created=account.now(),
        deletes_after=account.now() + 30 * DAY,
        frozen_time=frozen_time,
        name=name,
        status="ready",
        status_details={},
    )
    return {**clock, "_internal": {"time": frozen_time, "happened": 0}}


def start_advance(account: Account, clock: Resource, moment: int) -> None:
    """Start advancing. The response is immediate; the clock becomes ready when all is done."""
    if clock["status"] != "ready":
        raise invalid("This test clock is still advancing.", code="test_clock_advancing")
    if moment <= clock["frozen_time"]:
        raise invalid(
            "frozen_time must be after the test clock's current frozen time.", "frozen_time"
        )
    if moment > MAX_TIME:
        raise invalid("Invalid timestamp.", "frozen_time", "parameter_invalid_integer")
    clock["_internal"]["started"] = clock["_internal"]["time"]
    clock["_internal"]["happened"] = 0
    clock["frozen_time"] = moment
    clock["status"] = "advancing"
    clock["status_details"] = {"advancing": {"target_frozen_time": moment}}
    account.save(clock, "test_helpers.test_clock.advancing")

"""Faults as a caller of the API meets them: slow, refused, broken, cut off, or rubbish."""

import time
from dataclasses import dataclass
from typing import Any

from flask import Response

from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.errors import StripeError
from saas_sandbox.stripe.faults import injection

RUBBISH = b"<html><body>502 Bad Gateway</body></html>"

TOO_MANY: dict[str, Any] = {
    "status": 429,
    "code": "rate_limit",
    "message": "Request rate limit exceeded. Learn more about rate limits here "
    "https://stripe.com/docs/rate-limits.",
}
BROKEN: dict[str, Any] = {
    "status": 500,
    "type": "api_error",
    "message": "An unknown error occurred while processing your request. (This is chaos.)",
}


@dataclass(frozen=True)
class CallFault:
    """What goes wrong with one call, and how many seconds a slow one takes."""

    name: str | None
    seconds: float


def decide(account: Account) -> CallFault:
    """Decide what happens to this call, before anything is done."""
    return CallFault(injection.pick_for_call(account), injection.current(account).slow_seconds)


def refuse(fault: CallFault) -> None:
    """Raise the error of a fault that refuses the call."""
    if fault.name == "too_many":
        raise StripeError(**TOO_MANY)
    if fault.name == "broken":
        raise StripeError(**BROKEN)


def delay(fault: CallFault) -> None:
    """Be slow, while other requests go on beside this one."""
    if fault.name == "slow":
        time.sleep(fault.seconds)


def corrupt(fault: CallFault, response: Response) -> Response:
    """The work is done, and its answer never arrives: what idempotency keys are for."""
    if fault.name == "rubbish":
        return Response(RUBBISH, 200, mimetype="text/html")
    if fault.name != "cut":
        return response

    whole = response.get_data()
    cut = Response(whole[: len(whole) // 2], response.status_code, mimetype="application/json")
    cut.headers["Content-Length"] = str(len(whole))
    cut.headers["Connection"] = "close"
    return cut

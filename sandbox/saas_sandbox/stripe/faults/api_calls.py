"""Faults of API calls: slow, refused, failed, cut off, or rubbish."""

import time
from dataclasses import dataclass
from typing import Any

from flask import Response

from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.errors import StripeError
from saas_sandbox.stripe.faults import injection

INVALID_BODY = b"<html><body>502 Bad Gateway</body></html>"

RATE_LIMITED: dict[str, Any] = {
    "status": 429,
    "code": "rate_limit",
    "message": "Request rate limit exceeded. Learn more about rate limits here "
    "https://stripe.com/docs/rate-limits.",
}
SERVER_ERROR: dict[str, Any] = {
    "status": 500,
    "type": "api_error",
    "message": "An unknown error occurred while processing your request. (This is an injected "
    "fault.)",
}


@dataclass(frozen=True)
class CallFault:
    """The fault of one call, and the seconds of a slow one."""

    name: str | None
    seconds: float


def choose_fault(account: Account) -> CallFault:
    """Choose the fault of this call before it is executed."""
    return CallFault(injection.pick_call_fault(account), injection.get_faults(account).slow_seconds)


def raise_refusal(fault: CallFault) -> None:
    """Raise the error of a fault that refuses the call."""
    if fault.name == "too_many":
        raise StripeError(**RATE_LIMITED)
    if fault.name == "broken":
        raise StripeError(**SERVER_ERROR)


def apply_latency(fault: CallFault) -> None:
    """Delay the call, while other requests continue."""
    if fault.name == "slow":
        time.sleep(fault.seconds)


def corrupt_response(fault: CallFault, response: Response) -> Response:
    """Corrupt the response after the call took effect, to test idempotency keys."""
    if fault.name == "rubbish":
        return Response(INVALID_BODY, 200, mimetype="text/html")
    if fault.name != "cut":
        return response

    body = response.get_data()
    truncated = Response(body[: len(body) // 2], response.status_code, mimetype="application/json")
    truncated.headers["Content-Length"] = str(len(body))
    truncated.headers["Connection"] = "close"
    return truncated

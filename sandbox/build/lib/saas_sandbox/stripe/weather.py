"""How bad weather looks to a caller of the API: slow, refused, broken, cut off, or rubbish."""

import time
from dataclasses import dataclass
from typing import Any

from flask import Response, request

from . import chaos
from .accounts import opened
from .errors import StripeError

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
class Mishap:
    """What befalls one call, and how long it lingers."""

    name: str | None
    seconds: float


def befalls(sandbox: Any, key: str) -> Mishap:
    """Decide for this call, before anything is done; refusals are raised at once."""
    with sandbox.store.unit():
        account = opened(sandbox.store, key, request.host_url.rstrip("/"), sandbox.now)
        mishap = chaos.of_call(account)
        seconds = chaos.weather(account).slow_seconds
    if mishap == "too_many":
        raise StripeError(**TOO_MANY)
    if mishap == "broken":
        raise StripeError(**BROKEN)
    return Mishap(mishap, seconds)


def linger(mishap: Mishap) -> None:
    """Be slow, while other requests go on beside this one."""
    if mishap.name == "slow":
        time.sleep(mishap.seconds)


def spoiled(mishap: Mishap, response: Response) -> Response:
    """The work is done, and its answer never arrives: what idempotency keys are for."""
    if mishap.name == "rubbish":
        return Response(RUBBISH, 200, mimetype="text/html")
    if mishap.name != "cut":
        return response

    whole = response.get_data()
    cut = Response(whole[: len(whole) // 2], response.status_code, mimetype="application/json")
    cut.headers["Content-Length"] = str(len(whole))
    cut.headers["Connection"] = "close"
    return cut

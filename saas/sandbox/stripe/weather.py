"""How bad weather looks to a caller of the API: slow, refused, broken, cut off, or rubbish."""

import time
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


def befalls(sandbox: Any, key: str) -> str | None:
    """Decide for this call, before anything is done; slow is waited out, refusals are raised."""
    with sandbox.store.unit():
        account = opened(sandbox.store, key, request.host_url.rstrip("/"), sandbox.now)
        mishap = chaos.of_call(account)
        seconds = chaos.weather(account).slow_seconds
    if mishap == "slow":
        time.sleep(seconds)
    if mishap == "too_many":
        raise StripeError(**TOO_MANY)
    if mishap == "broken":
        raise StripeError(**BROKEN)
    return mishap


def spoiled(mishap: str | None, response: Response) -> Response:
    """The work is done, and its answer never arrives: what idempotency keys are for."""
    if mishap == "rubbish":
        return Response(RUBBISH, 200, mimetype="text/html")
    if mishap != "cut":
        return response

    whole = response.get_data()
    cut = Response(whole[: len(whole) // 2], response.status_code, mimetype="application/json")
    cut.headers["Content-Length"] = str(len(whole))
    cut.headers["Connection"] = "close"
    return cut

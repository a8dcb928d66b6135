"""Call Stripe: clients, deadlines, and errors."""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, TypeVar

from flask import current_app

from saas import database, deadlines, http, logs, metrics

if TYPE_CHECKING:
    import stripe

T = TypeVar("T")

_BACKGROUND_TIMEOUT = (2.0, 8.0)  # seconds to connect and to read, for operators' commands
_REQUEST_TIMEOUT = (2.0, 4.0)  # while a browser or Stripe waits for our response
_ATTEMPTS_WHILE_IN_USE = 12  # over about nine seconds
# Raised by reading a response of an unexpected shape, in the SDK or here.
_SHAPE_ERRORS = (
    AttributeError, LookupError, TypeError, ValueError, ArithmeticError, RecursionError,
)  # fmt: skip

# https://docs.stripe.com/api/errors: 424 is "a failure in a dependency external to Stripe".
_DEPENDENCY_OR_TIMEOUT = (408, 424)
_KEY = re.compile(r"\b((?:sk|rk|pk)_(?:live_|test_)?)[\w*]{6,}")

log = logging.getLogger("saas.billing")


class Throttle(Protocol):
    """Decides when a call is made, and whether it is retried."""

    def __call__(self, ask: Callable[[], T], /) -> T: ...


_throttle: ContextVar[Throttle | None] = ContextVar("pace", default=None)


class StripeError(Exception):
    """A call to Stripe failed."""


class Unavailable(StripeError):
    """Stripe is unreachable or overloaded, or refuses our key. Try again later.

    `pause` is the number of seconds that Stripe asks us to wait, if any.
    """

    pause: float | None = None


class RateLimited(Unavailable):
    """The calls exceed Stripe's rate limit."""


class IdempotencyKeyInUse(Unavailable):
    """Another request with the same key or object is in progress (HTTP 409)."""


class Unreadable(Unavailable):
    """Stripe's response has an unexpected shape; the message names the field."""


class AuthenticationFailed(Unavailable):
    """The API key is invalid or lacks a permission."""


class NotConfigured(Unavailable):
    """The API key, or the price to be sold, is not configured."""


class NotFound(StripeError):
    """The object does not exist in Stripe, or was deleted."""


class CustomerDeleted(NotFound):
    """The customer existed and was deleted."""


class InvalidRequest(StripeError):
    """Stripe refused the request (4xx), with Stripe's message and `code`."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


def is_refusal(error: StripeError) -> bool:
    """Return whether Stripe or our configuration refused the call, so a retry will not help."""
    return not isinstance(error, Unavailable) or isinstance(
        error, AuthenticationFailed | NotConfigured
    )


def describe(error: StripeError) -> str:
    """Describe an error with Stripe's reason and without email addresses."""
    reason = logs.without_addresses(str(error).rstrip("."))
    if isinstance(error, Unreadable | NotConfigured):
        return reason
    if is_refusal(error):
        return f"Stripe refused: {reason}"
    return f"Stripe did not answer: {reason}"


def is_live() -> bool:
    """Return whether our key is a live key. Events of the other mode are ignored."""
    return "_live_" in current_app.config["STRIPE_API_KEY"]


def call(ask: Callable[[stripe.StripeClient], T]) -> T:
    """Call Stripe without holding a transaction, and raise our own errors.

    With a deadline, calls have short timeouts, are not retried by the SDK, and fail once it has
    passed.
    """
    pace = _throttle.get()
    return pace(lambda: _call(ask)) if pace else _call(ask)


@contextmanager
def call_through(pace: Throttle) -> Iterator[None]:
    """Route all calls in the block through `pace`, which decides when they run and are retried."""
    token = _throttle.set(pace)
    try:
        yield
    finally:
        _throttle.reset(token)


def _call(ask: Callable[[stripe.StripeClient], T]) -> T:
    database.release_connection()
    for attempt in range(1, _ATTEMPTS_WHILE_IN_USE):
        try:
            return _call_once(ask)
        except IdempotencyKeyInUse:
            _wait(attempt)
    return _call_once(ask)


def _call_once(ask: Callable[[stripe.StripeClient], T]) -> T:
    import stripe

    check_deadline()
    try:
        with metrics.timing_stripe_call():
            return _within_deadline(ask)
    except stripe.StripeError as error:
        raise _convert(error) from error
    except _SHAPE_ERRORS as error:
        message = f"{type(error).__name__}: {error}"
        raise Unreadable(f"Stripe's answer could not be read ({message})") from error


def _wait(attempt: int) -> None:
    """Wait until the other request ends; its key then replays the same response."""
    pause = min(0.1 * 2**attempt, 1.0) * random.uniform(0.75, 1.25)  # noqa: S311 - jitter
    time.sleep(min(pause, deadlines.remaining(otherwise=pause)))


def _convert(error: stripe.StripeError) -> StripeError:
    """Return our error: an outage, a refusal, or a missing object."""
    import stripe

    status, code, reason = error.http_status or 0, _code(error), str(error.user_message or error)
    if code == "lock_timeout" or status == 409:
        return _unavailable(error, IdempotencyKeyInUse)
    if code == "resource_missing" or status == 404:
        return NotFound(reason)
    if status in (401, 403):
        return _unavailable(error, AuthenticationFailed)
    if status == 429 or isinstance(error, stripe.RateLimitError):
        return _unavailable(error, RateLimited)
    if 400 <= status < 500 and status not in _DEPENDENCY_OR_TIMEOUT:
        return InvalidRequest(reason, code)
    return _unavailable(error, Unavailable)


def _code(error: stripe.StripeError) -> str:
    """Return Stripe's error code, which the SDK sets only for some statuses."""
    body = error.json_body if isinstance(error.json_body, dict) else {}
    details = body.get("error")
    code = error.code or (details.get("code") if isinstance(details, dict) else None)
    is_reused = type(error).__name__ == "IdempotencyError"
    return str(code or ("idempotency_error" if is_reused else ""))


def _unavailable(error: stripe.StripeError, kind: type[Unavailable]) -> Unavailable:
    unavailable = kind(_message(error))
    retry_after = str((error.headers or {}).get("retry-after", ""))
    unavailable.pause = float(retry_after) if retry_after.isdigit() else None
    return unavailable


def _within_deadline(ask: Callable[[stripe.StripeClient], T]) -> T:
    client = _client()
    try:
        return deadlines.run_within_deadline(lambda: ask(client), name="stripe")
    except TimeoutError:
        raise Unavailable("deadline exceeded") from None


def _message(error: stripe.StripeError) -> str:
    """Return the error's type and reason: the network's, or Stripe's with keys masked."""
    if error.http_status is None:
        cause = error.__cause__
        return f"{type(error).__name__}: {http.root_cause(cause)}" if cause else _kind(error)
    reason = _KEY.sub(r"\1…", error.user_message or "").rstrip(".")
    return f"{_kind(error)}: {reason}" if reason else _kind(error)


def _kind(error: stripe.StripeError) -> str:
    return f"{type(error).__name__} {error.http_status or ''}".strip()


def call_unless_missing(ask: Callable[[stripe.StripeClient], object]) -> None:
    try:
        call(ask)
    except NotFound:
        return


def call_for_customer(ask: Callable[[stripe.StripeClient], T]) -> T:
    """Call Stripe for a customer, and check the key before treating the customer as deleted.

    With a key of another account or mode, none of our customers exist. Plans would end and accounts
    would be deleted while users are still charged. Our prices do not exist there either.
    """
    try:
        return call(ask)
    except CustomerDeleted:
        raise
    except NotFound:
        prices = [
            price_id for sold in current_app.config["STRIPE_PRICES"].values() for price_id in sold
        ]
        if prices and not any(_is_known(price) for price in prices):
            raise Unavailable(
                "Neither the customer nor any of our prices exists in Stripe. "
                "Does STRIPE_API_KEY belong to another account or mode?"
            ) from None
        raise


def _is_known(price_id: str) -> bool:
    try:
        call(lambda client: client.v1.prices.retrieve(price_id))
    except NotFound:
        return False
    return True


def _client() -> stripe.StripeClient:
    """Return the client for requests with a deadline or for commands, cached per application."""
    prompt = deadlines.is_set()
    clients = current_app.extensions.setdefault("stripe", {})
    if prompt not in clients:
        clients[prompt] = _new_client(prompt)
    client: stripe.StripeClient = clients[prompt]
    return client


def _new_client(prompt: bool) -> stripe.StripeClient:
    import stripe

    from saas.billing.gateway.http import DeadlineSession

    if not current_app.config["STRIPE_API_KEY"]:
        raise NotConfigured("STRIPE_API_KEY is not set; `make run` and `flask seed` set it up")
    # Telemetry writes a file under HOME, and without HOME every call fails.
    stripe.enable_telemetry = False
    connect, read = current_app.config.get("STRIPE_TIMEOUTS") or (
        _REQUEST_TIMEOUT if prompt else _BACKGROUND_TIMEOUT
    )
    return stripe.StripeClient(
        current_app.config["STRIPE_API_KEY"],
        base_addresses={"api": current_app.config["STRIPE_API_BASE"]},
        max_network_retries=0 if prompt else 2,
        http_client=stripe.RequestsClient(timeout=(connect, read), session=DeadlineSession()),
    )


def check_deadline() -> None:
    if deadlines.has_expired():
        raise Unavailable("deadline exceeded")


def require_id(value: str) -> str:
    """Refuse an empty id, for which Stripe's SDK would list all objects."""
    if not value:
        raise NotFound("no id")
    return value


def from_timestamp(timestamp: int) -> datetime:
    return datetime.fromtimestamp(timestamp, UTC)

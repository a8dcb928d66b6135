"""Calling Stripe: which client, for how long, and what went wrong in our words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, TypeVar

from flask import current_app

from saas import database, patience

if TYPE_CHECKING:
    import stripe

T = TypeVar("T")

_PATIENT = (2.0, 8.0)  # seconds to connect and to read, for operators' commands
_PROMPT = (2.0, 4.0)  # while a browser or Stripe itself waits for our answer


class Pace(Protocol):
    """Decides when a call is made, and whether once more."""

    def __call__(self, ask: Callable[[], T], /) -> T: ...


_pace: ContextVar[Pace | None] = ContextVar("pace", default=None)


class StripeError(Exception):
    """Stripe did not do what was asked."""


class Unavailable(StripeError):
    """Stripe cannot be reached, is overloaded or refuses our key: trying again may help.

    `pause`: how many seconds Stripe asks us to wait, where it has said so.
    """

    pause: float | None = None


class Overloaded(Unavailable):
    """More calls than Stripe's rate limit allows: it will answer a moment later."""


class KeyRefused(Unavailable):
    """Stripe does not know our key, or the key may not do this."""


class NotConfigured(Unavailable):
    """There is no API key, or no price for what is to be sold."""


class Gone(StripeError):
    """The thing does not exist at Stripe, or has been deleted there."""


class Deleted(Gone):
    """It existed, and Stripe says so."""


class Refused(StripeError):
    """Stripe understood and said no; the message is Stripe's."""


def is_live() -> bool:
    """Whether our key is a live one, so that events of the test mode are not ours."""
    return "_live_" in current_app.config["STRIPE_API_KEY"]


def call(ask: Callable[[stripe.StripeClient], T]) -> T:
    """Ask Stripe, with no transaction held meanwhile, and say in our words what went wrong.

    Where somebody waits for our answer (`patience`), calls are prompt, not retried by the SDK, and
    refused once time is up.
    """
    pace = _pace.get()
    return pace(lambda: _call(ask)) if pace else _call(ask)


@contextmanager
def calls_through(pace: Pace) -> Iterator[None]:
    """Let every call within go through `pace`, which decides when, and whether once more."""
    token = _pace.set(pace)
    try:
        yield
    finally:
        _pace.reset(token)


def _call(ask: Callable[[stripe.StripeClient], T]) -> T:
    import stripe

    database.end_reading()
    check_deadline()
    try:
        return _in_time(ask)
    except stripe.InvalidRequestError as error:
        if error.code == "resource_missing" or error.http_status == 404:
            raise Gone(str(error.user_message or error)) from None
        raise Refused(str(error.user_message or error)) from None
    except stripe.CardError as error:
        raise Refused(str(error.user_message or error)) from None
    except stripe.StripeError as error:
        raise _unavailable(error) from error


def _unavailable(error: stripe.StripeError) -> Unavailable:
    kinds = {401: KeyRefused, 403: KeyRefused, 429: Overloaded}
    kind = kinds.get(error.http_status or 0, Unavailable)
    said = kind(_words(error))
    asked = str((error.headers or {}).get("retry-after", ""))
    said.pause = float(asked) if asked.isdigit() else None
    return said


def _in_time(ask: Callable[[stripe.StripeClient], T]) -> T:
    client = _client()
    try:
        return patience.in_time(lambda: ask(client), name="stripe")
    except TimeoutError:
        raise Unavailable("out of time") from None


def _words(error: stripe.StripeError) -> str:
    """The kind of error; of a key that may not do this also Stripe's words, which say what it may.

    Those of a wrong key show a part of it, so they are left out.
    """
    kind = f"{type(error).__name__} {error.http_status or ''}".strip()
    return f"{kind}: {error.user_message}" if error.http_status == 403 else kind


def call_unless_gone(ask: Callable[[stripe.StripeClient], object]) -> None:
    try:
        call(ask)
    except Gone:
        return


def call_about_customer(ask: Callable[[stripe.StripeClient], T]) -> T:
    """`call`, where a customer that Stripe does not know is not easily taken for gone.

    A key of another account, or of another mode, knows none of our customers: plans would end and
    accounts close though everybody is still charged. Such a key knows none of our prices either.
    """
    try:
        return call(ask)
    except Deleted:
        raise
    except Gone:
        prices = [each for sold in current_app.config["STRIPE_PRICES"].values() for each in sold]
        if prices and not any(_is_known(price) for price in prices):
            raise Unavailable(
                "Stripe knows neither the customer nor any price of ours: "
                "is STRIPE_API_KEY of another account, or of another mode?"
            ) from None
        raise


def _is_known(price_id: str) -> bool:
    try:
        call(lambda client: client.v1.prices.retrieve(price_id))
    except Gone:
        return False
    return True


def _client() -> stripe.StripeClient:
    """One client for calls that somebody waits for, one for commands, kept by the application."""
    prompt = patience.is_limited()
    clients = current_app.extensions.setdefault("stripe", {})
    if prompt not in clients:
        clients[prompt] = _new_client(prompt)
    client: stripe.StripeClient = clients[prompt]
    return client


def _new_client(prompt: bool) -> stripe.StripeClient:
    import stripe

    from saas.billing.gateway.connections import Hasty

    if not current_app.config["STRIPE_API_KEY"]:
        raise NotConfigured("STRIPE_API_KEY is not set; `make run` and `flask seed` set it up")
    # Telemetry would write a file under HOME, and with no HOME every call raises.
    stripe.enable_telemetry = False
    connect, read = current_app.config.get("STRIPE_TIMEOUTS") or (_PROMPT if prompt else _PATIENT)
    return stripe.StripeClient(
        current_app.config["STRIPE_API_KEY"],
        base_addresses={"api": current_app.config["STRIPE_API_BASE"]},
        max_network_retries=0 if prompt else 2,
        http_client=stripe.RequestsClient(timeout=(connect, read), session=Hasty()),
    )


def check_deadline() -> None:
    if patience.is_over():
        raise Unavailable("out of time")


def given(value: str) -> str:
    """Stripe's SDK lists everything when it is asked for the empty id."""
    if not value:
        raise Gone("no id")
    return value


def when(timestamp: int) -> datetime:
    return datetime.fromtimestamp(timestamp, UTC)

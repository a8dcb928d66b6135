"""The one module that speaks to Stripe. Plain values and our own errors cross this wall.

The sandbox is reached in exactly the same way: only the base address differs.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from flask import current_app

from saas import database

if TYPE_CHECKING:
    import stripe

T = TypeVar("T")
log = logging.getLogger("saas.billing")

SIGNATURE_TOLERANCE = 300  # seconds, both sides; Stripe's own default for the past
_PATIENT = (2.0, 8.0)  # seconds to connect and to read, for operators' commands
_PROMPT = (2.0, 4.0)  # while a browser or Stripe itself waits for our answer
_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


class StripeError(Exception):
    """Stripe did not do what was asked."""


class Unavailable(StripeError):
    """Stripe cannot be reached, is overloaded or refuses our key: trying again may help."""


class NotConfigured(Unavailable):
    """There is no API key, or no price for what is to be sold."""


class Gone(StripeError):
    """The thing does not exist at Stripe, or has been deleted there."""


class Refused(StripeError):
    """Stripe understood and said no; the message is Stripe's."""


class BadSignature(Exception):
    """The request was not signed by Stripe with a secret of ours, or not just now."""


class BadEvent(Exception):
    """The request was signed, but is not an event that can be read."""


@dataclass(frozen=True)
class Event:
    """What we read of an event: an event is a doorbell, so ids and no content."""

    id: str
    type: str
    created: datetime
    livemode: bool
    api_version: str | None
    account: str | None
    customer_id: str | None
    object_id: str | None


@dataclass(frozen=True)
class Subscription:
    """A subscription as our columns need it."""

    id: str
    status: str
    created: datetime
    price_ids: tuple[str, ...]
    period_ends: Mapping[str, datetime]  # by price
    cancel_at: datetime | None
    metadata: Mapping[str, str] = field(default_factory=dict)

    def period_end(self, price_id: str | None) -> datetime | None:
        if price_id in self.period_ends:
            return self.period_ends[price_id]
        return max(self.period_ends.values(), default=None)


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Within this, calls are prompt, not retried by the SDK, and refused once time is up.

    Stripe waits some ten seconds for a webhook's answer, and people less.
    """
    token = _deadline.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


# --- what is true at Stripe ---------------------------------------------------------------------


def subscriptions_of(customer_id: str) -> list[Subscription]:
    """All subscriptions of a customer, ended ones included. Raises `Gone`, `Unavailable`."""

    def fetch(client: stripe.StripeClient) -> list[Subscription]:
        customer = client.v1.customers.retrieve(_id(customer_id))
        if getattr(customer, "deleted", False):
            raise Gone(customer_id)
        page = client.v1.subscriptions.list(
            {"customer": customer_id, "status": "all", "limit": 100}
        )
        found = []
        for subscription in page.auto_paging_iter():
            _check_deadline()
            found.append(_subscription(subscription))
        return found

    return _call(fetch)


def unpaid_since(subscription_id: str) -> datetime | None:
    """When the oldest open invoice of a subscription was made; None when nothing is open."""

    def fetch(client: stripe.StripeClient) -> datetime | None:
        page = client.v1.invoices.list(
            {"subscription": _id(subscription_id), "status": "open", "limit": 100}
        )
        return min((_when(invoice.created) for invoice in page.auto_paging_iter()), default=None)

    return _call(fetch)


def _subscription(found: Any) -> Subscription:
    ends = {}
    for item in found["items"].data:
        # The item carries the period since 2025-03-31.basil; an endpoint may be pinned to before.
        end = getattr(item, "current_period_end", None) or getattr(
            found, "current_period_end", None
        )
        if end is not None:
            ends[item.price.id] = _when(end)
    # A cancellation in the portal sets cancel_at on flexible billing, the flag on classic.
    cancel_at = found.cancel_at
    if cancel_at is None and found.cancel_at_period_end:
        cancel_at = int(max(ends.values()).timestamp()) if ends else None
    return Subscription(
        id=found.id,
        status=found.status,
        created=_when(found.created),
        price_ids=tuple(item.price.id for item in found["items"].data),
        period_ends=ends,
        cancel_at=_when(cancel_at) if cancel_at is not None else None,
        metadata=dict(found.metadata.to_dict()) if found.metadata else {},
    )


# --- customers, checkout, portal ----------------------------------------------------------------


def create_customer(email: str, name: str | None, metadata: Mapping[str, str], key: str) -> str:
    """A customer's id; the same one whenever the same key and address come again."""
    key = f"{key}:{hashlib.sha256(email.encode()).hexdigest()[:12]}"
    params: Any = {"email": email, "metadata": dict(metadata)}
    if name:
        params["name"] = name
        key = f"{key}:{hashlib.sha256(name.encode()).hexdigest()[:12]}"
    return _call(lambda client: client.v1.customers.create(params, {"idempotency_key": key}).id)


def delete_customer(customer_id: str) -> None:
    """Delete a customer at Stripe, which cancels what is left and bars new subscriptions."""
    _call_unless_gone(lambda client: client.v1.customers.delete(_id(customer_id)))


def cancel(subscription_id: str) -> None:
    """End a subscription now. One that has ended already stays ended."""
    _call_unless_gone(lambda client: client.v1.subscriptions.cancel(_id(subscription_id)))


@dataclass(frozen=True)
class Page:
    """A hosted page of Stripe's to send somebody to."""

    id: str
    url: str
    nonce: str | None = None


def open_checkouts(customer_id: str) -> list[Page]:
    """The checkout pages on which this customer could still pay."""

    def fetch(client: stripe.StripeClient) -> list[Page]:
        page = client.v1.checkout.sessions.list(
            {"customer": _id(customer_id), "status": "open", "limit": 100}
        )
        return [
            Page(found.id, found.url or "", (found.metadata or {}).get("nonce"))
            for found in (_with_plain_metadata(item) for item in page.auto_paging_iter())
        ]

    return _call(fetch)


@dataclass(frozen=True)
class _Plain:
    id: str
    url: str | None
    metadata: dict[str, str]


def _with_plain_metadata(found: Any) -> _Plain:
    return _Plain(found.id, found.url, found.metadata.to_dict() if found.metadata else {})


def expire_checkout(session_id: str) -> None:
    """Close a checkout page; one that was paid or has expired meanwhile stays as it is."""
    try:
        _call_unless_gone(lambda client: client.v1.checkout.sessions.expire(_id(session_id)))
    except Refused as error:
        log.info("checkout %s could not be expired: %s", session_id, error)


def start_checkout(
    *,
    customer_id: str,
    price_id: str,
    metadata: Mapping[str, str],
    key: str,
    success_url: str,
    cancel_url: str,
) -> Page:
    """A hosted page that sells one subscription to one customer."""
    params: Any = {
        "mode": "subscription",
        "customer": customer_id,
        "client_reference_id": metadata["person"],
        "line_items": [{"price": price_id, "quantity": 1}],
        "metadata": dict(metadata),
        "subscription_data": {
            "metadata": {name: metadata[name] for name in ("installation", "person")}
        },
        "allow_promotion_codes": True,
        "success_url": success_url,
        "cancel_url": cancel_url,
    }
    if current_app.config["STRIPE_AUTOMATIC_TAX"]:
        params["automatic_tax"] = {"enabled": True}
        params["customer_update"] = {"address": "auto", "name": "auto"}
    created = _call(
        lambda client: client.v1.checkout.sessions.create(params, {"idempotency_key": key})
    )
    return Page(created.id, created.url or "")


def open_portal(customer_id: str, *, return_url: str, change: tuple[str, str] | None = None) -> str:
    """The address of the customer portal; with (subscription, price), opened at that change."""
    params: Any = {"customer": _id(customer_id), "return_url": return_url}
    if configuration := current_app.config["STRIPE_PORTAL_CONFIGURATION_ID"]:
        params["configuration"] = configuration

    def create(client: stripe.StripeClient) -> str:
        if change:
            params["flow_data"] = _change_flow(client, *change, return_url)
        return client.v1.billing_portal.sessions.create(params).url

    return _call(create)


def _change_flow(client: stripe.StripeClient, subscription_id: str, price_id: str, url: str) -> Any:
    subscription = client.v1.subscriptions.retrieve(_id(subscription_id))
    item = subscription["items"].data[0]
    return {
        "type": "subscription_update_confirm",
        "subscription_update_confirm": {
            "subscription": subscription_id,
            "items": [{"id": item.id, "price": price_id, "quantity": 1}],
        },
        "after_completion": {"type": "redirect", "redirect": {"return_url": url}},
    }


# --- the catalogue and the endpoint, for setting up ----------------------------------------------


@dataclass(frozen=True)
class Price:
    """A price as the catalogue compares it: cents of US dollars an interval."""

    id: str
    product_id: str
    lookup_key: str
    cents: int
    interval: str


def prices_by_lookup_key(keys: Sequence[str]) -> dict[str, Price]:
    """The active prices that carry these lookup keys."""

    def fetch(client: stripe.StripeClient) -> dict[str, Price]:
        page = client.v1.prices.list({"lookup_keys": list(keys), "active": True, "limit": 100})
        return {price.lookup_key: price for price in map(_price, page.auto_paging_iter())}

    return _call(fetch)


def ensure_product(product_id: str, name: str, description: str) -> str:
    """A product with this id of our choosing, made when there is none."""

    def ensure(client: stripe.StripeClient) -> str:
        import stripe

        try:
            return client.v1.products.retrieve(product_id).id
        except stripe.InvalidRequestError as error:
            if error.code != "resource_missing":
                raise
        return client.v1.products.create(
            {"id": product_id, "name": name, "description": description}
        ).id

    return _call(ensure)


def create_price(product_id: str, lookup_key: str, cents: int, interval: str) -> Price:
    """A recurring price; it takes the lookup key over from an older price."""
    params: Any = {
        "product": product_id,
        "currency": "usd",
        "unit_amount": cents,
        "recurring": {"interval": interval},
        "lookup_key": lookup_key,
        "transfer_lookup_key": True,
    }
    return _price(_call(lambda client: client.v1.prices.create(params)))


def ensure_portal_configuration(label: str, products: Mapping[str, Sequence[str]]) -> str:
    """The portal configuration marked with `label`, offering to switch between these prices."""
    params: Any = {
        "business_profile": {"headline": f"Your {current_app.config['APP_NAME']} subscription"},
        "features": {
            "customer_update": {"enabled": True, "allowed_updates": ["address", "tax_id"]},
            "invoice_history": {"enabled": True},
            "payment_method_update": {"enabled": True},
            "subscription_cancel": {"enabled": True, "mode": "at_period_end"},
            "subscription_update": {
                "enabled": True,
                "default_allowed_updates": ["price"],
                "proration_behavior": "create_prorations",
                "products": [
                    {"product": product, "prices": list(prices)}
                    for product, prices in products.items()
                ],
            },
        },
        "metadata": {"saas": label},
    }

    def ensure(client: stripe.StripeClient) -> str:
        configurations = client.v1.billing_portal.configurations
        page = configurations.list({"active": True, "limit": 100})
        for found in page.auto_paging_iter():
            if found.metadata and found.metadata.to_dict().get("saas") == label:
                return configurations.update(found.id, params).id
        return configurations.create(params).id

    return _call(ensure)


def ensure_webhook_endpoint(url: str, events: Sequence[str], *, known: bool) -> str | None:
    """An endpoint at `url` for exactly these events; its secret when it was made now.

    Stripe tells a secret once, at creation. So where ours is not `known`, the endpoint is made
    anew. Endpoints of other applications on the account are left alone.
    """
    params: Any = {"enabled_events": list(events)}

    def ensure(client: stripe.StripeClient) -> str | None:
        import stripe

        endpoints = client.v1.webhook_endpoints
        for found in endpoints.list({"limit": 100}).auto_paging_iter():
            if found.url != url:
                continue
            if known:
                endpoints.update(found.id, params)
                return None
            endpoints.delete(found.id)
        created = endpoints.create({**params, "url": url, "api_version": stripe.api_version})
        return created.secret

    return _call(ensure)


def move_webhook_endpoints(path: str, url: str) -> None:
    """Point the endpoints that end in `path` elsewhere: a sandbox whose application moved port."""

    def move(client: stripe.StripeClient) -> None:
        for found in client.v1.webhook_endpoints.list({"limit": 100}).auto_paging_iter():
            if found.url.endswith(path) and found.url != url:
                client.v1.webhook_endpoints.update(found.id, {"url": url})

    _call(move)


def attach_card(customer_id: str, payment_method: str) -> None:
    """Give a customer a default card, such as Stripe's test card `pm_card_visa`."""

    def attach(client: stripe.StripeClient) -> None:
        card = client.v1.payment_methods.attach(payment_method, {"customer": customer_id})
        client.v1.customers.update(
            customer_id, {"invoice_settings": {"default_payment_method": card.id}}
        )

    _call(attach)


def subscribe(customer_id: str, price_id: str, metadata: Mapping[str, str], key: str) -> str:
    """A subscription without a checkout page, for demo people."""
    params: Any = {
        "customer": customer_id,
        "items": [{"price": price_id}],
        "metadata": dict(metadata),
    }
    return _call(lambda client: client.v1.subscriptions.create(params, {"idempotency_key": key}).id)


def _price(found: Any) -> Price:
    return Price(
        id=found.id,
        product_id=found.product if isinstance(found.product, str) else found.product.id,
        lookup_key=found.lookup_key or "",
        cents=found.unit_amount or 0,
        interval=found.recurring.interval if found.recurring else "",
    )


# --- webhooks -----------------------------------------------------------------------------------


def verify(payload: bytes, signature: str | None) -> Event:
    """The event in a request, once its signature over the raw bytes has been checked.

    Raises `BadSignature` before anything of the payload is read, then `BadEvent`.
    """
    _verify_signature(payload, signature or "")
    try:
        body = json.loads(payload)
    except (ValueError, RecursionError):
        raise BadEvent("the body is not JSON that can be read") from None
    return _event(body)


def _verify_signature(payload: bytes, signature: str) -> None:
    from stripe import SignatureVerificationError, WebhookSignature

    if not signature.isascii():
        raise BadSignature("the signature header is not ASCII")
    if _timestamp(signature) > time.time() + SIGNATURE_TOLERANCE:
        raise BadSignature("the signature is from the future")  # the SDK looks at the past only
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError:
        raise BadSignature("the body is not UTF-8") from None
    for secret in current_app.config["STRIPE_WEBHOOK_SECRETS"]:
        try:
            WebhookSignature.verify_header(text, signature, secret, SIGNATURE_TOLERANCE)
        except SignatureVerificationError:
            continue
        return
    raise BadSignature("no signature matches a secret of ours")


def _timestamp(signature: str) -> int:
    for part in signature.split(","):
        name, _, value = part.strip().partition("=")
        if name == "t" and value.isdigit() and len(value) < 15:
            return int(value)
    raise BadSignature("the signature header has no timestamp")


def _event(body: object) -> Event:
    if not isinstance(body, dict):
        raise BadEvent("the body is not an object")
    data = body.get("data")
    subject = data.get("object") if isinstance(data, dict) else None
    if not isinstance(subject, dict):
        raise BadEvent("data.object is missing")
    for name, kind in (("id", str), ("type", str), ("created", int)):
        if not isinstance(body.get(name), kind):
            raise BadEvent(f"{name} is missing")
    return Event(
        id=body["id"],
        type=body["type"],
        created=_when(body["created"]),
        livemode=body.get("livemode") is True,
        api_version=_text(body.get("api_version")),
        account=_text(body.get("account")),
        customer_id=_customer_of(subject),
        object_id=_text(subject.get("id")),
    )


def _customer_of(subject: Mapping[str, object]) -> str | None:
    if subject.get("object") == "customer":
        return _text(subject.get("id"))
    customer = subject.get("customer")
    return _text(customer.get("id") if isinstance(customer, dict) else customer)


def _text(value: object) -> str | None:
    return value[:255] if isinstance(value, str) and value else None


# --- calling ------------------------------------------------------------------------------------


def is_live() -> bool:
    """Whether our key is a live one, so that events of the test mode are not ours."""
    return "_live_" in current_app.config["STRIPE_API_KEY"]


def _call(ask: Callable[[stripe.StripeClient], T]) -> T:
    """Ask Stripe, with no transaction held meanwhile, and say in our words what went wrong."""
    import stripe

    database.end_reading()
    _check_deadline()
    try:
        return ask(_client())
    except stripe.InvalidRequestError as error:
        if error.code == "resource_missing" or error.http_status == 404:
            raise Gone(str(error.user_message or error)) from None
        raise Refused(str(error.user_message or error)) from None
    except stripe.CardError as error:
        raise Refused(str(error.user_message or error)) from None
    except stripe.StripeError as error:
        raise Unavailable(f"{type(error).__name__} {error.http_status or ''}".strip()) from error


def _call_unless_gone(ask: Callable[[stripe.StripeClient], object]) -> None:
    try:
        _call(ask)
    except Gone:
        return


def _client() -> stripe.StripeClient:
    """One client for calls that somebody waits for, one for commands, kept by the application."""
    prompt = _deadline.get() is not None
    clients = current_app.extensions.setdefault("stripe", {})
    if prompt not in clients:
        clients[prompt] = _new_client(prompt)
    client: stripe.StripeClient = clients[prompt]
    return client


def _new_client(prompt: bool) -> stripe.StripeClient:
    import stripe

    if not current_app.config["STRIPE_API_KEY"]:
        raise NotConfigured("STRIPE_API_KEY is not set; `make run` and `flask seed` set it up")
    # Telemetry would write a file under HOME, and with no HOME every call raises.
    stripe.enable_telemetry = False
    connect, read = current_app.config.get("STRIPE_TIMEOUTS") or (_PROMPT if prompt else _PATIENT)
    return stripe.StripeClient(
        current_app.config["STRIPE_API_KEY"],
        base_addresses={"api": current_app.config["STRIPE_API_BASE"]},
        max_network_retries=0 if prompt else 2,
        http_client=stripe.RequestsClient(timeout=(connect, read)),
    )


def _check_deadline() -> None:
    ends = _deadline.get()
    if ends is not None and time.monotonic() > ends:
        raise Unavailable("out of time")


def _id(value: str) -> str:
    """Stripe's SDK lists everything when it is asked for the empty id."""
    if not value:
        raise Gone("no id")
    return value


def _when(timestamp: int) -> datetime:
    return datetime.fromtimestamp(timestamp, UTC)

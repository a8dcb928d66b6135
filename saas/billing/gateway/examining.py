"""What stands at Stripe, read for a check-up and for a plan of what is to be made."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from saas.billing.gateway.calling import call, given, when

if TYPE_CHECKING:
    import stripe


@dataclass(frozen=True)
class Endpoint:
    """Where events are delivered."""

    id: str
    url: str
    is_enabled: bool
    events: frozenset[str]
    api_version: str | None
    created: datetime


@dataclass(frozen=True)
class Portal:
    """A configuration of the customer portal, and the prices that people may switch to in it."""

    id: str
    label: str | None
    is_active: bool
    is_default: bool
    switches: bool
    prices: frozenset[str]


@dataclass(frozen=True)
class Product:
    id: str
    name: str
    description: str
    is_active: bool


def api_version() -> str:
    """The version of Stripe's API that our SDK speaks."""
    import stripe

    return stripe.api_version


def seconds_ahead() -> float:
    """How far our clock is ahead of Stripe's, by the time in the head of an answer."""

    def ask(client: stripe.StripeClient) -> float:
        answer: Any = client.v1.prices.list({"limit": 1}).last_response
        said = answer.headers.get("Date") if answer else None
        return time.time() - parsedate_to_datetime(said).timestamp() if said else 0.0

    return call(ask)


def can_charge() -> bool:
    """Whether Stripe lets the account take payments. A restricted key may not be told."""
    return call(lambda client: bool(client.v1.accounts.retrieve_current().charges_enabled))


def missing_for_tax() -> list[str] | None:
    """What Stripe Tax still lacks, such as `head_office`; None when it calculates."""

    def ask(client: stripe.StripeClient) -> list[str] | None:
        settings = client.v1.tax.settings.retrieve()
        if settings.status == "active":
            return None
        pending = settings.status_details.pending
        return list(pending.missing_fields or []) if pending else []

    return call(ask)


def endpoints() -> list[Endpoint]:
    """Every webhook endpoint of the account, those of other applications too."""

    def fetch(client: stripe.StripeClient) -> list[Endpoint]:
        page = client.v1.webhook_endpoints.list({"limit": 100})
        return [_endpoint(found) for found in page.auto_paging_iter()]

    return call(fetch)


def portals() -> list[Portal]:
    """Every configuration of the customer portal, the default one too."""

    def fetch(client: stripe.StripeClient) -> list[Portal]:
        page = client.v1.billing_portal.configurations.list(
            {"limit": 100, "expand": ["data.features.subscription_update.products"]}
        )
        return [_portal(found) for found in page.auto_paging_iter()]

    return call(fetch)


def product(product_id: str) -> Product:
    """A product. Raises `Gone`."""

    def fetch(client: stripe.StripeClient) -> Product:
        found = client.v1.products.retrieve(given(product_id))
        return Product(found.id, found.name, found.description or "", found.active)

    return call(fetch)


def _endpoint(found: Any) -> Endpoint:
    return Endpoint(
        id=found.id,
        url=found.url,
        is_enabled=found.status == "enabled",
        events=frozenset(found.enabled_events),
        api_version=found.api_version,
        created=when(found.created),
    )


def _portal(found: Any) -> Portal:
    update = found.features.subscription_update
    products = update.products or []
    return Portal(
        id=found.id,
        label=(found.metadata.to_dict() if found.metadata else {}).get("saas"),
        is_active=found.active,
        is_default=found.is_default,
        switches=update.enabled and "price" in (update.default_allowed_updates or []),
        prices=frozenset(price for product in products for price in product.prices),
    )

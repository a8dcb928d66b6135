"""Read the setup in Stripe, for `doctor` and the plan of `setup`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from saas.billing.gateway import reading
from saas.billing.gateway.client import call, require_id

if TYPE_CHECKING:
    import stripe


@dataclass(frozen=True)
class Endpoint:
    """A webhook endpoint."""

    id: str
    url: str
    is_enabled: bool
    events: frozenset[str]
    api_version: str | None
    created: datetime


@dataclass(frozen=True)
class Portal:
    """A portal configuration, and the prices that it offers."""

    id: str
    label: str | None
    is_active: bool
    is_default: bool
    switches: bool
    proration: str
    prices: frozenset[str]


@dataclass(frozen=True)
class Product:
    id: str
    name: str
    description: str
    is_active: bool
    tax_code: str | None = None


def api_version() -> str:
    """Return the API version of our SDK."""
    import stripe

    return stripe.api_version


def seconds_ahead() -> float:
    """Return how far our clock is ahead of Stripe's, by the Date header of a response."""

    def ask(client: stripe.StripeClient) -> float:
        response: Any = client.v1.prices.list({"limit": 1}).last_response
        date = response.headers.get("Date") if response else None  # a proxy may remove it
        return time.time() - parsedate_to_datetime(date).timestamp() if date else 0.0

    return call(ask)


def can_charge() -> bool:
    """Return whether the account can take payments. Restricted keys can lack this permission."""
    return call(
        lambda client: reading.flag(client.v1.accounts.retrieve_current(), "charges_enabled")
    )


def missing_for_tax() -> list[str] | None:
    """Return the settings that Stripe Tax lacks, such as `head_office`; None if it is active."""

    def ask(client: stripe.StripeClient) -> list[str] | None:
        settings = client.v1.tax.settings.retrieve()
        if reading.text(settings, "status") == "active":
            return None
        details = reading.part(settings, "status_details")
        pending = reading.part(details, "pending") if details else None
        return reading.texts(pending, "missing_fields") if pending else []

    return call(ask)


def endpoints() -> list[Endpoint]:
    """Return all webhook endpoints of the account, including other applications'."""

    def fetch(client: stripe.StripeClient) -> list[Endpoint]:
        page = client.v1.webhook_endpoints.list({"limit": 100})
        return [_endpoint(endpoint) for endpoint in page.auto_paging_iter()]

    return call(fetch)


def portals() -> list[Portal]:
    """Return all portal configurations, including the default one."""

    def fetch(client: stripe.StripeClient) -> list[Portal]:
        page = client.v1.billing_portal.configurations.list(
            {"limit": 100, "expand": ["data.features.subscription_update.products"]}
        )
        return [_portal(configuration) for configuration in page.auto_paging_iter()]

    return call(fetch)


def product(product_id: str) -> Product:
    """Return a product. Raises `NotFound`."""

    def fetch(client: stripe.StripeClient) -> Product:
        stripe_product = client.v1.products.retrieve(require_id(product_id))
        return Product(
            id=reading.text(stripe_product, "id"),
            name=reading.text(stripe_product, "name"),
            description=reading.optional_text(stripe_product, "description") or "",
            is_active=reading.flag(stripe_product, "active"),
            tax_code=reading.id_of(stripe_product, "tax_code"),
        )

    return call(fetch)


def _endpoint(endpoint: Any) -> Endpoint:
    return Endpoint(
        id=reading.text(endpoint, "id"),
        url=reading.text(endpoint, "url"),
        is_enabled=reading.text(endpoint, "status") == "enabled",
        events=frozenset(reading.texts(endpoint, "enabled_events")),
        api_version=reading.optional_text(endpoint, "api_version"),
        created=reading.moment(endpoint, "created"),
    )


def _portal(configuration: Any) -> Portal:
    """Read a configuration whose products were expanded: Stripe omits them otherwise."""
    features = reading.part(configuration, "features")
    update = reading.part(features, "subscription_update") if features else None
    allowed = reading.texts(update, "default_allowed_updates") if update else []
    products = reading.optional_entries(update, "products") if update else []
    return Portal(
        id=reading.text(configuration, "id"),
        label=reading.metadata(configuration).get("saas"),
        is_active=reading.flag(configuration, "active"),
        is_default=reading.flag(configuration, "is_default"),
        proration=reading.text(update, "proration_behavior") if update else "",
        switches=bool(update) and reading.flag(update, "enabled") and "price" in allowed,
        prices=frozenset(
            price for product in products for price in reading.texts(product, "prices")
        ),
    )

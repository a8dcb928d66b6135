"""Create the objects that selling requires: products, prices, portal, webhook endpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import current_app

from saas import products
from saas.billing.gateway import reading
from saas.billing.gateway.client import call, call_unless_missing, require_id

if TYPE_CHECKING:
    import stripe


@dataclass(frozen=True)
class Price:
    """The fields of a price that must match the catalogue: amount, currency and interval."""

    id: str
    product_id: str
    lookup_key: str
    cents: int
    interval: str  # "month", "year" or "once"; empty for other intervals
    currency: str
    is_active: bool = True

    def is_sold_as(self, cents: int, interval: str) -> bool:
        """Return whether this price matches the catalogue."""
        return self.is_active and (self.cents, self.interval, self.currency) == (
            cents,
            interval,
            products.catalogue().currency,
        )


def prices_by_lookup_key(keys: Sequence[str]) -> dict[str, Price]:
    """Return the active prices with these lookup keys."""

    def fetch(client: stripe.StripeClient) -> dict[str, Price]:
        page = client.v1.prices.list({"lookup_keys": list(keys), "active": True, "limit": 100})
        return {price.lookup_key: price for price in map(_price, page.auto_paging_iter())}

    return call(fetch)


def price(price_id: str) -> Price:
    """Return a price by id. Raises `NotFound`; Stripe's message says if the mode is wrong."""
    return call(lambda client: _price(client.v1.prices.retrieve(require_id(price_id))))


def transfer_lookup_key(price_id: str, lookup_key: str) -> Price:
    """Give an existing price a lookup key, taken over from any other price."""
    params: Any = {"lookup_key": lookup_key, "transfer_lookup_key": True}
    return call(lambda client: _price(client.v1.prices.update(price_id, params)))


def ensure_product(product_id: str, name: str, description: str) -> str:
    """Create or update a product with this id, so that its name and description match."""
    params: Any = {"name": name, "description": description}

    def ensure(client: stripe.StripeClient) -> str:
        import stripe

        try:
            product = client.v1.products.retrieve(product_id)
        except stripe.InvalidRequestError as error:
            if error.code != "resource_missing":
                raise
            made: Any = {"id": product_id, **params}
            return reading.text(client.v1.products.create(made), "id")
        current = reading.text(product, "name"), reading.optional_text(product, "description") or ""
        if current != (name, description) or not reading.flag(product, "active"):
            changed: Any = {**params, "active": True}
            client.v1.products.update(product_id, changed)
        return reading.text(product, "id")

    return call(ensure)


def create_price(product_id: str, lookup_key: str, cents: int, interval: str) -> Price:
    """Create a price, with the interval "once" or a recurring one.

    It takes over the lookup key of an older price.
    """
    params: Any = {
        "product": product_id,
        "currency": products.catalogue().currency,
        "unit_amount": cents,
        "lookup_key": lookup_key,
        "transfer_lookup_key": True,
    }
    if interval != "once":
        params["recurring"] = {"interval": interval}
    return call(lambda client: _price(client.v1.prices.create(params)))


_REASONS = [
    "too_expensive",
    "missing_features",
    "switched_service",
    "unused",
    "customer_service",
    "too_complex",
    "low_quality",
    "other",
]


def ensure_portal_configuration(label: str, offered: Mapping[str, Sequence[str]]) -> str:
    """Return the id of the portal configuration with `label`, which offers these prices."""
    params: Any = {
        "business_profile": {"headline": f"Your {current_app.config['APP_NAME']} subscription"},
        "features": {
            "customer_update": {"enabled": True, "allowed_updates": ["address", "tax_id"]},
            "invoice_history": {"enabled": True},
            "payment_method_update": {"enabled": True},
            "subscription_cancel": {
                "enabled": True,
                "mode": "at_period_end",
                "cancellation_reason": {"enabled": True, "options": _REASONS},
            },
            "subscription_update": _plan_changes(offered),
        },
        "metadata": {"saas": label},
    }

    def ensure(client: stripe.StripeClient) -> str:
        configurations = client.v1.billing_portal.configurations
        page = configurations.list({"active": True, "limit": 100})
        for configuration in page.auto_paging_iter():
            if reading.metadata(configuration).get("saas") == label:
                changed = configurations.update(reading.text(configuration, "id"), params)
                return reading.text(changed, "id")
        return reading.text(configurations.create(params), "id")

    return call(ensure)


def _plan_changes(offered: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    if not offered:
        return {"enabled": False}
    return {
        "enabled": True,
        "default_allowed_updates": ["price"],
        "proration_behavior": products.catalogue().proration,
        "products": [
            {"product": product, "prices": list(prices)} for product, prices in offered.items()
        ],
    }


def create_webhook_endpoint(url: str, events: Sequence[str]) -> str:
    """Create an endpoint for these events in our API version, and return its secret.

    Stripe returns the secret only once: https://docs.stripe.com/api/webhook_endpoints/object
    """

    def create(client: stripe.StripeClient) -> str:
        import stripe

        params: Any = {
            "url": url,
            "enabled_events": list(events),
            "api_version": stripe.api_version,
        }
        return reading.text(client.v1.webhook_endpoints.create(params), "secret")

    return call(create)


def update_webhook_endpoint(endpoint_id: str, events: Sequence[str]) -> None:
    """Set the events of an endpoint, and enable it."""
    params: Any = {"enabled_events": list(events), "disabled": False}
    call(lambda client: client.v1.webhook_endpoints.update(endpoint_id, params))


def delete_webhook_endpoint(endpoint_id: str) -> None:
    """Delete a webhook endpoint."""
    call_unless_missing(lambda client: client.v1.webhook_endpoints.delete(require_id(endpoint_id)))


def move_webhook_endpoints(path: str, url: str) -> None:
    """Change the URL of endpoints that end in `path`, after the application's port has changed."""

    def move(client: stripe.StripeClient) -> None:
        for endpoint in client.v1.webhook_endpoints.list({"limit": 100}).auto_paging_iter():
            known = reading.text(endpoint, "url")
            if known.endswith(path) and known != url:
                client.v1.webhook_endpoints.update(reading.text(endpoint, "id"), {"url": url})

    call(move)


def _price(stripe_price: Any) -> Price:
    recurring = reading.part(stripe_price, "recurring")
    return Price(
        id=reading.text(stripe_price, "id"),
        product_id=reading.id_of(stripe_price, "product") or reading.text(stripe_price, "product"),
        lookup_key=reading.optional_text(stripe_price, "lookup_key") or "",
        cents=reading.optional_number(stripe_price, "unit_amount") or 0,
        interval=_interval(recurring),
        currency=reading.text(stripe_price, "currency"),
        is_active=reading.flag(stripe_price, "active"),
    )


def _interval(recurring: Any) -> str:
    if not recurring:
        return "once"
    is_plain = (
        reading.number(recurring, "interval_count") == 1
        and reading.text(recurring, "usage_type") == "licensed"
    )
    return reading.text(recurring, "interval") if is_plain else ""

"""What must stand at Stripe before anything can be sold: products, prices, portal, endpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import current_app

from saas.billing.gateway.calling import call

if TYPE_CHECKING:
    import stripe


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

    return call(fetch)


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

    return call(ensure)


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
    return _price(call(lambda client: client.v1.prices.create(params)))


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


def ensure_portal_configuration(label: str, products: Mapping[str, Sequence[str]]) -> str:
    """The portal configuration marked with `label`, offering to switch between these prices."""
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

    return call(ensure)


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
        made: Any = {**params, "url": url, "api_version": stripe.api_version}
        return endpoints.create(made).secret

    return call(ensure)


def move_webhook_endpoints(path: str, url: str) -> None:
    """Point the endpoints that end in `path` elsewhere: a sandbox whose application moved port."""

    def move(client: stripe.StripeClient) -> None:
        for found in client.v1.webhook_endpoints.list({"limit": 100}).auto_paging_iter():
            if found.url.endswith(path) and found.url != url:
                client.v1.webhook_endpoints.update(found.id, {"url": url})

    call(move)


def _price(found: Any) -> Price:
    return Price(
        id=found.id,
        product_id=found.product if isinstance(found.product, str) else found.product.id,
        lookup_key=found.lookup_key or "",
        cents=found.unit_amount or 0,
        interval=found.recurring.interval if found.recurring else "",
    )

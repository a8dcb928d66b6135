"""Set Stripe up for the catalogue: products, prices, portal, webhook endpoint. Idempotent.

Names and amounts come from the catalogue. Prices in Stripe cannot be changed, so a new amount
becomes a new price, which takes over the lookup key. Existing prices are reused if they have the
lookup key, or are configured and match the catalogue.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from dotenv import set_key
from flask import current_app

from saas import products, security
from saas.billing import events, gateway
from saas.billing.gateway import Endpoint, Portal, Price
from saas.plans import Plan
from saas.template_filters import exact_amount

PORTAL_LABEL = "portal"
STRIPE_INTERVAL = {"monthly": "month", "yearly": "year", "once": "once"}


@dataclass(frozen=True)
class Step:
    """A step of `set_up`: it will `create`, `update`, `remove`, `skip` or `keep` an object."""

    verb: str
    what: str


def plan() -> list[Step]:
    """Return the steps that `set_up` would take. Changes nothing."""
    prices = _existing_prices()
    return [
        *(_product_step(plan) for plan in _with_own_product(prices)),
        *(_price_step(key, price) for key, price in prices.items()),
        _portal_step(marked_portal(), prices),
        *_endpoint_steps(our_endpoints()),
    ]


def set_up(prefix: str = "") -> dict[str, str]:
    """Create the missing objects in Stripe; return environment variables with a prefix.

    The webhook secret is included only if an endpoint was created: Stripe returns it once.
    """
    prices = ensure_prices()
    by_product: dict[str, list[str]] = defaultdict(list)
    for price in prices.values():
        if price.interval != "once":  # the portal changes subscriptions
            by_product[price.product_id].append(price.id)
    names = products.catalogue().price_variables
    variables = {names[key]: _with_older(key, price.id) for key, price in prices.items()}
    variables["STRIPE_PORTAL_CONFIGURATION_ID"] = gateway.ensure_portal_configuration(
        PORTAL_LABEL, by_product
    )
    if secret := _ensure_endpoint(our_endpoints()):
        variables["STRIPE_WEBHOOK_SECRET"] = secret
    return {prefix + name: value for name, value in variables.items()}


def ensure_prices() -> dict[tuple[str, str], Price]:
    """Return the price of every plan and interval, by lookup key, such as `pro_monthly`."""
    existing = _existing_prices()
    for plan in _with_own_product(existing):
        gateway.ensure_product(_product_id(plan), plan.name, plan.summary)
    return {key: _ensure_price(key, price) for key, price in existing.items()}


def write_env(path: Path, variables: dict[str, str]) -> None:
    """Set variables in an env file and keep its other lines. Only its owner can read the file."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.chmod(0o600)
    for name, value in variables.items():
        # Unquoted, because `docker run --env-file` treats quotes as part of the value.
        set_key(path, name, value, quote_mode="never")


def marked_portal() -> Portal | None:
    """Return our portal configuration, by its metadata."""
    ours = [
        portal for portal in gateway.portals() if portal.label == PORTAL_LABEL and portal.is_active
    ]
    return ours[0] if ours else None


def our_endpoints() -> list[Endpoint]:
    """Return the endpoints with our URL. Those of other applications are not touched."""
    url = webhook_url()
    return [endpoint for endpoint in gateway.endpoints() if endpoint.url == url]


def webhook_url() -> str:
    """Return the URL of our webhook."""
    return security.public_url("billing.webhook")


def is_unreachable_by_stripe() -> bool:
    """Return whether Stripe cannot reach our URL, because it is local or private.

    `stripe listen` forwards events there: https://docs.stripe.com/webhooks#local-listener
    """
    if current_app.config["STRIPE_IS_SANDBOX"]:
        return False
    host = urlsplit(webhook_url()).hostname or ""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost" or "." not in host


def _existing_prices() -> dict[tuple[str, str], Price | None]:
    return {key: _existing_price(key) for key in products.catalogue().price_variables}


def _existing_price(key: tuple[str, str]) -> Price | None:
    """Return the price that already sells this, by lookup key or configured id."""
    lookup_key, expected = _lookup_key(*key), terms(key)
    listed = gateway.prices_by_lookup_key([lookup_key]).get(lookup_key)
    if listed and listed.is_sold_as(*expected):
        return listed
    for price_id in current_app.config["STRIPE_PRICES"].get(key, ()):
        try:
            configured = gateway.price(price_id)
        except gateway.NotFound:
            continue
        if configured.is_sold_as(*expected):
            return configured
    return None


def _ensure_price(key: tuple[str, str], existing: Price | None) -> Price:
    lookup_key = _lookup_key(*key)
    if existing is None:
        product_id = _product_id(products.catalogue().by_id[key[0]])
        return gateway.create_price(product_id, lookup_key, *terms(key))
    if existing.lookup_key != lookup_key:
        return gateway.transfer_lookup_key(existing.id, lookup_key)
    return existing


def _with_own_product(prices: Mapping[tuple[str, str], Price | None]) -> list[Plan]:
    """Return the plans whose prices belong to a product that we create."""
    ours = {
        plan_id
        for (plan_id, _), price in prices.items()
        if price is None or price.product_id == _product_id(products.catalogue().by_id[plan_id])
    }
    return [products.catalogue().by_id[plan_id] for plan_id in sorted(ours)]


def _with_older(key: tuple[str, str], price_id: str) -> str:
    """Return the price that is sold, then older ones, so that subscribers keep their plan."""
    known = current_app.config["STRIPE_PRICES"].get(key, ())
    return ",".join([price_id, *(older for older in known if older != price_id)])


def _ensure_endpoint(endpoints: list[Endpoint]) -> str | None:
    """Create or update our endpoint; return all secrets if one was created.

    Without a known secret, the endpoint is created again. The API version of an endpoint cannot be
    changed: a new one is created next to it, both secrets are accepted, and the next run removes
    the old one.
    """
    known: tuple[str, ...] = current_app.config["STRIPE_WEBHOOK_SECRETS"]
    if is_unreachable_by_stripe():
        return None
    kept = _endpoint_to_keep(endpoints)
    if kept:
        gateway.update_webhook_endpoint(kept.id, events.HANDLED_TYPES)
    if kept or not known:
        for endpoint in endpoints:
            if endpoint is not kept:
                gateway.delete_webhook_endpoint(endpoint.id)
    if kept:
        return None
    made = gateway.create_webhook_endpoint(webhook_url(), events.HANDLED_TYPES)
    return ",".join([made, *known])


def _endpoint_to_keep(endpoints: list[Endpoint]) -> Endpoint | None:
    """Return the endpoint to keep: one in our version whose secret is known."""
    if not current_app.config["STRIPE_WEBHOOK_SECRETS"]:
        return None
    usable = [endpoint for endpoint in endpoints if endpoint.api_version == gateway.api_version()]
    return max(usable, key=lambda endpoint: endpoint.created, default=None)


def _product_step(plan: Plan) -> Step:
    try:
        product = gateway.product(_product_id(plan))
    except gateway.NotFound:
        return Step("create", f"product {plan.name}")
    same = (product.name, product.description, product.is_active) == (plan.name, plan.summary, True)
    return Step("keep" if same else "update", f"product {plan.name} ({product.id})")


def _price_step(key: tuple[str, str], price: Price | None) -> Step:
    units, interval = terms(key)
    amount = exact_amount(units, products.catalogue().currency)
    rhythm = "once" if interval == "once" else f"a {interval}"
    what = f"price {_lookup_key(*key)}, {amount} {rhythm}"
    if price is None:
        older = current_app.config["STRIPE_PRICES"].get(key, ())
        kept = f"; {', '.join(older)} stays for existing subscribers" if older else ""
        return Step("create", what + kept)
    same = price.lookup_key == _lookup_key(*key)
    return Step("keep" if same else "update", f"{what} ({price.id})")


def _portal_step(portal: Portal | None, prices: dict[tuple[str, str], Price | None]) -> Step:
    if portal is None:
        return Step("create", "portal configuration with plan switching")
    price_ids = {
        price.id if price else None for (_, name), price in prices.items() if name != "once"
    }
    is_proration_right = not price_ids or portal.proration == products.catalogue().proration
    same = portal.switches == bool(price_ids) and portal.prices == price_ids and is_proration_right
    return Step("keep" if same else "update", f"portal configuration ({portal.id})")


def _endpoint_steps(endpoints: list[Endpoint]) -> Iterator[Step]:
    if is_unreachable_by_stripe():
        reason = f"Stripe cannot reach {webhook_url()}"
        yield Step("skip", f"webhook endpoint: {reason}; see `stripe listen`")
        return
    kept = _endpoint_to_keep(endpoints)
    if kept:
        same = kept.is_enabled and kept.events == set(events.HANDLED_TYPES)
        yield Step("keep" if same else "update", f"webhook endpoint {kept.url} ({kept.id})")
    else:
        yield Step(
            "create", f"webhook endpoint {webhook_url()}, {len(events.HANDLED_TYPES)} events"
        )
    goes = kept or not current_app.config["STRIPE_WEBHOOK_SECRETS"]
    for endpoint in endpoints:
        if endpoint is not kept:
            why = "its secret is unknown" if not kept and goes else f"API {endpoint.api_version}"
            yield Step("remove" if goes else "keep", f"webhook endpoint {endpoint.id} ({why})")


def terms(key: tuple[str, str]) -> tuple[int, str]:
    """Return the price of a plan in the smallest unit, and Stripe's name for the interval."""
    plan_id, interval = key
    return products.catalogue().by_id[plan_id].prices[interval], STRIPE_INTERVAL[interval]


def _product_id(plan: Plan) -> str:
    return f"saas_{plan.id}"


def _lookup_key(plan_id: str, interval: str) -> str:
    return f"{plan_id}_{interval}"

"""Set Stripe up for the catalogue: products, prices, portal, webhook endpoint. Idempotent.

The catalogue is the truth for names and amounts. A price of Stripe's never changes, so a new
amount becomes a new price that takes the lookup key over.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from flask import current_app

from saas import plans, security
from saas.billing import gateway, webhooks
from saas.config import PRICE_VARIABLES

_STRIPE_INTERVAL = {"monthly": "month", "yearly": "year"}


def set_up(prefix: str = "") -> dict[str, str]:
    """Make what is missing at Stripe; the environment variables that follow, with a prefix.

    The webhook secret is among them only when the endpoint was made now: Stripe tells it once.
    """
    prices = ensure_prices()
    by_product: dict[str, list[str]] = defaultdict(list)
    for price in prices.values():
        by_product[price.product_id].append(price.id)
    variables = {PRICE_VARIABLES[key]: _with_older(key, price.id) for key, price in prices.items()}
    variables["STRIPE_PORTAL_CONFIGURATION_ID"] = gateway.ensure_portal_configuration(
        "portal", by_product
    )
    secret = gateway.ensure_webhook_endpoint(
        security.public_url("billing.webhook"),
        webhooks.HANDLED,
        known=bool(current_app.config["STRIPE_WEBHOOK_SECRETS"]),
    )
    if secret:
        variables["STRIPE_WEBHOOK_SECRET"] = secret
    return {prefix + name: value for name, value in variables.items()}


def _with_older(key: tuple[str, str], price_id: str) -> str:
    """The price that is sold, then those that were: a new price takes nobody's plan away."""
    known = current_app.config["STRIPE_PRICES"].get(key, ())
    return ",".join([price_id, *(older for older in known if older != price_id)])


def ensure_prices() -> dict[tuple[str, str], gateway.Price]:
    """The price of every plan and interval, by lookup key, such as `pro_monthly`."""
    found = gateway.prices_by_lookup_key([_lookup_key(*key) for key in PRICE_VARIABLES])
    prices = {}
    for plan_id, interval in PRICE_VARIABLES:
        plan, key = plans.BY_ID[plan_id], _lookup_key(plan_id, interval)
        price = found.get(key)
        if price is None or price.cents != plan.price(interval):
            product = gateway.ensure_product(f"saas_{plan.id}", plan.name, plan.summary)
            price = gateway.create_price(
                product, key, plan.price(interval), _STRIPE_INTERVAL[interval]
            )
        prices[plan_id, interval] = price
    return prices


def write_env(path: Path, variables: dict[str, str]) -> None:
    """Put variables into a file of `NAME=value` lines, keeping the others; private to its owner."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = path.read_text().splitlines() if path.exists() else []
    kept = [line for line in lines if line.partition("=")[0].strip() not in variables]
    draft = path.with_name(path.name + ".draft")
    draft.write_text("\n".join([*kept, *(f"{k}={v}" for k, v in variables.items())]) + "\n")
    draft.chmod(0o600)
    draft.replace(path)


def _lookup_key(plan_id: str, interval: str) -> str:
    return f"{plan_id}_{interval}"

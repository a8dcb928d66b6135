"""Create products and prices, including those defined inline in a purchase.

https://docs.stripe.com/api/products and https://docs.stripe.com/api/prices
"""

from decimal import Decimal
from typing import Any

import stripe

from saas_sandbox.stripe.engine import ids, metadata
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.errors import invalid, missing_param
from saas_sandbox.stripe.engine.params import Params
from saas_sandbox.stripe.engine.resource import Resource
from saas_sandbox.stripe.engine.shapes import build_object

PRODUCT_FIELDS = (
    "active", "name", "description", "images", "marketing_features", "package_dimensions",
    "shippable", "statement_descriptor", "tax_code", "unit_label", "url",
)  # fmt: skip
MAX_DECIMAL_PLACES = 12  # "a decimal value … with at most 12 decimal places"
# A price recurs at most every three years, in units of each interval.
MAX_INTERVAL_COUNT = {"day": 1095, "week": 156, "month": 36, "year": 3}


def create_product(account: Account, params: Params) -> Resource:
    """Create a product, with its default price if given."""
    product = build_object(
        stripe.Product,
        id=params.get("id") or ids.new("product"),
        created=account.now(),
        active=True,
        images=[],
        marketing_features=[],
        metadata={},
        name=params["name"],
        type=params.get("type", "service"),
        updated=account.now(),
    )
    if account.find("product", product["id"]):
        raise invalid("Product already exists.", param="id", code="resource_already_exists")

    apply_product_params(product, params)
    account.add(product, "product.created")
    if "default_price_data" in params:
        _create_default_price(account, product, params["default_price_data"])
    return product


def apply_product_params(product: Resource, params: Params) -> None:
    params.copy_to(product, *PRODUCT_FIELDS)
    for name in ("images", "marketing_features"):  # unset, they are empty rather than null
        product[name] = product[name] or []
    metadata.update_metadata(product, params)


def _create_default_price(account: Account, product: Resource, params: Params) -> None:
    price = account.add(build_price(account, params, product["id"]), "price.created")
    product["default_price"] = price["id"]
    account.save(product, "product.updated")


def build_price(account: Account, params: Params, product: str) -> Resource:
    amount, decimal_amount = _parse_amount(params)
    recurring = _parse_recurring(params.section("recurring")) if "recurring" in params else None
    price = build_object(
        stripe.Price,
        id=ids.new("price"),
        created=account.now(),
        active=True,
        billing_scheme=params.get("billing_scheme", "per_unit"),
        currency=params["currency"].lower(),
        metadata={},
        product=product,
        recurring=recurring,
        tax_behavior=params.get("tax_behavior", "unspecified"),
        type="recurring" if recurring else "one_time",
        unit_amount=amount,
        unit_amount_decimal=decimal_amount,
    )
    metadata.update_metadata(price, params)
    price["_internal"] = {
        "currency_options": build_currency_options(params)
        | {price["currency"]: currency_option(price)}
    }
    return price


def build_currency_options(params: Params) -> dict[str, dict[str, Any]]:
    """Return the price in other currencies."""
    options = params.section("currency_options")
    return {name.lower(): _build_currency_option(options[name]) for name in list(options)}


def _build_currency_option(params: Params) -> dict[str, Any]:
    amount, decimal_amount = _parse_amount(params)
    return currency_option(
        {
            "tax_behavior": params.get("tax_behavior", "unspecified"),
            "unit_amount": amount,
            "unit_amount_decimal": decimal_amount,
        }
    )


def currency_option(price: Resource) -> dict[str, Any]:
    names = ("tax_behavior", "unit_amount", "unit_amount_decimal")
    return {"custom_unit_amount": None, **{name: price[name] for name in names}}


def create_inline_price(account: Account, params: Params) -> Resource:
    """Create a price from `price_data` of a line or an item, for this use only."""
    price = build_price(account, params, resolve_product(account, params))
    price["active"] = False
    return account.add(price, "price.created")


def resolve_product(account: Account, params: Params) -> str:
    if "product" in params:
        return str(account.get_undeleted("product", params["product"], "product")["id"])
    if "product_data" not in params:
        raise missing_param("product")

    return str(create_product(account, params["product_data"])["id"])


def _parse_amount(params: Params) -> tuple[int | None, str | None]:
    decimal_amount: Decimal | None = params.get("unit_amount_decimal")
    amount: int | None = params.get("unit_amount")
    if (amount is None) == (decimal_amount is None):
        raise invalid("You must specify one of unit_amount or unit_amount_decimal.", "unit_amount")
    if decimal_amount is not None and _count_decimal_places(decimal_amount) > MAX_DECIMAL_PLACES:
        raise invalid(
            f"Invalid decimal: {decimal_amount}; must contain at maximum {MAX_DECIMAL_PLACES} "
            "decimal places.",
            "unit_amount_decimal",
        )
    if amount is None and decimal_amount is not None:
        is_whole = decimal_amount == int(decimal_amount)
        return (int(decimal_amount) if is_whole else None), str(decimal_amount)
    if amount is not None and amount < 0:
        raise invalid("Invalid non-negative integer", "unit_amount", "parameter_invalid_integer")
    return amount, str(amount)


def _count_decimal_places(number: Decimal) -> int:
    return max(0, -int(number.normalize().as_tuple().exponent))


def _parse_recurring(params: Params) -> dict[str, Any]:
    interval, count = params["interval"], params.get("interval_count", 1)
    if not 1 <= count <= MAX_INTERVAL_COUNT[interval]:
        raise invalid(
            f"Invalid interval_count: must be from 1 to {MAX_INTERVAL_COUNT[interval]} for a "
            f"{interval}.",
            param="recurring[interval_count]",
        )
    if params.get("usage_type", "licensed") != "licensed":
        raise invalid("This sandbox only supports licensed prices.", "recurring[usage_type]")
    return {
        "interval": interval,
        "interval_count": count,
        "meter": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }

"""Prices: never changed, only retired. https://docs.stripe.com/api/prices"""

from decimal import Decimal
from typing import Any

import stripe
from stripe import params as shape

from .. import expand, ids, metadata, pages
from ..account import Account
from ..errors import invalid, missing_param
from ..operations import operation
from ..params import Params
from ..resource import Resource, note_of
from ..shapes import shaped

MOST_PLACES = 12  # "a decimal value … with at most 12 decimal places"
# A price recurs every three years at most: how many of each interval that is.
LONGEST = {"day": 1095, "week": 156, "month": 36, "year": 3}


@operation("POST", "/prices", shape.PriceCreateParams)
def create(account: Account, params: Params) -> Resource:
    price = build_price(account, params, _product(account, params))
    price["nickname"] = params.get("nickname") or None
    price["active"] = params.get("active", True)
    if key := params.get("lookup_key"):
        _take_lookup_key(account, price, key, transfer=params.get("transfer_lookup_key", False))
    return account.add(price, "price.created")


@operation("GET", "/prices/<id>", shape.PriceRetrieveParams)
def retrieve(account: Account, params: Params, id: str) -> Resource:
    return account.get("price", id)


@operation("POST", "/prices/<id>", shape.PriceUpdateParams)
def update(account: Account, params: Params, id: str) -> Resource:
    price = account.get("price", id)
    params.copy_to(price, "active", "nickname", "tax_behavior")
    metadata.merge(price, params)
    price["_"].setdefault("currency_options", {price["currency"]: _option(price)})
    price["_"]["currency_options"] |= currencies(params)
    if "lookup_key" in params:
        transfer = params.get("transfer_lookup_key", False)
        _take_lookup_key(account, price, params["lookup_key"], transfer=transfer)
    return account.change(price, "price.updated")


@operation("GET", "/prices", shape.PriceListParams)
def list_all(account: Account, params: Params) -> Resource:
    active = {True: "active", False: "inactive", None: None}[params.get("active")]
    equal = {"status": active, "parent": params.get("product")}
    if "lookup_keys" not in params and not params.get("type") and not params.get("currency"):
        return pages.page(account, "price", "/v1/prices", params, **equal)

    found = account.select("price")[::-1]
    return pages.slice_of([p for p in found if _matches(p, params)], "/v1/prices", params)


def build_price(account: Account, given: Params, product: str) -> Resource:
    amount, exact = _amount(given)
    recurring = _recurring(given.section("recurring")) if "recurring" in given else None
    price = shaped(
        stripe.Price,
        id=ids.new("price"),
        created=account.now(),
        active=True,
        billing_scheme=given.get("billing_scheme", "per_unit"),
        currency=given["currency"].lower(),
        metadata={},
        product=product,
        recurring=recurring,
        tax_behavior=given.get("tax_behavior", "unspecified"),
        type="recurring" if recurring else "one_time",
        unit_amount=amount,
        unit_amount_decimal=exact,
    )
    metadata.merge(price, given)
    price["_"] = {"currency_options": currencies(given) | {price["currency"]: _option(price)}}
    return price


def currencies(given: Params) -> dict[str, dict[str, Any]]:
    """What the price is in other currencies."""
    options = given.section("currency_options")
    return {name.lower(): _in_currency(options[name]) for name in list(options)}


def _in_currency(given: Params) -> dict[str, Any]:
    amount, exact = _amount(given)
    return _option(
        {
            "tax_behavior": given.get("tax_behavior", "unspecified"),
            "unit_amount": amount,
            "unit_amount_decimal": exact,
        }
    )


def _option(price: Resource) -> dict[str, Any]:
    names = ("tax_behavior", "unit_amount", "unit_amount_decimal")
    return {"custom_unit_amount": None, **{name: price[name] for name in names}}


def inline_price(account: Account, given: Params) -> Resource:
    """`price_data` of a line or an item: a price made on the spot, for this use only."""
    price = build_price(account, given, _product(account, given))
    price["active"] = False
    return account.add(price, "price.created")


def _product(account: Account, given: Params) -> str:
    if "product" in given:
        return str(account.live("product", given["product"], "product")["id"])
    if "product_data" not in given:
        raise missing_param("product")

    from .products import create as create_product  # which makes prices in its turn

    return str(create_product(account, given["product_data"])["id"])


def _amount(given: Params) -> tuple[int | None, str | None]:
    exact: Decimal | None = given.get("unit_amount_decimal")
    amount: int | None = given.get("unit_amount")
    if (amount is None) == (exact is None):
        raise invalid("You must specify one of unit_amount or unit_amount_decimal.", "unit_amount")
    if exact is not None and _places(exact) > MOST_PLACES:
        raise invalid(
            f"Invalid decimal: {exact}; must contain at maximum {MOST_PLACES} decimal places.",
            "unit_amount_decimal",
        )
    if amount is None and exact is not None:
        return (int(exact) if exact == int(exact) else None), str(exact)
    if amount is not None and amount < 0:
        raise invalid("Invalid non-negative integer", "unit_amount", "parameter_invalid_integer")
    return amount, str(amount)


def _places(exact: Decimal) -> int:
    return max(0, -int(exact.normalize().as_tuple().exponent))


def _recurring(given: Params) -> dict[str, Any]:
    interval, count = given["interval"], given.get("interval_count", 1)
    if not 1 <= count <= LONGEST[interval]:
        raise invalid(
            f"Invalid interval_count: must be from 1 to {LONGEST[interval]} for a {interval}.",
            param="recurring[interval_count]",
        )
    if given.get("usage_type", "licensed") != "licensed":
        raise invalid("This sandbox plays licensed prices only.", "recurring[usage_type]")
    return {
        "interval": interval,
        "interval_count": count,
        "meter": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }


def _take_lookup_key(account: Account, price: Resource, key: str, *, transfer: bool) -> None:
    for holder in account.select("price", "lookup = ?", key) if key else []:
        if holder is price:
            continue
        if not transfer:
            raise invalid(
                f"A price (`{holder['id']}`) already uses that lookup key.", param="lookup_key"
            )
        holder["lookup_key"] = holder["_"]["lookup"] = None
        account.change(holder, "price.updated")
    price["lookup_key"] = key or None
    price.setdefault("_", {})["lookup"] = key or None


def _matches(price: Resource, params: Params) -> bool:
    wanted = {name: params.get(name) for name in ("active", "product", "type", "currency")}
    keys = params.get("lookup_keys")
    return all(value in (None, price[name]) for name, value in wanted.items()) and (
        keys is None or price["lookup_key"] in keys
    )


def _currency_options(account: Account, price: Resource) -> dict[str, Any]:
    """The price in each of its currencies, its own among them: sent only when it is expanded."""
    stored = note_of(account.get("price", price["id"])).get("currency_options")
    return stored or {price["currency"]: _option(price)}


expand.INCLUDABLE["price", "currency_options"] = _currency_options

"""Prices: they are archived, never changed. https://docs.stripe.com/api/prices"""

from typing import Any

from stripe import params as shape

from saas_sandbox.stripe.api import expand, pagination
from saas_sandbox.stripe.api.operations import operation
from saas_sandbox.stripe.engine import catalog, metadata
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.errors import invalid
from saas_sandbox.stripe.engine.params import Params
from saas_sandbox.stripe.engine.resource import Resource, get_internal


@operation("POST", "/prices", shape.PriceCreateParams)
def create(account: Account, params: Params) -> Resource:
    price = catalog.build_price(account, params, catalog.resolve_product(account, params))
    price["nickname"] = params.get("nickname") or None
    price["active"] = params.get("active", True)
    if key := params.get("lookup_key"):
        _assign_lookup_key(account, price, key, transfer=params.get("transfer_lookup_key", False))
    return account.add(price, "price.created")


@operation("GET", "/prices/<id>", shape.PriceRetrieveParams)
def retrieve(account: Account, params: Params, id: str) -> Resource:
    return account.get("price", id)


@operation("POST", "/prices/<id>", shape.PriceUpdateParams)
def update(account: Account, params: Params, id: str) -> Resource:
    price = account.get("price", id)
    params.copy_to(price, "active", "nickname", "tax_behavior")
    metadata.update_metadata(price, params)
    price["_internal"].setdefault(
        "currency_options", {price["currency"]: catalog.currency_option(price)}
    )
    price["_internal"]["currency_options"] |= catalog.build_currency_options(params)
    if "lookup_key" in params:
        transfer = params.get("transfer_lookup_key", False)
        _assign_lookup_key(account, price, params["lookup_key"], transfer=transfer)
    return account.save(price, "price.updated")


@operation("GET", "/prices", shape.PriceListParams)
def list_all(account: Account, params: Params) -> Resource:
    active = {True: "active", False: "inactive", None: None}[params.get("active")]
    equal = {"status": active, "parent": params.get("product")}
    if "lookup_keys" not in params and not params.get("type") and not params.get("currency"):
        return pagination.list_page(account, "price", "/v1/prices", params, **equal)

    prices = account.select("price")[::-1]
    return pagination.list_slice(
        [p for p in prices if _matches_filters(p, params)], "/v1/prices", params
    )


def _assign_lookup_key(account: Account, price: Resource, key: str, *, transfer: bool) -> None:
    for holder in account.select("price", "lookup = ?", key) if key else []:
        if holder is price:
            continue
        if not transfer:
            raise invalid(
                f"A price (`{holder['id']}`) already uses that lookup key.", param="lookup_key"
            )
        holder["lookup_key"] = holder["_internal"]["lookup"] = None
        account.save(holder, "price.updated")
    price["lookup_key"] = key or None
    price.setdefault("_internal", {})["lookup"] = key or None


def _matches_filters(price: Resource, params: Params) -> bool:
    filters = {name: params.get(name) for name in ("active", "product", "type", "currency")}
    keys = params.get("lookup_keys")
    return all(value in (None, price[name]) for name, value in filters.items()) and (
        keys is None or price["lookup_key"] in keys
    )


def _list_currency_options(account: Account, price: Resource) -> dict[str, Any]:
    """Return the price in each of its currencies; sent only when expanded."""
    stored = get_internal(account.get("price", price["id"])).get("currency_options")
    return stored or {price["currency"]: catalog.currency_option(price)}


expand.INCLUDABLE_FIELDS["price", "currency_options"] = _list_currency_options

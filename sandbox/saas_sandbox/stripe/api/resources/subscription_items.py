"""Parameters for items of a subscription: prices, quantities, changes."""

from saas_sandbox.stripe.engine import metadata, subscription_updates
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.catalog import create_inline_price
from saas_sandbox.stripe.engine.errors import invalid, missing_param
from saas_sandbox.stripe.engine.params import Params
from saas_sandbox.stripe.engine.resource import Resource


def parse_new_items(
    account: Account, entries: list[Params]
) -> list[tuple[Resource, int, dict[str, str]]]:
    """Return (price, quantity, metadata) for each item of a new subscription."""
    if not entries:
        raise missing_param("items")
    parsed = [_parse_new_item(account, item, f"items[{n}]") for n, item in enumerate(entries)]
    prices = [price["id"] for price, *_ in parsed]
    if len(set(prices)) < len(prices):
        raise invalid("Cannot add multiple subscription items with the same price.", "items")
    return parsed


def parse_item_change(account: Account, item: Params, path: str) -> subscription_updates.ItemChange:
    """Return one entry of an update's items: a changed, new or deleted item."""
    price = None
    if "price_data" in item:
        price = create_inline_price(account, item["price_data"])
    elif "price" in item:
        price = find_recurring_price(account, item["price"], f"{path}[price]")
    item.get("clear_usage")
    return subscription_updates.ItemChange(
        id=item.get("id"),
        price=price,
        quantity=_parse_quantity(item, path) if "quantity" in item else None,
        metadata=item.get("metadata") or None,
        deleted=item.get("deleted", False),
    )


def find_recurring_price(account: Account, id: str, param: str) -> Resource:
    """Return a price, which must be recurring."""
    price = account.get("price", id, param)
    if not price["active"]:
        raise invalid(
            f"The price specified is inactive. This field only accepts active prices: {id}", param
        )
    if not price["recurring"]:
        raise invalid(
            "The price specified is set to `type=one_time` but this field only accepts prices with "
            "`type=recurring`.",
            param,
        )
    return price


def _parse_new_item(
    account: Account, item: Params, path: str
) -> tuple[Resource, int, dict[str, str]]:
    if "price_data" in item:
        price = create_inline_price(account, item["price_data"])
    elif "price" in item:
        price = find_recurring_price(account, item["price"], f"{path}[price]")
    else:
        raise missing_param(f"{path}[price]")
    return price, _parse_quantity(item, path), metadata.merge_values({}, item.get("metadata") or {})


def _parse_quantity(item: Params, path: str) -> int:
    quantity: int = item.get("quantity", 1)
    if quantity < 0:
        raise invalid("Invalid non-negative integer", f"{path}[quantity]")
    return quantity

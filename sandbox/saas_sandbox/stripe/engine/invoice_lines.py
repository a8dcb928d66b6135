"""Invoice lines and prorations. All amounts are in the smallest unit."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import stripe

from saas_sandbox.stripe.engine import ids
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.resource import Resource
from saas_sandbox.stripe.engine.shapes import build_object

Period = tuple[int, int]


def calculate_amount(price: Resource, quantity: int) -> int:
    return round_half_up(Decimal(price["unit_amount_decimal"]) * quantity)


def prorate_amount(amount: int, part: int, whole: int) -> int:
    """Return a share of an amount, "prorated to the second"; negative amounts round alike."""
    return round_half_up(Decimal(amount) * part / whole)


def round_half_up(amount: Decimal) -> int:
    return int(amount.quantize(Decimal(1), ROUND_HALF_UP))


def build_item_line(
    account: Account,
    subscription: Resource,
    item: Resource,
    period: Period,
    *,
    amount: int | None = None,
    trial: bool = False,
) -> Resource:
    """Return the line of one subscription item for one period."""
    price, quantity = item["price"], item["quantity"]
    full = calculate_amount(price, quantity) if amount is None else amount
    name = account.get("product", price["product"]).get("name", price["product"])
    return _build_line(
        price,
        quantity,
        period,
        0 if trial else full,
        f"Trial period for {name}" if trial else f"{quantity} × {name} (at {format_rate(price)})",
        subscription["id"],
        parent={
            "invoice_item_details": None,
            "subscription_item_details": {
                "invoice_item": None,
                "proration": False,
                "proration_details": {"credited_items": None},
                "subscription": subscription["id"],
                "subscription_item": item["id"],
            },
            "type": "subscription_item_details",
        },
        discountable=not trial,
    )


def create_proration(
    account: Account,
    subscription: Resource,
    item: Resource,
    period: Period,
    *,
    credit: bool,
) -> Resource:
    """Return a pending item for unused time of the old price or remaining time of the new.

    https://docs.stripe.com/billing/subscriptions/prorations
    """
    price, quantity = item["price"], item["quantity"]
    period_length = item["current_period_end"] - item["current_period_start"]
    prorated = prorate_amount(
        calculate_amount(price, quantity), period[1] - period[0], period_length
    )
    name = account.get("product", price["product"]).get("name", price["product"])
    prefix = "Unused time on" if credit else "Remaining time on"
    return account.add(
        _build_pending_item(
            account,
            subscription,
            item,
            period,
            -prorated if credit else prorated,
            f"{prefix} {quantity if quantity != 1 else ''} {name}".replace("  ", " "),
        ),
        "invoiceitem.created",
    )


def list_pending_items(account: Account, subscription: Resource) -> list[Resource]:
    """Return pending invoice items for the subscription's next invoice."""
    return account.select(
        "invoiceitem", "subscription = ? AND status = 'pending'", subscription["id"]
    )


def build_pending_line(invoice_item: Resource) -> Resource:
    """Return a pending item as a line of its invoice."""
    details = invoice_item["pricing"]["price_details"]
    price = {
        "id": details["price"],
        "product": details["product"],
        "unit_amount_decimal": invoice_item["pricing"]["unit_amount_decimal"],
        "currency": invoice_item["currency"],
    }
    subscription = (invoice_item["parent"] or {}).get("subscription_details") or {}
    return _build_line(
        price,
        invoice_item["quantity"],
        (invoice_item["period"]["start"], invoice_item["period"]["end"]),
        invoice_item["amount"],
        invoice_item["description"],
        subscription.get("subscription"),
        parent={
            "invoice_item_details": {
                "invoice_item": invoice_item["id"],
                "proration": invoice_item["proration"],
                "proration_details": {"credited_items": None},
                "subscription": subscription.get("subscription"),
            },
            "subscription_item_details": None,
            "type": "invoice_item_details",
        },
    )


def format_rate(price: Resource) -> str:
    """ "$15.00 / month"."""
    recurring = price["recurring"]
    count = recurring["interval_count"]
    interval = recurring["interval"] if count == 1 else f"{count} {recurring['interval']}s"
    return f"{format_money(calculate_amount(price, 1), price['currency'])} / {interval}"


# "Zero-decimal" and "three-decimal currencies"; all others have two. UGX and ISK have no decimals,
# but are sent with two. https://docs.stripe.com/currencies
DECIMAL_PLACES = dict.fromkeys(
    ("bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf",
     "xof", "xpf"),
    0,
) | dict.fromkeys(("bhd", "jod", "kwd", "omr", "tnd"), 3)  # fmt: skip
SYMBOLS = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥"}


def format_money(amount: int, currency: str) -> str:
    """Format an amount in the currency's smallest unit."""
    sign = "-" if amount < 0 else ""
    places, symbol = DECIMAL_PLACES.get(currency, 2), SYMBOLS.get(currency)
    number = f"{Decimal(abs(amount)).scaleb(-places):,.{places}f}"
    return f"{sign}{symbol}{number}" if symbol else f"{sign}{number} {currency.upper()}"


def _build_line(
    price: Resource,
    quantity: int,
    period: Period,
    amount: int,
    description: str,
    subscription: str | None,
    *,
    parent: dict[str, Any],
    discountable: bool = True,
) -> Resource:
    return {
        "id": ids.new("line_item"),
        "object": "line_item",
        "amount": amount,
        "description": description,
        "discount_amounts": [],
        "discountable": discountable,
        "discounts": [],
        "invoice": None,
        "livemode": False,
        "metadata": {},
        "parent": parent,
        "period": {"start": period[0], "end": period[1]},
        "pretax_credit_amounts": [],
        "subscription": subscription,
        "subtotal": amount,
        "taxes": [],
        **_price_fields(price, quantity),
    }


def _build_pending_item(
    account: Account,
    subscription: Resource,
    item: Resource,
    period: Period,
    amount: int,
    description: str,
) -> Resource:
    now = account.now(subscription["test_clock"])
    invoice_item = build_object(
        stripe.InvoiceItem,
        id=ids.new("invoiceitem"),
        created=now,
        amount=amount,
        customer=subscription["customer"],
        date=now,
        description=description,
        discountable=True,
        discounts=[],
        metadata={},
        net_amount=amount,
        parent=_build_parent(subscription, item),
        period={"start": period[0], "end": period[1]},
        proration=True,
        proration_details={"credited_items": None, "discount_amounts": []},
        tax_rates=[],
        test_clock=subscription["test_clock"],
        **_price_fields(item["price"], item["quantity"]),
    )
    del invoice_item["created"]
    internal = {"subscription": subscription["id"], "status": "pending"}
    return {**invoice_item, "_internal": internal}


def _build_parent(subscription: Resource, item: Resource) -> dict[str, Any]:
    details = {"subscription": subscription["id"], "subscription_item": item["id"]}
    return {"subscription_details": details, "type": "subscription_details"}


def _price_fields(price: Resource, quantity: int) -> dict[str, Any]:
    """Return the price details of a line or an invoice item."""
    return {
        "currency": price["currency"],
        "pricing": {
            "price_details": {"price": price["id"], "product": price["product"]},
            "type": "price_details",
            "unit_amount_decimal": price["unit_amount_decimal"],
        },
        "quantity": quantity,
        "quantity_decimal": str(quantity),
    }

"""The line items of a checkout session, with their shares of its discount and tax."""

from dataclasses import dataclass
from typing import Any

from saas_sandbox.stripe.engine import checkout, discounts, invoice_lines
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.resource import Resource, strip_internal


@dataclass(frozen=True)
class Line:
    """A price and its quantity, with amounts that add up to those of the session."""

    id: str
    price: Resource
    quantity: int
    name: str
    subtotal: int
    discount: int
    tax: int

    @property
    def total(self) -> int:
        return self.subtotal - self.discount + self.tax

    def to_item(self) -> Resource:
        """Return the line item of the API."""
        return {
            "id": self.id,
            "object": "item",
            "adjustable_quantity": None,
            "amount_discount": self.discount,
            "amount_subtotal": self.subtotal,
            "amount_tax": self.tax,
            "amount_total": self.total,
            "currency": self.price["currency"],
            "description": self.name,
            "metadata": {},
            "price": strip_internal(self.price),
            "quantity": self.quantity,
        }


def list_lines(account: Account, session: Resource) -> list[Line]:
    entries: list[dict[str, Any]] = session["_internal"]["lines"]
    prices = [account.get("price", entry["price"]) for entry in entries]
    subtotals = [
        invoice_lines.calculate_amount(price, entry["quantity"])
        for price, entry in zip(prices, entries, strict=True)
    ]
    totals = session["total_details"] or {"amount_discount": 0, "amount_tax": 0}
    covered = _list_covered(account, session, prices, subtotals)
    off = _split(totals["amount_discount"], covered)
    left = [subtotal - discount for subtotal, discount in zip(subtotals, off, strict=True)]
    taxes = _split(totals["amount_tax"], left)
    rows = zip(entries, prices, subtotals, off, taxes, strict=True)
    return [
        Line(entry["id"], price, entry["quantity"], _get_name(account, price), *amounts)
        for entry, price, *amounts in rows
    ]


def _list_covered(
    account: Account, session: Resource, prices: list[Resource], amounts: list[int]
) -> list[int]:
    """Return the amounts to which the coupon applies."""
    applied = checkout.find_applied_coupon(account, session)
    return [
        amount if applied and discounts.applies_to(applied[0], price["product"]) else 0
        for price, amount in zip(prices, amounts, strict=True)
    ]


def _split(total: int, weights: list[int]) -> list[int]:
    """Split an amount in proportion to the weights, without losing a cent."""
    whole, running, assigned, shares = sum(weights) or 1, 0, 0, []
    for weight in weights:
        running += weight
        shares.append(total * running // whole - assigned)
        assigned += shares[-1]
    return shares


def _get_name(account: Account, price: Resource) -> str:
    name: str = account.get("product", price["product"]).get("name", "")
    return name

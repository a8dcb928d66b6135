"""Amounts of a subscription, as stored on the subscriber, and their JSON.

Amounts are in the smallest unit of their currency. A value that cannot be derived from the
subscription alone is None, never a guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Discount:
    """A discount on the subscription: percent or amount off, until a date or forever."""

    percent_off: str | None = None
    amount_off: int | None = None
    ends: datetime | None = None
    once: bool = False  # applies to a single invoice, so not to the recurring amount


@dataclass(frozen=True)
class Recurring:
    """The recurring amount: all items of a subscription, less current discounts.

    `amount` is None if the items cannot be added up, as with metered prices. `full_amount` is the
    amount before discounts. `quantity` is that of the plan's item. `interval` is None if the items
    have different intervals.
    """

    amount: int | None
    full_amount: int | None
    currency: str
    interval: str | None  # as in Stripe: day, week, month or year
    interval_count: int = 1
    quantity: int | None = 1
    discounts: tuple[Discount, ...] = ()
    plus_tax: bool = False
    is_collected: bool = True  # False while payment collection is paused

    def to_json(self) -> dict[str, Any]:
        stored = {
            **asdict(self),
            "discounts": [_discount_json(discount) for discount in self.discounts],
        }
        if self.is_collected:  # omitted, as in values stored before this field existed
            del stored["is_collected"]
        return stored

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Recurring:
        discounts = tuple(_discount(discount) for discount in stored["discounts"])
        return cls(**{**stored, "discounts": discounts})


@dataclass(frozen=True)
class NextInvoice:
    """The next invoice, with prorations, discounts, taxes and the customer's balance."""

    amount_due: int
    currency: str
    date: datetime

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "date": self.date.isoformat()}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> NextInvoice:
        return cls(**{**stored, "date": datetime.fromisoformat(stored["date"])})


def _discount_json(discount: Discount) -> dict[str, Any]:
    return {**asdict(discount), "ends": discount.ends.isoformat() if discount.ends else None}


def _discount(stored: Mapping[str, Any]) -> Discount:
    ends = datetime.fromisoformat(stored["ends"]) if stored["ends"] else None
    return Discount(**{**stored, "ends": ends})

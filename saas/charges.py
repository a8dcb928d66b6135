"""What a subscription costs, as it is stored on the subscriber: plain values, and their JSON.

Amounts are in the smallest unit of their currency. What cannot be told from the subscription alone
is None, never a guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Discount:
    """A discount on the subscription: percent or amount off, until a date or for good."""

    percent_off: str | None = None
    amount_off: int | None = None
    ends: datetime | None = None
    once: bool = False  # taken off a single invoice, so not off what recurs


@dataclass(frozen=True)
class Recurring:
    """What recurs: all items of a subscription, less the discounts that still apply.

    `amount` is None where the items do not add up to one number, as with metered prices.
    `full_amount` is the same before discounts. `quantity` is that of the plan's item. `interval`
    is None where the items are billed at different intervals.
    """

    amount: int | None
    full_amount: int | None
    currency: str
    interval: str | None  # Stripe's word: day, week, month or year
    interval_count: int = 1
    quantity: int | None = 1
    discounts: tuple[Discount, ...] = ()
    plus_tax: bool = False
    is_collected: bool = True  # False while its owner has paused the collection of payments

    def to_json(self) -> dict[str, Any]:
        stored = {
            **asdict(self),
            "discounts": [_discount_json(discount) for discount in self.discounts],
        }
        if self.is_collected:  # left out, as in what was stored before there was this field
            del stored["is_collected"]
        return stored

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Recurring:
        discounts = tuple(_discount(discount) for discount in stored["discounts"])
        return cls(**{**stored, "discounts": discounts})


@dataclass(frozen=True)
class NextInvoice:
    """What will be charged next, with prorations, discounts, taxes and the customer's balance."""

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

"""Amounts of subscriptions and one-time purchases, as stored on the subscriber, and their JSON.

Amounts are in the smallest unit of their currency. A value that cannot be derived from the
subscription alone is None, never a guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

# https://docs.stripe.com/currencies#three-decimal: their amounts must end in 0.
THREE_DECIMALS = frozenset(("bhd", "jod", "kwd", "omr", "tnd"))


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


@dataclass(frozen=True)
class Purchase:
    """A one-time payment. `session` is the id of its Checkout session, `payment` of its intent.

    A purchase without an amount, by a promotion code, has no payment. `dispute` is "open", "won",
    "lost", or empty.
    """

    session: str
    price: str
    paid_at: datetime
    amount: int
    currency: str
    payment: str | None = None
    refunded: int = 0
    dispute: str = ""

    @property
    def is_valid(self) -> bool:
        """Whether it gives its plan: neither refunded in full nor lost in a dispute."""
        is_refunded = self.amount > 0 and self.refunded >= self.amount
        return not is_refunded and self.dispute != "lost"

    def was_paid_since(self, at: datetime) -> bool:
        """Return whether it was paid since a time, and is still valid. Stripe counts seconds."""
        return self.is_valid and self.paid_at >= at.replace(microsecond=0)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "paid_at": self.paid_at.isoformat()}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Purchase:
        return cls(**{**stored, "paid_at": datetime.fromisoformat(stored["paid_at"])})


def _discount_json(discount: Discount) -> dict[str, Any]:
    return {**asdict(discount), "ends": discount.ends.isoformat() if discount.ends else None}


def _discount(stored: Mapping[str, Any]) -> Discount:
    ends = datetime.fromisoformat(stored["ends"]) if stored["ends"] else None
    return Discount(**{**stored, "ends": ends})

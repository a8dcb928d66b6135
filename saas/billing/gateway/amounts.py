"""Items, prices and discounts of a subscription, as far as its amount follows from them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from flask import current_app

from saas.billing.gateway.calling import Gone, KeyRefused, Refused, call, given, when

if TYPE_CHECKING:
    from saas.billing.gateway.subscriptions import Subscription

    S = TypeVar("S", bound=Subscription)

log = logging.getLogger("saas.billing")

_MOST_COUPONS = 1000  # remembered by a process


@dataclass(frozen=True)
class Coupon:
    """What a coupon takes off. Stripe never changes these fields of a coupon.

    `products`: those it is limited to; None for all; `UNKNOWN` where Stripe has not said.
    """

    created: int
    duration: str
    percent_off: Decimal | None
    amounts_off: Mapping[str, int]  # by currency
    products: frozenset[str] | None


UNKNOWN: frozenset[str] = frozenset(("unknown",))


@dataclass(frozen=True)
class Discount:
    """A coupon at work on a subscription, an item or a customer; `coupon` None: not readable."""

    coupon_id: str
    ends: datetime | None = None
    coupon: Coupon | None = None


@dataclass(frozen=True)
class Item:
    """An item of a subscription. `unit_amount` is None for what is metered or in tiers."""

    price_id: str
    product_id: str
    currency: str
    interval: str
    interval_count: int
    unit_amount: Decimal | None
    quantity: int | None
    discounts: tuple[Discount, ...] = ()
    plus_tax: bool = False
    group_size: int = 1  # a package's price is for so many
    rounds_up: bool = True

    @property
    def amount(self) -> Decimal | None:
        if self.unit_amount is None or self.quantity is None:
            return None
        rounding = ROUND_CEILING if self.rounds_up else ROUND_FLOOR
        groups = (Decimal(self.quantity) / self.group_size).to_integral_value(rounding)
        return self.unit_amount * groups


def read_items(subscription: Any) -> tuple[Item, ...]:
    tax_is_on = bool(getattr(getattr(subscription, "automatic_tax", None), "enabled", False))
    rates = getattr(subscription, "default_tax_rates", None) or []
    return tuple(_item(item, tax_is_on, rates) for item in subscription["items"].data)


def read_discounts(subscription: Any) -> tuple[Discount, ...]:
    """The subscription's own, or else the customer's, which only then apply."""
    own = getattr(subscription, "discounts", None) or []
    if own:
        return tuple(_discount(found) for found in own)
    inherited = getattr(getattr(subscription, "customer", None), "discount", None)
    return (_discount(inherited),) if inherited else ()


def with_coupons(subscriptions: Iterable[S]) -> list[S]:
    """The same subscriptions, with what their coupons take off: one call for each new coupon."""
    return [
        replace(
            each,
            discounts=tuple(map(_with_coupon, each.discounts)),
            items=tuple(
                replace(item, discounts=tuple(map(_with_coupon, item.discounts)))
                for item in each.items
            ),
        )
        for each in subscriptions
    ]


def _item(item: Any, tax_is_on: bool, rates: Iterable[Any]) -> Item:
    price, own_rates = item.price, list(getattr(item, "tax_rates", None) or [])
    recurring = getattr(price, "recurring", None)
    grouped = getattr(price, "transform_quantity", None)
    excluded = any(not rate.inclusive for rate in own_rates or rates)
    if tax_is_on:
        excluded = getattr(price, "tax_behavior", None) != "inclusive"
    return Item(
        price_id=price.id,
        product_id=_id(getattr(price, "product", "")),
        currency=getattr(price, "currency", ""),
        interval=getattr(recurring, "interval", ""),
        interval_count=getattr(recurring, "interval_count", 1),
        unit_amount=_unit_amount(price, recurring),
        quantity=getattr(item, "quantity", None),
        discounts=tuple(_discount(found) for found in getattr(item, "discounts", None) or []),
        plus_tax=excluded,
        group_size=grouped.divide_by if grouped else 1,
        rounds_up=grouped.round == "up" if grouped else True,
    )


def _unit_amount(price: Any, recurring: Any) -> Decimal | None:
    if getattr(price, "billing_scheme", "per_unit") != "per_unit":
        return None
    if getattr(recurring, "usage_type", "licensed") != "licensed":
        return None
    exact = getattr(price, "unit_amount_decimal", None)
    amount = exact if exact is not None else getattr(price, "unit_amount", None)
    return Decimal(str(amount)) if amount is not None else None


def _discount(found: Any) -> Discount:
    """A discount; one that was not expanded says nothing but its own id."""
    if isinstance(found, str):
        return Discount("")
    source = getattr(found, "source", None)
    coupon = getattr(source or found, "coupon", None)
    ends = getattr(found, "end", None)
    is_shown = getattr(coupon, "duration", None) is not None  # an id and a deleted one are not
    return Discount(
        coupon_id=_id(coupon),
        ends=when(ends) if ends is not None else None,
        coupon=_coupon(coupon, UNKNOWN) if is_shown else None,
    )


def _with_coupon(discount: Discount) -> Discount:
    """With the coupon as Stripe has it now, unless that is a newer one by the same id."""
    shown = discount.coupon
    known = _known_coupon(discount.coupon_id, shown.created if shown else None)
    return replace(discount, coupon=known or shown)


def _known_coupon(coupon_id: str, created: int | None) -> Coupon | None:
    if not coupon_id:
        return None
    kept: dict[str, Coupon | None] = current_app.extensions.setdefault("stripe_coupons", {})
    if coupon_id not in kept:
        if len(kept) >= _MOST_COUPONS:
            kept.clear()
        try:
            kept[coupon_id] = _fetch_coupon(coupon_id)
        except (Refused, KeyRefused) as error:
            log.warning("coupon %s cannot be read: %s", coupon_id, error)
            return None
    found = kept[coupon_id]
    return found if found and created in (None, found.created) else None


def _fetch_coupon(coupon_id: str) -> Coupon | None:
    """None for a coupon that was deleted, which existing discounts outlive."""
    expand: Any = {"expand": ["applies_to", "currency_options"]}
    try:
        return call(
            lambda client: _coupon(client.v1.coupons.retrieve(given(coupon_id), expand), None)
        )
    except Gone:
        return None


def _coupon(found: Any, otherwise: frozenset[str] | None) -> Coupon:
    scope = getattr(found, "applies_to", None)
    percent = getattr(found, "percent_off", None)
    return Coupon(
        created=found.created,
        duration=found.duration,
        percent_off=Decimal(str(percent)) if percent is not None else None,
        amounts_off=dict(_amounts_off(found)),
        products=frozenset(scope.products) if scope else otherwise,
    )


def _amounts_off(coupon: Any) -> Iterator[tuple[str, int]]:
    options = getattr(coupon, "currency_options", None)
    for currency, option in (options.to_dict() if options else {}).items():
        yield currency, option["amount_off"]
    if getattr(coupon, "amount_off", None) is not None:
        yield coupon.currency, coupon.amount_off


def _id(found: Any) -> str:
    return found if isinstance(found, str) else str(getattr(found, "id", "") or "")

"""Items, prices and discounts of a subscription: the fields that amounts depend on."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from flask import current_app

from saas.billing.gateway import reading
from saas.billing.gateway.client import (
    AuthenticationFailed,
    InvalidRequest,
    NotFound,
    call,
    require_id,
)

if TYPE_CHECKING:
    from saas.billing.gateway.subscriptions import Subscription

    S = TypeVar("S", bound=Subscription)

log = logging.getLogger("saas.billing")

_DURATIONS = ("once", "repeating", "forever")
_MOST_COUPONS = 1000  # cached per process


@dataclass(frozen=True)
class Coupon:
    """A coupon. Stripe never changes these fields.

    `products` limits it to these products. None means all; `UNKNOWN` means that Stripe did not
    include them.
    """

    created: int
    duration: str
    percent_off: Decimal | None
    amounts_off: Mapping[str, int]  # by currency
    products: frozenset[str] | None


UNKNOWN: frozenset[str] = frozenset(("unknown",))


@dataclass(frozen=True)
class Discount:
    """A coupon on a subscription, an item or a customer; `coupon` is None if it is unreadable."""

    coupon_id: str
    ends: datetime | None = None
    coupon: Coupon | None = None


@dataclass(frozen=True)
class Item:
    """An item of a subscription. `unit_amount` is None for metered and tiered prices."""

    price_id: str
    product_id: str
    currency: str
    interval: str
    interval_count: int
    unit_amount: Decimal | None
    quantity: int | None
    discounts: tuple[Discount, ...] = ()
    plus_tax: bool = False
    group_size: int = 1  # the price is for a package of several units
    rounds_up: bool = True

    @property
    def amount(self) -> Decimal | None:
        if self.unit_amount is None or self.quantity is None:
            return None
        rounding = ROUND_CEILING if self.rounds_up else ROUND_FLOOR
        groups = (Decimal(self.quantity) / self.group_size).to_integral_value(rounding)
        return self.unit_amount * groups


def read_items(subscription: Any) -> tuple[Item, ...]:
    tax = reading.part(subscription, "automatic_tax")
    tax_is_on = bool(tax) and reading.flag(tax, "enabled")
    rates = reading.optional_entries(subscription, "default_tax_rates")
    items = reading.entries(subscription, "items")
    return tuple(_item(item, tax_is_on, rates) for item in items)


def read_discounts(subscription: Any) -> tuple[Discount, ...]:
    """Return the subscription's discounts; if it has none, the customer's apply."""
    if own := _discounts(subscription):
        return own
    customer = reading.part(subscription, "customer")
    is_shown = customer is not None and not isinstance(customer, str)
    inherited = reading.part(customer, "discount") if is_shown else None
    return (_discount(inherited),) if inherited else ()


def with_coupons(subscriptions: Iterable[S]) -> list[S]:
    """Return the subscriptions with their coupons: one call per coupon that is not cached."""
    return [
        replace(
            subscription,
            discounts=tuple(map(_with_coupon, subscription.discounts)),
            items=tuple(
                replace(item, discounts=tuple(map(_with_coupon, item.discounts)))
                for item in subscription.items
            ),
        )
        for subscription in subscriptions
    ]


def _item(item: Any, tax_is_on: bool, rates: Iterable[Any]) -> Item:
    price, own_rates = reading.part(item, "price"), reading.optional_entries(item, "tax_rates")
    recurring = reading.part(price, "recurring")
    grouped = reading.part(price, "transform_quantity")
    excluded = any(not reading.flag(rate, "inclusive") for rate in own_rates or rates)
    if tax_is_on:
        excluded = reading.optional_text(price, "tax_behavior") != "inclusive"
    return Item(
        price_id=reading.text(price, "id"),
        product_id=reading.id_of(price, "product") or "",
        currency=reading.text(price, "currency"),
        interval=reading.text(recurring, "interval") if recurring else "",
        interval_count=reading.number(recurring, "interval_count") if recurring else 1,
        unit_amount=_unit_amount(price, recurring),
        quantity=reading.optional_count(item, "quantity"),
        discounts=_discounts(item),
        plus_tax=excluded,
        group_size=reading.positive(grouped, "divide_by") if grouped else 1,
        rounds_up=reading.text(grouped, "round") == "up" if grouped else True,
    )


def _unit_amount(price: Any, recurring: Any) -> Decimal | None:
    if reading.optional_text(price, "billing_scheme") not in (None, "per_unit"):
        return None
    if recurring and reading.text(recurring, "usage_type") != "licensed":
        return None
    grouped = reading.part(price, "transform_quantity")
    if grouped and reading.text(grouped, "round") not in ("up", "down"):
        return None
    exact = reading.optional_decimal(price, "unit_amount_decimal")
    amount = reading.optional_number(price, "unit_amount")
    return exact if exact is not None or amount is None else Decimal(amount)


def _discounts(holder: Any) -> tuple[Discount, ...]:
    """Return discounts; unexpanded ones are ids."""
    return tuple(_discount(discount) for discount in reading.optional_ids(holder, "discounts"))


def _discount(discount: Any) -> Discount:
    """Return a discount; an unexpanded one has only its id."""
    if isinstance(discount, str):
        return Discount("")
    source = reading.part(discount, "source")
    holder = source if source is not None else discount
    coupon = reading.part(holder, "coupon")
    is_object = coupon is not None and not isinstance(coupon, str)
    is_shown = is_object and reading.optional_text(coupon, "duration") in _DURATIONS
    return Discount(
        coupon_id=reading.id_of(holder, "coupon") or "",
        ends=reading.optional_moment(discount, "end"),
        coupon=_coupon(coupon, UNKNOWN) if is_shown else None,  # ids and deleted coupons are not
    )


def _with_coupon(discount: Discount) -> Discount:
    """Return the discount with its coupon, unless that is a newer one with the same id."""
    coupon = discount.coupon
    known = _known_coupon(discount.coupon_id, coupon.created if coupon else None)
    return replace(discount, coupon=known or coupon)


def _known_coupon(coupon_id: str, created: int | None) -> Coupon | None:
    if not coupon_id:
        return None
    coupons: dict[str, Coupon | None] = current_app.extensions.setdefault("stripe_coupons", {})
    if coupon_id not in coupons:
        if len(coupons) >= _MOST_COUPONS:
            coupons.clear()
        try:
            coupons[coupon_id] = _fetch_coupon(coupon_id)
        except (InvalidRequest, AuthenticationFailed) as error:
            log.warning("coupon %s cannot be read: %s", coupon_id, error)
            return None
    coupon = coupons[coupon_id]
    return coupon if coupon and created in (None, coupon.created) else None


def _fetch_coupon(coupon_id: str) -> Coupon | None:
    """Return a coupon, or None if it was deleted or its duration is unknown."""
    expand: Any = {"expand": ["applies_to", "currency_options"]}
    try:
        coupon = call(
            lambda client: _coupon(client.v1.coupons.retrieve(require_id(coupon_id), expand), None)
        )
    except NotFound:
        return None
    return coupon if coupon.duration in _DURATIONS else None


def _coupon(coupon: Any, otherwise: frozenset[str] | None) -> Coupon:
    scope = reading.part(coupon, "applies_to")
    return Coupon(
        created=reading.number(coupon, "created"),
        duration=reading.text(coupon, "duration"),
        percent_off=reading.optional_percentage(coupon, "percent_off"),
        amounts_off=dict(_amounts_off(coupon)),
        products=frozenset(reading.texts(scope, "products")) if scope else otherwise,
    )


def _amounts_off(coupon: Any) -> Iterator[tuple[str, int]]:
    options = reading.part(coupon, "currency_options")
    for currency in options.to_dict() if options else {}:
        yield currency, reading.number(reading.part(options, currency), "amount_off")
    amount = reading.optional_number(coupon, "amount_off")
    if amount is not None:
        yield reading.text(coupon, "currency"), amount

"""Compute the recurring amount of a subscription from the subscription alone.

Stripe's list of subscriptions is therefore enough to compare all users. Nothing is guessed: amounts
that one number cannot express (metered items, tiers, several intervals, another currency) stay
unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

from saas import charges
from saas.billing.gateway.amounts import UNKNOWN, Discount, Item
from saas.billing.gateway.subscriptions import Subscription
from saas.charges import Recurring


@dataclass
class _Line:
    """The amount of an item while discounts are applied."""

    product_id: str
    amount: Decimal


def recurring_amount(subscription: Subscription, price_id: str | None) -> Recurring | None:
    """Return the recurring amount, with the quantity of this price's item; None if none recurs."""
    items = subscription.items
    main = next((item for item in items if item.price_id == price_id), items[0] if items else None)
    if main is None or not main.interval:  # a one-time price has no interval
        return None
    currency = subscription.currency or main.currency
    renews = min(subscription.period_ends.values(), default=None)
    full = _total(items, main, currency)
    rhythms = {(item.interval, item.interval_count) for item in items}
    is_regular = len(rhythms) == 1
    return Recurring(
        amount=_discounted(subscription, renews, currency) if full is not None else None,
        full_amount=full,
        currency=currency,
        interval=main.interval if is_regular else None,
        interval_count=main.interval_count,
        quantity=main.quantity,
        discounts=tuple(
            _describe(discount, currency) for discount in _current_discounts(subscription, renews)
        ),
        plus_tax=any(item.plus_tax for item in items),
        is_collected=subscription.is_collected,
    )


def _total(items: Sequence[Item], main: Item, currency: str) -> int | None:
    rhythm = (currency, main.interval, main.interval_count)
    if any((item.currency, item.interval, item.interval_count) != rhythm for item in items):
        return None
    amounts = [item.amount for item in items]
    if any(amount is None for amount in amounts):
        return None
    return sum(_rounded(amount) for amount in amounts if amount is not None)


def _discounted(subscription: Subscription, renews: datetime | None, currency: str) -> int | None:
    """Apply discounts: first those of items, then the subscription's, in sequence."""
    items = subscription.items
    lines = [_Line(item.product_id, Decimal(_rounded(item.amount or 0))) for item in items]
    steps = [
        (reduction, [line])
        for line, item in zip(lines, items, strict=True)
        for reduction in item.discounts
    ]
    steps += [(reduction, lines) for reduction in subscription.discounts]
    for discount, on in steps:
        if _is_recurring(discount, renews) and not _take_off(discount, on, currency):
            return None
    return _rounded(sum((line.amount for line in lines), Decimal(0)))


def _take_off(discount: Discount, lines: Sequence[_Line], currency: str) -> bool:
    """Apply a discount to these lines; return False if the amount is unknown."""
    coupon = discount.coupon
    if coupon is None or (coupon.products == UNKNOWN and len(lines) > 1):
        return False
    limited = coupon.products not in (None, UNKNOWN)
    eligible = [line for line in lines if not limited or line.product_id in (coupon.products or ())]
    total = sum((line.amount for line in eligible), Decimal(0))
    if coupon.percent_off is not None:
        off = Decimal(_rounded(total * coupon.percent_off / 100))
    elif currency in coupon.amounts_off:
        off = min(Decimal(coupon.amounts_off[currency]), total)
    else:
        return False
    for line in eligible:
        line.amount -= line.amount / total * off if total else 0
    return True


def _current_discounts(subscription: Subscription, renews: datetime | None) -> Iterable[Discount]:
    on_items = (discount for item in subscription.items for discount in item.discounts)
    return (
        discount
        for discount in (*on_items, *subscription.discounts)
        if _is_current(discount, renews)
    )


def _is_current(discount: Discount, renews: datetime | None) -> bool:
    """Return whether the discount applies to the next invoice, by Stripe's dates, not our clock."""
    return discount.ends is None or renews is None or discount.ends > renews


def _is_recurring(discount: Discount, renews: datetime | None) -> bool:
    once = discount.coupon is not None and discount.coupon.duration == "once"
    return _is_current(discount, renews) and not once


def _describe(discount: Discount, currency: str) -> charges.Discount:
    coupon = discount.coupon
    if coupon is None:
        return charges.Discount(ends=discount.ends)
    percent = coupon.percent_off
    return charges.Discount(
        percent_off=f"{percent.normalize():f}" if percent is not None else None,
        amount_off=coupon.amounts_off.get(currency) if percent is None else None,
        ends=discount.ends,
        once=coupon.duration == "once",
    )


def _rounded(amount: Decimal | int) -> int:
    return int(Decimal(amount).to_integral_value(ROUND_HALF_UP))

"""Template filters for money, dates and emails."""

from __future__ import annotations

from datetime import UTC, datetime
from datetime import date as date_type
from decimal import Decimal
from functools import lru_cache

import idna
from babel.dates import format_date
from babel.numbers import format_currency, get_currency_symbol
from flask import Flask, current_app
from markupsafe import Markup, escape

from saas.charges import THREE_DECIMALS, Discount, Recurring

_CACHED = 1000  # results per function: formatting with Babel took a tenth of the dashboard


def init_app(app: Flask) -> None:
    """Register the filters."""
    app.add_template_filter(money)
    app.add_template_filter(date)
    app.add_template_filter(amount)
    app.add_template_filter(price)
    app.add_template_filter(every)
    app.add_template_filter(discount)
    app.add_template_filter(email)


# https://docs.stripe.com/currencies#zero-decimal and, below, three-decimal currencies
_WITHOUT_DECIMALS = frozenset(
    ("bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf",
     "xof", "xpf")
)  # fmt: skip


def money(units: int, currency: str | None = None) -> str:
    """Format a price: $15, $12.50, ¥1,500. `units` are the currency's smallest.

    The default is the catalogue's currency.
    """
    currency = currency or current_app.config["CATALOGUE"].currency
    value = _value(units, currency)
    return _formatted(value, currency, 0 if value == value.to_integral_value() else None)


def amount(units: int, currency: str) -> str:
    """Format an amount with all decimals, as on an invoice: $15.00, ¥1,500, KWD 9.500."""
    return _formatted(_value(units, currency), currency)


def exact_amount(units: int, currency: str) -> str:
    """Format an amount for operators, like Stripe's Dashboard: 15.00 usd."""
    return f"{_value(units, currency)} {currency}"


def price(recurring: Recurring | None) -> str:
    """Format a recurring amount, such as `$12 a month`; empty if it is unknown."""
    if recurring is None or recurring.amount is None:
        return ""
    tax = " plus tax" if recurring.plus_tax and recurring.amount else ""
    text = money(recurring.amount, recurring.currency)
    return f"{text} {every(recurring, 'a')}{tax}"


def every(recurring: Recurring, one: str = "every") -> str:
    """Format an interval: `every month`, `a month`, `every 3 months`; empty if intervals differ."""
    count, interval = recurring.interval_count, recurring.interval
    if interval is None:
        return ""
    return f"{one} {interval}" if count == 1 else f"every {count} {interval}s"


def discount(terms: Discount, currency: str) -> str:
    """Format a discount without its end: `20% off`, `$5 off one invoice`."""
    if terms.percent_off is not None:
        text = f"{terms.percent_off}% off"
    elif terms.amount_off is not None:
        text = f"{money(terms.amount_off, currency)} off"
    else:
        text = "A discount"
    return f"{text} one invoice" if terms.once else text


def day(at: datetime) -> str:
    """Format a date in UTC, so that pages, emails and the history show the same date."""
    return _day(at.astimezone(UTC).date())


def day_utc(at: datetime) -> str:
    """Format a date with its time zone, for texts that do not mention it."""
    return f"{day(at)} (UTC)"


def date(at: datetime) -> Markup:
    """Format a date in UTC; a script adds the reader's local time as a tooltip."""
    return Markup('<time datetime="{}">{}</time>').format(  # noqa: S704 - format escapes
        at.isoformat(timespec="seconds"), escape(day(at))
    )


def email(address: str) -> str:
    """Format an email address with a Unicode domain: `ada@bücher.example`, not `ada@xn--…`."""
    local, at, domain = address.rpartition("@")
    try:
        unicode_domain = idna.decode(domain) if "xn--" in domain else domain
    except idna.IDNAError:
        return address
    return f"{local}{at}{unicode_domain}"


@lru_cache(maxsize=_CACHED)
def _day(on: date_type) -> str:
    return format_date(on, "d MMMM y", locale="en_US")


def _places(currency: str) -> int:
    code = currency.lower()
    return 0 if code in _WITHOUT_DECIMALS else 3 if code in THREE_DECIMALS else 2


def _value(units: int, currency: str) -> Decimal:
    return Decimal(units).scaleb(-_places(currency))


@lru_cache(maxsize=_CACHED)
def _formatted(value: Decimal, currency: str, places: int | None = None) -> str:
    """Format with Babel's symbols but Stripe's decimals, which differ for a few currencies."""
    places = _places(currency) if places is None else places
    gap = "\xa0" if get_currency_symbol(currency.upper(), "en_US")[-1:].isalpha() else ""
    pattern = f"¤{gap}#,##0" + ("." + "0" * places if places else "")
    return format_currency(value, currency.upper(), pattern, locale="en_US", currency_digits=False)

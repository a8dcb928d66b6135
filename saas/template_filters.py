"""Template filters for money, dates and emails, and URLs of static files."""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import idna
from babel.dates import format_date
from babel.numbers import format_currency, get_currency_symbol
from flask import Flask, Response, current_app, request, send_from_directory
from markupsafe import Markup, escape
from werkzeug.security import safe_join

from saas.charges import Discount, Recurring


def init_app(app: Flask) -> None:
    """Register the filters, and `static`, which adds a hash to file URLs."""
    app.add_template_filter(money)
    app.add_template_filter(date)
    app.add_template_filter(amount)
    app.add_template_filter(price)
    app.add_template_filter(every)
    app.add_template_filter(discount)
    app.add_template_filter(email)
    app.add_template_global(static)
    app.extensions["static"] = {}
    app.view_functions["static"] = send_static
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = None
    app.after_request(_cache_static)


def static(name: str, version: str | None = None) -> str:
    """Return the URL of a static file with its hash or `version`, so it can be cached forever.

    Each page needs about ten of them, so URLs are cached; `url_for` took a tenth of the time
    to render a page.
    """
    known: dict[str, str] = current_app.extensions["static"]
    if name not in known or current_app.config["TEMPLATES_AUTO_RELOAD"]:
        version = version or _hash(name)
        # Independent of the request, because it is cached for all users.
        root = current_app.url_map.bind("localhost")
        known[name] = root.build("static", {"filename": name, "v": version})
    return known[name]


# https://docs.stripe.com/currencies#zero-decimal and, below, three-decimal currencies
_WITHOUT_DECIMALS = frozenset(
    ("bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf",
     "xof", "xpf")
)  # fmt: skip
_THREE_DECIMALS = frozenset(("bhd", "jod", "kwd", "omr", "tnd"))


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
    return format_date(at.astimezone(UTC), "d MMMM y", locale="en_US")


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
        shown = idna.decode(domain) if "xn--" in domain else domain
    except idna.IDNAError:
        return address
    return f"{local}{at}{shown}"


def _places(currency: str) -> int:
    code = currency.lower()
    return 0 if code in _WITHOUT_DECIMALS else 3 if code in _THREE_DECIMALS else 2


def _value(units: int, currency: str) -> Decimal:
    return Decimal(units).scaleb(-_places(currency))


def _formatted(value: Decimal, currency: str, places: int | None = None) -> str:
    """Format with Babel's symbols but Stripe's decimals, which differ for a few currencies."""
    places = _places(currency) if places is None else places
    gap = "\xa0" if get_currency_symbol(currency.upper(), "en_US")[-1:].isalpha() else ""
    pattern = f"¤{gap}#,##0" + ("." + "0" * places if places else "")
    return format_currency(value, currency.upper(), pattern, locale="en_US", currency_digits=False)


def send_static(filename: str) -> Response:
    """Return the product's static file, or the starter's; 404 if there is neither."""
    return send_from_directory(_folder_of(current_app, filename), filename)


def static_file(app: Flask, name: str) -> Path:
    """Return the path of a static file: the product's if there is one, or ours."""
    return _folder_of(app, name) / name


def _folder_of(app: Flask, name: str) -> Path:
    """Return the folder that contains a static file: the product's or the starter's."""
    folders: tuple[Path, ...] = app.config["STATIC_FOLDERS"]
    for folder in folders[:-1]:
        path = safe_join(str(folder), name)
        if path is not None and os.path.isfile(path):  # noqa: PTH113 - False for too long a name
            return folder
    return folders[-1]


def _hash(name: str) -> str:
    path = static_file(current_app, name)
    if not path.is_file():
        raise FileNotFoundError(f"a template names the static file {name}, which is missing")
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def _cache_static(response: Any) -> Any:
    """Cache files with their hash in the URL forever, and others for an hour.

    A file with the hash of another release is not cached: a cache would serve it in place of the
    right one. Fonts have their own version in the URL.
    """
    if request.endpoint != "static" or response.status_code not in (200, 304):
        return response
    version = request.args.get("v")
    cache_control = "public, max-age=3600"
    if version is not None:
        name = (request.view_args or {})["filename"]
        is_current = name.startswith("fonts/") or request.full_path == static(name)
        cache_control = "public, max-age=31536000, immutable" if is_current else "no-cache"
    response.headers["Cache-Control"] = cache_control
    return response

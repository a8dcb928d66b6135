"""What templates can say: money, dates, and addresses of static files that never go stale."""

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
    """Register the filters, and `static`, which names files with a hash of them."""
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
    """The address of a static file, with a hash of it or `version`: it may be kept for ever.

    Every page asks for ten of them, so an address is put together once; `url_for` took a tenth of
    a page's time.
    """
    known: dict[str, str] = current_app.extensions["static"]
    if name not in known or current_app.config["TEMPLATES_AUTO_RELOAD"]:
        version = version or _hash(name)
        # At the root, whatever a request says: it is kept for everybody.
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
    """A price as people write it: $15, $12.50, ¥1,500. `units` are the currency's smallest.

    The currency is the catalogue's unless another one is named.
    """
    currency = currency or current_app.config["CATALOGUE"].currency
    value = _value(units, currency)
    return _formatted(value, currency, 0 if value == value.to_integral_value() else None)


def amount(units: int, currency: str) -> str:
    """An amount as an invoice says it, to the last decimal: $15.00, ¥1,500, KWD 9.500."""
    return _formatted(_value(units, currency), currency)


def exact_amount(units: int, currency: str) -> str:
    """An amount for operators, beside what Stripe's dashboard says: 15.00 usd."""
    return f"{_value(units, currency)} {currency}"


def price(recurring: Recurring | None) -> str:
    """What recurs, such as `$12 a month`; empty where no one number tells it."""
    if recurring is None or recurring.amount is None:
        return ""
    tax = " plus tax" if recurring.plus_tax and recurring.amount else ""
    text = money(recurring.amount, recurring.currency)
    return f"{text} {every(recurring, 'a')}{tax}"


def every(recurring: Recurring, one: str = "every") -> str:
    """How often: `every month`, `a month`, `every 3 months`; empty at different intervals."""
    count, interval = recurring.interval_count, recurring.interval
    if interval is None:
        return ""
    return f"{one} {interval}" if count == 1 else f"every {count} {interval}s"


def discount(terms: Discount, currency: str) -> str:
    """A discount without its end: `20% off`, `$5 off one invoice`."""
    if terms.percent_off is not None:
        text = f"{terms.percent_off}% off"
    elif terms.amount_off is not None:
        text = f"{money(terms.amount_off, currency)} off"
    else:
        text = "A discount"
    return f"{text} one invoice" if terms.once else text


def day(at: datetime) -> str:
    """A day, in UTC as everywhere, so that a page, a mail and the history name the same one."""
    return format_date(at.astimezone(UTC), "d MMMM y", locale="en_US")


def day_utc(at: datetime) -> str:
    """The same where nothing around it says in which time zone."""
    return f"{day(at)} (UTC)"


def date(at: datetime) -> Markup:
    """A day, in UTC; a script adds the moment in the reader's time zone as a tooltip."""
    return Markup('<time datetime="{}">{}</time>').format(  # noqa: S704 - format escapes
        at.isoformat(timespec="seconds"), escape(day(at))
    )


def email(address: str) -> str:
    """An email address as its owner writes it: `ada@bücher.example`, not `ada@xn--…`."""
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
    """By Babel's signs, and Stripe's number of decimals, which differ for a few currencies."""
    places = _places(currency) if places is None else places
    gap = "\xa0" if get_currency_symbol(currency.upper(), "en_US")[-1:].isalpha() else ""
    pattern = f"¤{gap}#,##0" + ("." + "0" * places if places else "")
    return format_currency(value, currency.upper(), pattern, locale="en_US", currency_digits=False)


def send_static(filename: str) -> Response:
    """Answer with a static file of the product, or else with ours; 404 where neither has it."""
    return send_from_directory(_folder_of(current_app, filename), filename)


def static_file(app: Flask, name: str) -> Path:
    """Return the path of a static file: the product's, or else ours."""
    return _folder_of(app, name) / name


def _folder_of(app: Flask, name: str) -> Path:
    """The folder that has a static file: the first of the product's and ours."""
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
    """A file that is named with its hash may be kept for ever; a bare name for an hour.

    With another hash, of the release before or the next one, it is not kept: a cache would give
    it to those who ask for the right one. Fonts are named with their own version.
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

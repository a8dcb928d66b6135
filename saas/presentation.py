"""What templates can say: money, dates, and addresses of static files that never go stale."""

from __future__ import annotations

import hashlib
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from flask import Flask, current_app, request
from markupsafe import Markup, escape


def init_app(app: Flask) -> None:
    """Register the filters, and `static`, which names files with a hash of them."""
    app.add_template_filter(money)
    app.add_template_filter(date)
    app.add_template_filter(amount)
    app.add_template_global(static)
    app.extensions["static"] = {}
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = None
    app.after_request(_cache_static)


def static(name: str, version: str | None = None) -> str:
    """The address of a static file, with a hash of it or `version`: it may be kept for ever.

    Every page asks for ten of them, so an address is put together once; `url_for` took a tenth of
    a page's time.
    """
    known: dict[str, str] = current_app.extensions["static"]
    if name not in known or current_app.config["TEMPLATES_AUTO_RELOAD"]:
        version = version or _hash(Path(current_app.static_folder or "") / name)
        # At the root, whatever a request says: it is kept for everybody.
        root = current_app.url_map.bind("localhost")
        known[name] = root.build("static", {"filename": name, "v": version})
    return known[name]


def money(cents: int) -> str:
    """Cents of US dollars as people write them: $15, $12.50."""
    dollars, rest = divmod(cents, 100)
    return f"${dollars:,}" + (f".{rest:02d}" if rest else "")


# https://docs.stripe.com/currencies#zero-decimal and, below, three-decimal currencies
_WITHOUT_DECIMALS = frozenset(
    ("bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf",
     "xof", "xpf")
)  # fmt: skip
_THREE_DECIMALS = frozenset(("bhd", "jod", "kwd", "omr", "tnd"))
_SIGNS = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥"}


def amount(units: int, currency: str) -> str:
    """An amount in the smallest unit of its currency as people write it: $15.00, ¥1,500, CHF 9.50.

    To the last decimal, unlike a price: it is what an invoice says.
    """
    code = currency.lower()
    places = 0 if code in _WITHOUT_DECIMALS else 3 if code in _THREE_DECIMALS else 2
    value = Decimal(abs(units)).scaleb(-places)
    sign = "-" if units < 0 else ""
    return f"{sign}{_SIGNS.get(code, code.upper() + chr(160))}{value:,.{places}f}"


def day(at: datetime) -> str:
    """A day, in UTC, for where no script can put it into the reader's time zone."""
    return f"{at:%-d %B %Y}"


def date(at: datetime) -> Markup:
    """A day, in UTC; a script puts it into the reader's time zone."""
    return Markup('<time datetime="{}">{}</time>').format(  # noqa: S704 - format escapes
        at.isoformat(timespec="seconds"), escape(day(at))
    )


def _hash(path: Path) -> str:
    if not path.is_file():
        raise FileNotFoundError(f"a template names the static file {path.name}, which is missing")
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def _cache_static(response: Any) -> Any:
    """A file that is named with its hash may be kept for ever; a bare name for an hour."""
    if request.endpoint == "static" and response.status_code in (200, 304):
        named = bool(request.args.get("v"))
        response.headers["Cache-Control"] = (
            "public, max-age=31536000, immutable" if named else "public, max-age=3600"
        )
    return response

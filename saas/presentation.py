"""What templates can say: money, dates, and addresses of static files that never go stale."""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Any

from flask import Flask
from markupsafe import Markup, escape


def init_app(app: Flask) -> None:
    """Register the filters, and a hash in the address of every static file."""
    app.add_template_filter(money)
    app.add_template_filter(date)
    hashes: dict[str, str] = {}

    @app.url_defaults
    def add_hash(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint != "static" or "filename" not in values or "v" in values:
            return
        name = values["filename"]
        if name not in hashes or app.config["TEMPLATES_AUTO_RELOAD"]:
            hashes[name] = _hash(Path(app.static_folder or "") / name)
        values["v"] = hashes[name]

    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = None
    app.after_request(_cache_static)


def money(cents: int) -> str:
    """Cents of US dollars as people write them: $15, $12.50."""
    dollars, rest = divmod(cents, 100)
    return f"${dollars:,}" + (f".{rest:02d}" if rest else "")


def date(at: datetime) -> Markup:
    """A day, in UTC; a script puts it into the reader's time zone."""
    return Markup('<time datetime="{}">{}</time>').format(  # noqa: S704 - format escapes
        at.isoformat(timespec="seconds"), escape(f"{at:%-d %B %Y}")
    )


def _hash(path: Path) -> str:
    if not path.is_file():
        raise FileNotFoundError(f"a template names the static file {path.name}, which is missing")
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def _cache_static(response: Any) -> Any:
    """A file that is named with its hash may be kept for ever; a bare name for an hour."""
    from flask import request

    if request.endpoint == "static" and response.status_code in (200, 304):
        named = bool(request.args.get("v"))
        response.headers["Cache-Control"] = (
            "public, max-age=31536000, immutable" if named else "public, max-age=3600"
        )
    return response

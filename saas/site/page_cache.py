"""A cache of public pages, which are the same for all anonymous visitors."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from flask import Response, current_app, request


def cached_page(render: Callable[[], str], *key: str | None) -> Response:
    """Return the page cached under this key, with an ETag; 304 if the client has it.

    The response is private if the request has a session, because the page may then contain a form
    and a name.
    """
    if has_session():
        return Response(render(), mimetype="text/html")
    pages: dict[tuple[str | None, ...], tuple[bytes, str]] = current_app.extensions.setdefault(
        "public_pages", {}
    )
    if key not in pages or current_app.config["TEMPLATES_AUTO_RELOAD"]:
        page = render().encode()
        pages[key] = page, hashlib.sha256(page).hexdigest()[:20]
    page, tag = pages[key]
    response = Response(page, mimetype="text/html")
    response.set_etag(tag)
    response.headers["Cache-Control"] = "public, max-age=0, must-revalidate"
    response.make_conditional(request)
    return response


def has_session() -> bool:
    """Return whether the browser sends a session cookie, signed in or not."""
    return current_app.config["SESSION_COOKIE_NAME"] in request.cookies

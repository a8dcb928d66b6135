"""Public pages are the same for everybody who is not signed in: rendered once, then kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from flask import Response, current_app, request


def cached_page(render: Callable[[], str], *key: str | None) -> Response:
    """The page of this key, rendered the first time, with an ETag; 304 for who has it.

    Private where the request names a session: a page may then carry a form and a name.
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
    """Whether the browser names a session, of somebody signed in or not."""
    return current_app.config["SESSION_COOKIE_NAME"] in request.cookies

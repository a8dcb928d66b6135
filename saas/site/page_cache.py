"""A cache of public pages, which are the same for all anonymous visitors, also compressed.

Private pages are compressed by the proxy.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple

from flask import Response, current_app, request


class _Page(NamedTuple):
    html: bytes
    compressed: bytes
    tag: str


def cached_page(render: Callable[[], str], *key: str | None) -> Response:
    """Return the page cached under this key, with an ETag; 304 if the client has it.

    The response is private if the request has a session, because the page may then contain a form
    and a name.
    """
    if has_session():
        return Response(render(), mimetype="text/html")
    pages: dict[tuple[str | None, ...], _Page] = current_app.extensions.setdefault(
        "public_pages", {}
    )
    if key not in pages or current_app.config["TEMPLATES_AUTO_RELOAD"]:
        html = render().encode()
        pages[key] = _Page(html, gzip.compress(html, mtime=0), sha256(html).hexdigest()[:20])
    return _respond(pages[key], compressed=request.accept_encodings["gzip"] > 0)


def _respond(page: _Page, *, compressed: bool) -> Response:
    response = Response(page.compressed if compressed else page.html, mimetype="text/html")
    if compressed:
        response.headers["Content-Encoding"] = "gzip"
    # Each representation has its own tag: https://www.rfc-editor.org/rfc/rfc9110#section-8.8.3.3
    response.set_etag(f"{page.tag}-gzip" if compressed else page.tag)
    response.headers["Cache-Control"] = "public, max-age=0, must-revalidate"
    response.vary.add("Accept-Encoding")
    response.make_conditional(request)
    return response


def has_session() -> bool:
    """Return whether the browser sends a session cookie, signed in or not."""
    return current_app.config["SESSION_COOKIE_NAME"] in request.cookies

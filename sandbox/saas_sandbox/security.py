"""Security headers of every page, and CSRF protection of the forms."""

from urllib.parse import urlsplit

from flask import Flask, Response, abort, request

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; font-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; frame-src 'self'; base-uri 'none'; "
    # Checkout and portal redirect to the merchant, which can have any origin.
    "form-action 'self' http: https:; frame-ancestors 'self'"
)


def init_app(app: Flask) -> None:
    app.before_request(_check_origin)
    app.after_request(_add_headers)


def _check_origin() -> None:
    """Refuse forms from other origins. API calls have no Origin header."""
    origin = request.headers.get("Origin")
    if request.method == "GET" or origin is None:
        return
    if urlsplit(origin).netloc != request.host:
        abort(403, "This form was sent from another site.")


def _add_headers(response: Response) -> Response:
    response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
    response.headers["X-Content-Type-Options"] = "nosniff"
    # With no-referrer, browsers would send forms with `Origin: null`.
    response.headers["Referrer-Policy"] = "strict-origin-when-cross-origin"
    if not request.path.startswith("/static/"):
        response.headers.setdefault("Cache-Control", "no-store")
    return response

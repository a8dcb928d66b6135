"""Security headers, CSRF protection, safe redirects and sessions."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from flask import Flask, Response, abort, current_app, request, session
from flask import Request as FlaskRequest
from flask.sessions import SecureCookieSessionInterface, SessionMixin
from flask_login import current_user
from flask_wtf import FlaskForm
from itsdangerous import SignatureExpired, Signer, TimestampSigner, URLSafeTimedSerializer
from werkzeug.exceptions import HTTPException

from saas.extensions import csrf

View = TypeVar("View", bound=Callable[..., Any])

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
LONGEST_PATH = 1000  # characters of an encoded `next` path
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")  # in JSON
_PRINTABLE = re.compile(r"/[\x21-\x5b\x5d-\x7e]*")  # visible ASCII without the backslash
_WITHOUT_COOKIES = ("static", "og.card")  # the same response for all clients
_STRIPE_PAGES = ("https://checkout.stripe.com", "https://billing.stripe.com")


def init_app(app: Flask) -> None:
    """Register the protections for every request."""
    csrf.init_app(app)
    app.request_class = Request
    app.session_interface = PrivateSessions()
    app.before_request(_limit_form)
    app.before_request(protect_from_forgery)
    app.after_request(partial(_harden, headers=headers(app)))


def csrf_exempt(view: View) -> View:
    """Mark a view whose requests are authenticated without a session, such as by a signature."""
    view.csrf_exempt = True  # type: ignore[attr-defined]  # a marker, like Flask-WTF's
    return view


def api_login_required(view: View) -> View:
    """Mark a JSON view that requires sign-in: anonymous requests get 401 before any 403."""
    view.api_login_required = True  # type: ignore[attr-defined]
    return view


def _limit_form() -> None:
    """Limit urlencoded fields: Werkzeug counts only multipart ones, and 100,000 take 94 MB."""
    if request.mimetype == "application/x-www-form-urlencoded":
        request.max_content_length = current_app.config["MAX_FORM_MEMORY_SIZE"]


def protect_from_forgery() -> None:
    """Require proof that a request that may write was sent by one of our pages."""
    view = current_app.view_functions.get(request.endpoint or "")
    if getattr(view, "api_login_required", False) and not current_user.is_authenticated:
        abort(401)
    if view is None or request.method in _SAFE_METHODS or getattr(view, "csrf_exempt", False):
        return
    _refuse_other_origins(request)
    csrf.protect()


def _refuse_other_origins(sent: FlaskRequest) -> None:
    """Refuse requests that come from another site by their Sec-Fetch-Site or Origin header."""
    site = sent.headers.get("Sec-Fetch-Site")
    if site not in (None, "same-origin", "none"):
        abort(403)
    origin = sent.headers.get("Origin")
    if origin == "null" and site == "same-origin":
        return  # a proxy added `Referrer-Policy: no-referrer`, so use Sec-Fetch-Site instead
    if origin is not None and origin not in (f"{sent.scheme}://{sent.host}", _app_origin()):
        abort(403)


def _app_origin() -> str:
    return str(current_app.config["APP_URL"])


def signer(purpose: str, key: str | None = None) -> Signer:
    """Return the signer for a purpose. The newest secret key signs, and all are accepted.

    With `key`, only that one signs and is accepted. The purpose is the salt, so a signature is
    valid for one purpose only.
    """
    keys = [key] if key else secret_keys()
    return Signer(keys, salt=purpose, key_derivation="hmac", digest_method=hashlib.sha256)


def secret_keys() -> list[str]:
    """Return the secret keys, newest last, as itsdangerous expects them.

    https://itsdangerous.palletsprojects.com/en/stable/concepts/#key-rotation
    """
    config = current_app.config
    return [*reversed(config["SECRET_KEY_FALLBACKS"]), config["SECRET_KEY"]]


def safe_path(target: str | None, default: str) -> str:
    """Return `target` if it is one of our paths that answers GET, otherwise `default`.

    The URL map decides, because `////evil.com`, `http:evil.com` and control characters pass naive
    checks, and Werkzeug's `redirect` turns them into URLs of other sites. Very long paths are
    refused: proxies return 502 for long headers, and the emailed link would be used up for nothing.
    """
    if (
        not target
        or len(quote(target)) > LONGEST_PATH
        or not _PRINTABLE.fullmatch(target)
        or target.startswith("//")
    ):
        return default
    adapter = current_app.url_map.bind("localhost")
    try:
        adapter.match(urlsplit(target).path, method="GET")
    except HTTPException:
        return default
    return target


class Request(FlaskRequest):
    """A request whose JSON must be an object that can be stored; anything else is 400."""

    def get_json(self, *args: Any, **kwargs: Any) -> Any:
        try:
            value = super().get_json(*args, **kwargs)
            # An unpaired surrogate is valid JSON, but no database stores it.
            written = json.dumps(value, ensure_ascii=False)
            written.encode()
            if _NUL.search(written):  # PostgreSQL cannot store NUL
                abort(400)
        except (RecursionError, UnicodeEncodeError):  # nested 100,000 deep
            abort(400)
        return value if value is None or isinstance(value, dict) else abort(400)


class Form(FlaskForm):
    """The base class of all forms, which reads only form fields.

    Flask-WTF also reads JSON, whose values may have any type and would cause errors.
    """

    def __init__(self, *arguments: Any, **values: Any) -> None:
        super().__init__(*arguments, **values)
        if "csrf_token" in self:
            # No id, because a page may have several forms.
            self["csrf_token"].id = False  # type: ignore[assignment]  # WTForms leaves it out

    class Meta(FlaskForm.Meta):
        def wrap_formdata(self, form: FlaskForm, formdata: Any) -> Any:
            return None if request.is_json else super().wrap_formdata(form, formdata)


class _UnlimitedSigner(TimestampSigner):
    """Accept cookies signed by a host whose clock is ahead of ours."""

    def unsign(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().unsign(*args, **kwargs)
        except SignatureExpired as error:
            if error.date_signed is None or error.date_signed <= datetime.now(UTC):
                raise
            return error.payload, error.date_signed


class PrivateSessions(SecureCookieSessionInterface):
    """Sessions that stay out of public responses and tolerate other hosts' clocks.

    Flask-Login reads the session after every response. That would add `Vary: Cookie` to public
    pages and keep caches from sharing them.
    """

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        serializer = super().get_signing_serializer(app)
        if serializer is not None:
            serializer.signer = _UnlimitedSigner
        return serializer

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        if response.cache_control.public and not session.modified:
            return
        super().save_session(app, session, response)


def headers(app: Flask) -> dict[str, str]:
    """Return the security headers of every response."""
    pages = " ".join(dict.fromkeys((*stripe_pages(app), *_identity_pages(app))))
    values = {
        # Chromium blocks a form whose response redirects to an origin missing in form-action.
        "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
        "font-src 'self'; connect-src 'self'; manifest-src 'self'; img-src 'self' data:; "
        f"base-uri 'none'; frame-ancestors 'none'; form-action 'self' {pages}",
        "X-Content-Type-Options": "nosniff",
        # Not no-referrer: Flask-WTF and the Origin check need a referrer on our own forms.
        "Referrer-Policy": "strict-origin-when-cross-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    if app.config["SAAS_ENV"] == "production":
        subdomains = "; includeSubDomains" if app.config["HSTS_INCLUDE_SUBDOMAINS"] else ""
        values["Strict-Transport-Security"] = f"max-age=63072000{subdomains}"
    return values


def stripe_pages(app: Flask) -> tuple[str, ...]:
    """Return the origins of Stripe's pages, to which our forms may redirect.

    With a custom domain in Stripe, `STRIPE_PAGES` names them.
    """
    sandbox = app.config["SANDBOX_URL"]
    usual = (sandbox,) if app.config["STRIPE_IS_SANDBOX"] else _STRIPE_PAGES
    return (*usual, *app.config["STRIPE_PAGES"])


def _identity_pages(app: Flask) -> list[str]:
    issuers = (
        urlsplit(provider["issuer"]) for provider in app.config["SIGN_IN_PROVIDERS"].values()
    )
    return [f"{issuer.scheme}://{issuer.netloc}" for issuer in issuers]


def _harden(response: Response, headers: dict[str, str]) -> Response:
    if "token" in (request.view_args or {}):  # the URL is secret, whatever the response
        response.headers["Referrer-Policy"] = "strict-origin"
    if request.endpoint == "og.card":  # for other sites
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    present = {name.lower() for name, _ in response.headers}
    response.headers.extend(  # a `setdefault` for each takes four times as long
        (name, value) for name, value in headers.items() if name.lower() not in present
    )
    if not response.cache_control:
        response.headers["Cache-Control"] = "no-store"
    if not response.cache_control.public and request.endpoint not in _WITHOUT_COOKIES:
        response.vary.add("Cookie")
    return response


def new_session() -> None:
    """Clear the browser's session before another user signs in."""
    session.clear()


def public_url(endpoint: str, **values: Any) -> str:
    """Return an absolute URL from `APP_URL`, never from the Host header."""
    return f"{_app_origin()}{current_app.url_map.bind('localhost').build(endpoint, values)}"

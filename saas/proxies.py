"""What stands in front of us: proxies, and what is believed of their headers.

No header decides where we are, and a proxy is believed only as far as `TRUSTED_PROXIES` says.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any
from urllib.parse import quote, urlsplit

from flask import Flask, current_app, redirect, request
from werkzeug.exceptions import SecurityError
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wrappers import Response

from saas import hosts

HEALTH = ("/healthz", "/readyz")
# Stripe follows no redirect, and proves itself with a signature.
_ALLOWED_OVER_HTTP = (*HEALTH, "/api/webhooks/stripe")

_MAX_REMAINING_BYTES = 16 * 1024 * 1024  # bytes of a body that is not wanted
_MAX_READ_SECONDS = 5.0  # seconds
_WITH_PORT = re.compile(r"\[([^\]]*)\](?::\d+)?|([^:\[\]]*|.*:\d+\.\d+\.\d+\.\d+):\d+")

WSGI = Callable[[dict[str, Any], Any], Iterable[bytes]]


def init_app(app: Flask) -> None:
    """Put the edge around the application."""
    host = urlsplit(app.config["APP_URL"]).netloc
    app.wsgi_app = Edge(app.wsgi_app, host)  # type: ignore[method-assign]  # Flask's documented way
    if proxies := app.config["TRUSTED_PROXIES"]:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=proxies, x_proto=proxies, x_host=proxies
        )
        if app.config["SAAS_ENV"] == "production":
            app.before_request(_require_https)


_NO_HOST = "["  # never a trusted host: production answers 400
_NAT64 = ip_network("64:ff9b::/96")  # IPv4 behind a translator: RFC 6052


class Edge:
    """Settle where we are before anything looks: at the root of a host, whose name is one name."""

    def __init__(self, application: WSGI, host: str) -> None:
        self.application, self.host = application, host

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        # Links are built with it, and public pages are kept: only configuration may decide it.
        environ["SCRIPT_NAME"] = ""
        if environ.get("PATH_INFO") in HEALTH:
            # Platforms ask by an IP address or the name of a container.
            environ["HTTP_HOST"] = self.host
        elif "HTTP_HOST" in environ:
            environ["HTTP_HOST"] = _normalize_host(environ["HTTP_HOST"])
            if environ["HTTP_HOST"] and not _is_valid_host(environ["HTTP_HOST"]):
                environ["HTTP_HOST"] = _NO_HOST
        response = self.application(environ, start_response)
        if environ.get("wsgi.input_terminated") and _has_body(environ):
            _read_rest(environ["wsgi.input"])
        return response


def _normalize_host(host: str) -> str:
    """Names are case-insensitive, and may end with the dot of the root (RFC 9110, RFC 1034)."""
    name, colon, port = host.lower().partition(":")
    return f"{name.removesuffix('.')}{colon}{port}".removesuffix(":")


def _is_valid_host(host: str) -> bool:
    """Return whether Werkzeug can decode a Host header: `xn--a` raises UnicodeError there."""
    try:
        return hosts.is_host(urlsplit(f"//{host}").hostname)
    except ValueError:
        return False


def _has_body(environ: dict[str, Any]) -> bool:
    return bool(environ.get("CONTENT_LENGTH") or "HTTP_TRANSFER_ENCODING" in environ)


def _read_rest(body: Any) -> None:
    """Read what the application left, in bounds.

    A connection that is closed with unread bytes is reset, and nginx then answers 502 instead of
    what we said.
    """
    remaining, give_up = _MAX_REMAINING_BYTES, time.monotonic() + _MAX_READ_SECONDS
    with suppress(Exception):  # each server has errors of its own, and the answer stands
        while remaining > 0 and time.monotonic() < give_up and (chunk := body.read(65536)):
            remaining -= len(chunk)


def _require_https() -> Response | None:
    """Redirect http to https: a browser drops a Secure cookie there, and every form fails."""
    if _forwarded_scheme() != "http" or request.path in _ALLOWED_OVER_HTTP:
        return None
    if isinstance(request.routing_exception, SecurityError):
        return None  # another host: refused
    query = f"?{request.query_string.decode('latin-1')}" if request.query_string else ""
    return redirect(f"{current_app.config['APP_URL']}{quote(request.path)}{query}", code=308)


def _forwarded_scheme() -> str | None:
    """What the outermost trusted proxy said; None where it says nothing.

    Many proxies replace the header instead of adding to it, so there may be fewer values.
    """
    schemes = request.headers.get("X-Forwarded-Proto", "").lower().split(",")
    proxies = min(current_app.config["TRUSTED_PROXIES"], len(schemes))
    return schemes[-proxies].strip() or None


def client_ip() -> str:
    """The IP address that a request comes from, as one key for whoever has it.

    Without the port that Azure's gateways add, without brackets, quotes and zone; an IPv4 address
    in IPv6 is that address. Of IPv6 it is the /64: its owner has at least that (RFC 6177), and
    could be counted under 2**64 addresses. What is no address at all is "unknown".
    """
    ip = (request.remote_addr or "").strip().strip('"').strip()
    if match := _WITH_PORT.fullmatch(ip):
        ip = match[1] or match[2] or ""
    try:
        address = ip_address(ip.partition("%")[0])
    except ValueError:
        return "unknown"
    if not isinstance(address, IPv6Address):
        return str(address)
    mapped = IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else address.ipv4_mapped
    return str(mapped or ip_network((address, 64), strict=False))

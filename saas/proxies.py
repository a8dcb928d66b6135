"""Proxies in front of the application, and the trust in their headers.

No header decides our own URL, and proxies are trusted only as far as `TRUSTED_PROXIES` allows.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any
from urllib.parse import quote, urlsplit

from flask import Flask, current_app, redirect, request
from werkzeug.exceptions import SecurityError, ServiceUnavailable
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wrappers import Response

from saas import deadlines, hosts

HEALTH = ("/healthz", "/readyz")
# Stripe does not follow redirects, and its requests are signed.
_ALLOWED_OVER_HTTP = (*HEALTH, "/api/webhooks/stripe")

_MAX_REMAINING_BYTES = 16 * 1024 * 1024  # bytes of a rejected body
_MAX_READ_SECONDS = 5.0  # seconds
_MAX_WAITED = 20.0  # seconds in the queue of the proxy and gunicorn
_REQUEST_START = re.compile(r"t=([0-9]{1,12}\.[0-9]{1,6})")
_WITH_PORT = re.compile(r"\[([^\]]*)\](?::\d+)?|([^:\[\]]*|.*:\d+\.\d+\.\d+\.\d+):\d+")

WSGI = Callable[[dict[str, Any], Any], Iterable[bytes]]


def init_app(app: Flask) -> None:
    """Wrap the WSGI application."""
    host = urlsplit(app.config["APP_URL"]).netloc
    app.wsgi_app = Edge(app.wsgi_app, host, app.config["TRUSTED_PROXIES"])  # type: ignore[method-assign]  # Flask's documented way
    if proxies := app.config["TRUSTED_PROXIES"]:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=proxies, x_proto=proxies, x_host=proxies
        )
        app.before_request(_refuse_if_late)
        if app.config["SAAS_ENV"] == "production":
            app.before_request(_require_https)


_NO_HOST = "["  # never a trusted host: production answers 400
_NAT64 = ip_network("64:ff9b::/96")  # IPv4 behind a NAT64 translator: RFC 6052


class Edge:
    """Normalise the host and the root path, and note how long a request has waited."""

    def __init__(self, application: WSGI, host: str, trusted_proxies: int = 0) -> None:
        self.application, self.host = application, host
        self.queue = QueueTime() if trusted_proxies else None

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        measured = self.queue and environ.get("PATH_INFO") not in HEALTH
        header = environ.get("HTTP_X_REQUEST_START", "") if measured else ""
        deadlines.waited.set(self.queue.waited(header) if self.queue and header else 0.0)
        # Links and cached public pages depend on it, so only the configuration may set it.
        environ["SCRIPT_NAME"] = ""
        if environ.get("PATH_INFO") in HEALTH:
            # Platforms call these routes by IP or container name.
            environ["HTTP_HOST"] = self.host
        elif "HTTP_HOST" in environ:
            environ["HTTP_HOST"] = _normalize_host(environ["HTTP_HOST"])
            if environ["HTTP_HOST"] and not _is_valid_host(environ["HTTP_HOST"]):
                environ["HTTP_HOST"] = _NO_HOST
        response = self.application(environ, start_response)
        if environ.get("wsgi.input_terminated") and _has_body(environ):
            _read_rest(environ["wsgi.input"])
        return response


class QueueTime:
    """How long requests waited between the proxy and this process, by X-Request-Start.

    nginx sends it as `t=1764400000.123` with `proxy_set_header X-Request-Start "t=${msec}"`. Both
    clocks may differ, so the shortest wait of the last minutes counts as none.
    """

    def __init__(self) -> None:
        self._shortest = self._shortest_before = math.inf
        self._minute_ends = 0.0

    def waited(self, header: str) -> float:
        """Return the seconds; 0 for a header that is not understood."""
        match = _REQUEST_START.fullmatch(header)
        if match is None:
            return 0.0
        measured, at = time.time() - float(match[1]), time.monotonic()
        if at > self._minute_ends:
            self._shortest_before, self._shortest = self._shortest, measured
            self._minute_ends = at + 60
        self._shortest = min(self._shortest, measured)
        return max(0.0, measured - min(self._shortest, self._shortest_before))


def _refuse_if_late() -> None:
    """Return 503 at once: the client has probably given up, and others are waiting."""
    if deadlines.waited.get() > _MAX_WAITED:
        raise ServiceUnavailable(retry_after=5)


def _normalize_host(host: str) -> str:
    """Normalise a host name: case-insensitive, without a final dot (RFC 9110, RFC 1034)."""
    name, colon, port = host.lower().partition(":")
    return f"{name.removesuffix('.')}{colon}{port}".removesuffix(":")


def _is_valid_host(host: str) -> bool:
    """Return whether Werkzeug can decode a Host header; `xn--a` raises UnicodeError there."""
    try:
        return hosts.is_host(urlsplit(f"//{host}").hostname)
    except ValueError:
        return False


def _has_body(environ: dict[str, Any]) -> bool:
    return bool(environ.get("CONTENT_LENGTH") or "HTTP_TRANSFER_ENCODING" in environ)


def _read_rest(body: Any) -> None:
    """Read the unread rest of the request body, up to a limit.

    If a connection is closed with unread bytes, it is reset, and nginx returns 502 instead of our
    response.
    """
    remaining, give_up = _MAX_REMAINING_BYTES, time.monotonic() + _MAX_READ_SECONDS
    with suppress(Exception):  # each server has its own exceptions; the response is kept
        while remaining > 0 and time.monotonic() < give_up and (chunk := body.read(65536)):
            remaining -= len(chunk)


def _require_https() -> Response | None:
    """Redirect http to https: a browser drops Secure cookies on http, and forms fail."""
    if _forwarded_scheme() != "http" or request.path in _ALLOWED_OVER_HTTP:
        return None
    if isinstance(request.routing_exception, SecurityError):
        return None  # another host: refused
    query = f"?{request.query_string.decode('latin-1')}" if request.query_string else ""
    return redirect(f"{current_app.config['APP_URL']}{quote(request.path)}{query}", code=308)


def _forwarded_scheme() -> str | None:
    """Return the scheme reported by the outermost trusted proxy, or None.

    Many proxies replace the header instead of appending to it, so there may be fewer values.
    """
    schemes = request.headers.get("X-Forwarded-Proto", "").lower().split(",")
    proxies = min(current_app.config["TRUSTED_PROXIES"], len(schemes))
    return schemes[-proxies].strip() or None


def client_ip() -> str:
    """Return the client's IP as a rate-limit key.

    Ports (added by Azure's gateways), brackets, quotes and zones are removed, and IPv4-mapped IPv6
    addresses are converted. IPv6 addresses are reduced to their /64, because a client has at least
    that many (RFC 6177) and could use 2**64 keys. Invalid values become "unknown".
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

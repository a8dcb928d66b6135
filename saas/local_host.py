"""In development, redirect `127.0.0.1` to the host of APP_URL, usually `localhost`.

Cookies and the callback URLs of sign-in and checkout belong to one host. A user who starts on
another name of this machine would come back signed out.
"""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from flask import Flask, current_app, redirect, request
from werkzeug.wrappers import Response

from saas import http, proxies


def init_app(app: Flask) -> None:
    """Redirect pages in development; elsewhere APP_URL is not a name of this machine."""
    if app.config["SAAS_ENV"] == "development":
        app.before_request(_redirect_to_app_url)


def _redirect_to_app_url() -> Response | None:
    if request.method not in ("GET", "HEAD") or request.path in proxies.HEALTH:
        return None
    requested, ours = urlsplit(request.url), urlsplit(current_app.config["APP_URL"])
    if not _is_other_name(requested, ours):
        return None
    return redirect(requested._replace(scheme=ours.scheme, netloc=ours.netloc).geturl())


def _is_other_name(requested: SplitResult, ours: SplitResult) -> bool:
    """Return whether both are different names of this server.

    Another port means that a proxy sent the request; a redirect would loop.
    """
    if not http.is_loopback(requested.hostname) or not http.is_loopback(ours.hostname):
        return False
    try:
        return requested.hostname != ours.hostname and requested.port == ours.port
    except ValueError:  # a Host whose port is not a number
        return False

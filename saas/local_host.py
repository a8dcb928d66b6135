"""Development: one name for this machine. `127.0.0.1` leads to `localhost`, or whatever APP_URL is.

Cookies and the callback URLs of sign-in and checkout belong to one host: a browser that begins on
another name of the same machine would come back signed out.
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
    """Whether both mean this server by different names.

    Another port is a proxy's way of asking, which a redirect would send in circles.
    """
    if not http.is_loopback(requested.hostname) or not http.is_loopback(ours.hostname):
        return False
    try:
        return requested.hostname != ours.hostname and requested.port == ours.port
    except ValueError:  # a Host whose port is not a number
        return False

"""Test clients: anonymous, of a user, of an administrator; and every route of an application."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from urllib.parse import urlsplit

from flask import Flask
from flask.testing import FlaskClient
from flask_wtf.csrf import generate_csrf
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from saas.auth import accounts, sessions
from saas.auth.models import User

ROLES = ("anonymous", "user", "admin")
SAFE = {"GET", "HEAD", "OPTIONS"}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PROPFIND", "BREW")
_UNKNOWN_ID = str(uuid.UUID(int=0))
_TOKEN = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')


def client_for(app: Flask, who: str) -> FlaskClient:
    """Return a test client in which this user has just signed in."""
    client = app.test_client()
    if who != "anonymous":
        with app.app_context():
            user = accounts.get_or_create(f"{who}@example.com", role=who)
        name, value, _ = start_session(app, user)
        client.set_cookie(name, value)
    return client


def start_session(app: Flask, user: User) -> tuple[str, str, str]:
    """Sign in a user as the views do; return the cookie's name and value, and a CSRF token."""
    with app.test_request_context(base_url=app.config["APP_URL"]) as context:
        sessions.start(user)
        token = generate_csrf()
        response = app.make_response("")
        app.session_interface.save_session(app, context.session, response)
    name, _, value = response.headers["Set-Cookie"].partition(";")[0].partition("=")
    return name, value, token


def csrf_token_for(client: FlaskClient) -> str:
    """Return the CSRF token of a form in this browser."""
    for path in ("/dashboard/settings", "/login"):
        if match := _TOKEN.search(client.get(path).text):
            return match[1]
    raise AssertionError("no form with a token")


def routes(app: Flask) -> Iterator[tuple[str, Rule]]:
    """Return every method of every route, as "GET /path"."""
    for rule in app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield f"{method} {rule.rule}", rule


def path_for(app: Flask, rule: Rule) -> str:
    """Return a path of this route, with ids that no row has."""
    values = dict.fromkeys(rule.arguments, _UNKNOWN_ID)
    return app.url_map.bind("localhost").build(rule.endpoint, values)


def status_or_redirect(response: TestResponse) -> int | str:
    """Return the status, and the target of a redirect."""
    if 300 <= response.status_code < 400:
        return f"{response.status_code} {urlsplit(response.location).path}"
    return response.status_code

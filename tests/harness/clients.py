"""Three people at the doors: nobody, a user, an administrator."""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from saas import database
from saas.auth import accounts, sessions
from saas.auth.models import Session
from saas.database import now

PEOPLE = ("anonymous", "user", "admin")
SAFE = {"GET", "HEAD", "OPTIONS"}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PROPFIND", "BREW")
_NOBODY = uuid.UUID(int=0)
_TOKEN = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')


def client_of(app: Flask, who: str) -> FlaskClient:
    """A browser in which this person has just signed in."""
    client = app.test_client()
    if who == "anonymous":
        return client
    token = secrets.token_urlsafe(32)
    with app.app_context():
        user = accounts.get_or_create(f"{who}@example.com", role=who)
        with database.write_transaction() as session:
            session.add(
                Session(
                    token_hash=sessions._hash(token),
                    user_id=user.id,
                    expires_at=now() + sessions.ABSOLUTE,
                )
            )
    with client.session_transaction() as cookie:
        cookie["_user_id"], cookie["_fresh"] = token, True
    return client


def csrf_of(client: FlaskClient) -> str:
    """The token in a form that this browser sees."""
    for path in ("/dashboard/settings", "/login"):
        if found := _TOKEN.search(client.get(path).text):
            return found[1]
    raise AssertionError("no form with a token")


def routes(app: Flask) -> Iterator[tuple[str, Rule]]:
    """Every method of every route, as "GET /path"."""
    for rule in app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield f"{method} {rule.rule}", rule


def path_of(app: Flask, rule: Rule) -> str:
    """An address of this route, with ids of nobody."""
    values: dict[str, Any] = {
        name: _NOBODY if type(rule._converters[name]).__name__ == "UUIDConverter" else "nobody"
        for name in rule.arguments
    }
    return app.url_map.bind("localhost").build(rule.endpoint, values)


def said(answer: TestResponse) -> int | str:
    """The status, and of a redirect where it leads."""
    if 300 <= answer.status_code < 400:
        return f"{answer.status_code} {urlsplit(answer.location).path}"
    return answer.status_code

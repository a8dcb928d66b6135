"""Every route that may write × every way to omit or forge the CSRF token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient

from saas.database import db, now
from tests.harness.clients import SAFE, client_for, csrf_token_for, path_for, routes

# Authenticated in another way: by a signature.
EXEMPT = {"POST /api/webhooks/stripe", "GET /api/reports", "POST /api/reports"}

Forgery = Callable[[Flask, str], dict[str, Any]]


def _of_another_browser(app: Flask, who: str) -> dict[str, Any]:
    other = "admin" if who == "user" else "user"
    return {"data": {"csrf_token": csrf_token_for(client_for(app, other))}}


def _of_before_sign_in(app: Flask, who: str) -> dict[str, Any]:
    return {"data": {"csrf_token": csrf_token_for(app.test_client())}}


NO_PROOF: dict[str, Forgery] = {
    "nothing at all": lambda app, who: {},
    "an empty token": lambda app, who: {"data": {"csrf_token": ""}},
    "a made-up token": lambda app, who: {"data": {"csrf_token": "a.b.c"}},
    "a made-up header": lambda app, who: {"headers": {"X-CSRFToken": "a.b.c"}},
    "the token of another browser": _of_another_browser,
    "a token from before the sign-in": _of_before_sign_in,
    "JSON": lambda app, who: {"json": {"csrf_token": "x"}},
    "plain text": lambda app, who: {"data": "csrf_token=x", "content_type": "text/plain"},
    "a method in a header": lambda app, who: {"headers": {"X-HTTP-Method-Override": "GET"}},
    "a method in a field": lambda app, who: {"data": {"_method": "GET"}},
}
FOREIGN: dict[str, dict[str, str]] = {
    "another origin": {"Origin": "https://evil.example"},
    "another port of this host": {"Origin": "http://localhost:1"},
    "an opaque origin": {"Origin": "null"},
    "Sec-Fetch-Site: cross-site": {"Sec-Fetch-Site": "cross-site"},
    "Sec-Fetch-Site: same-site": {"Sec-Fetch-Site": "same-site"},
}


def test_a_token_differs_each_second_so_compression_cannot_reveal_it(app: Flask) -> None:
    """BREACH guesses a secret that stays the same, byte by byte: https://breachattack.com"""
    client = client_for(app, "user")

    with time_machine.travel(now()) as clock:
        first = csrf_token_for(client)
        clock.shift(1)
        second = csrf_token_for(client)

    assert first.rpartition(".")[2] != second.rpartition(".")[2]  # the signature


@pytest.mark.parametrize("who", ["user", "admin", "anonymous"])
@pytest.mark.parametrize("forgery", NO_PROOF)
def test_requests_without_a_valid_token_change_nothing(app: Flask, forgery: str, who: str) -> None:
    if who == "anonymous" and "sign-in" in forgery:
        pytest.skip("an anonymous visitor's token is their own")
    client = client_for(app, who)
    sent = NO_PROOF[forgery](app, who)
    before = everything(app)

    assert _accepted(app, client, **sent) == {}
    assert everything(app) == before


@pytest.mark.parametrize("who", ["user", "admin", "anonymous"])
@pytest.mark.parametrize("origin", FOREIGN)
def test_cross_site_requests_with_a_valid_token_change_nothing(
    app: Flask, origin: str, who: str
) -> None:
    client = client_for(app, who)
    token = csrf_token_for(client)
    before = everything(app)

    assert _accepted(app, client, data={"csrf_token": token}, headers=FOREIGN[origin]) == {}
    assert everything(app) == before


def test_get_requests_change_nothing_whatever_method_they_claim(app: Flask) -> None:
    client = client_for(app, "user")
    before = everything(app)

    for name, rule in routes(app):
        if name.startswith("POST"):
            client.get(
                path_for(app, rule) + "?_method=POST", headers={"X-HTTP-Method-Override": "POST"}
            )

    assert everything(app) == before


def test_only_signed_requests_are_exempt(app: Flask) -> None:
    marked = {
        name
        for name, rule in routes(app)
        if getattr(app.view_functions[rule.endpoint], "csrf_exempt", False)
    }

    assert marked == EXEMPT


def _accepted(app: Flask, client: FlaskClient, **sent: Any) -> dict[str, int]:
    """Return the routes that did not refuse the request, with their responses."""
    passed = {}
    for name, rule in routes(app):
        method = name.split()[0]
        if method in SAFE or name in EXEMPT:
            continue
        response = client.open(path_for(app, rule), method=method, buffered=True, **sent)
        if response.status_code not in (400, 401, 403):
            passed[name] = response.status_code
    return passed


def everything(app: Flask) -> dict[str, list[Any]]:
    """Return every row of every table."""
    with app.app_context():
        return {
            table.name: sorted(map(repr, db.session.execute(table.select()).all()))
            for table in db.metadata.sorted_tables
            if table.name != "rate_limits"
        }

"""Exact policies and caching of responses, and errors without internal details."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from playwright.sync_api import Browser
from sqlalchemy import text
from werkzeug.test import TestResponse

from saas import database
from saas.database import db
from tests.harness.clients import ROLES, client_for, csrf_token_for, path_for, routes
from tests.harness.production import PRODUCTION
from tests.harness.shop import Shop
from tests.harness.visitor import Visitor

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "font-src": "'self'",
    "connect-src": "'self'",
    "manifest-src": "'self'",
    "img-src": "'self' data:",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
# With no-referrer Flask-WTF would refuse all forms over https; a weaker policy leaks tokens.
REFERRERS = {"strict-origin", "strict-origin-when-cross-origin"}


def all_responses(app: Flask, who: str) -> Iterator[tuple[str, TestResponse]]:
    """Yield responses of every route with its own and a wrong method, and of unknown paths."""
    client = client_for(app, who)
    token = csrf_token_for(client)
    for name, rule in routes(app):
        method = name.split()[0]
        for headers in ({}, {"X-CSRFToken": token}):
            if method != "GET" or not headers:
                client = client_for(app, who)
                response = client.open(path_for(app, rule), method=method, headers=headers)
                yield name, response
                response.close()
    for method, path in (
        ("BREW", "/login"), ("GET", "/nowhere"), ("GET", "/api/nowhere"),
        ("GET", "/static/nothing"), ("GET", "/static/css/app.css"),
        ("GET", "/favicon.ico"), ("DELETE", "/pricing"),
        ("GET", "/login?next=%ff"),
    ):  # fmt: skip
        response = client.open(path, method=method)
        yield f"{method} {path}", response
        response.close()
    yield "too large", client.post("/login", data={"email": "a" * 2_000_000})


@pytest.mark.parametrize("who", ROLES)
def test_every_response_is_protected_whatever_its_status(app: Flask, who: str) -> None:
    for name, response in all_responses(app, who):
        check_headers(name, response)
        assert "Strict-Transport-Security" not in response.headers, name  # development uses http


def check_headers(name: str, response: TestResponse) -> None:
    parts = (item.strip() for item in response.headers["Content-Security-Policy"].split(";"))
    policy = dict(part.split(" ", 1) for part in parts)
    form_action = policy.pop("form-action")
    assert policy == POLICY, name
    assert form_action.startswith("'self' "), name
    assert "*" not in form_action, name
    assert response.headers["X-Content-Type-Options"] == "nosniff", name
    assert response.headers["Referrer-Policy"] in REFERRERS, name
    assert "camera=()" in response.headers["Permissions-Policy"], name
    assert response.headers["Cross-Origin-Opener-Policy"] == "same-origin", name
    assert response.headers["Cache-Control"], name
    assert response.headers.get("X-Request-Id") or name == "GET /static/css/app.css"
    assert "Server" not in response.headers, name


@pytest.mark.parametrize("who", ROLES)
def test_private_responses_are_not_cached_and_public_ones_contain_no_user(
    app: Flask, who: str
) -> None:
    for name, response in all_responses(app, who):
        cache = response.headers["Cache-Control"]
        if "public" in cache:
            assert "Set-Cookie" not in response.headers, name
            assert "Cookie" not in response.headers.get("Vary", ""), name
            assert f"{who}@example.com" not in response.text if response.is_json else True
        elif not name.startswith(("GET /static", "GET /api/og", "GET /favicon")):
            assert cache == "no-store", name
            assert "Cookie" in response.headers["Vary"], name


def production(make_app: Callable[..., Flask], database_url: str) -> Flask:
    own = {"DATABASE_URL": database_url, "JOBS_URL": "sqlite:///jobs.db", "SANDBOX_URL": ""}
    return make_app(**{**PRODUCTION, **own})


def test_production_forms_work_over_https_without_a_referrer(
    make_app: Callable[..., Flask], database_url: str
) -> None:
    client = production(make_app, database_url).test_client()
    page = client.get("/login", base_url="https://app.example.com")
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page.text)
    assert token

    sent = {"email": "no address", "csrf_token": token[1]}
    response = client.post("/login", base_url="https://app.example.com", data=sent)

    assert response.status_code == 422  # processed, and not refused as forged


def test_an_error_page_shows_the_request_id_of_the_log_and_no_cause(
    app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    client = client_for(app, "user")
    with app.app_context(), database.write_transaction():
        db.session.execute(text("UPDATE sessions SET created_at = 'a-broken-row'"))

    page = client.get("/dashboard", headers={"X-Request-Id": "of-this-page"})
    response = client.get("/api/user", headers={"X-Request-Id": "of-this-answer"})

    assert (page.status_code, response.status_code) == (500, 500)
    assert "of-this-page" in page.text
    assert response.json
    assert response.json["error"]["code"] == "internal_error"
    for item in (page, response):
        check_headers("an error", item)
        for word in ("Traceback", "broken-row", "SELECT", "sqlalchemy", "site-packages", "saas/"):
            assert word not in item.text
    assert [record.message for record in caplog.records if "/dashboard" in record.message]


@pytest.mark.browser
@pytest.mark.parametrize("signed_in", [False, True])
def test_no_page_violates_the_policy_in_chromium(
    chromium: Browser, shop: Shop, visitor: Visitor, signed_in: bool
) -> None:
    context = chromium.new_context()
    if signed_in:
        visitor.sign_in("ann@example.com")
        context.add_cookies([{"name": "session", "value": visitor.cookie, "url": shop.url}])
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(f"{page.url}: {message.text}"))

    for name, rule in routes(shop.app):
        # Pages only: Chromium wraps other files in pages of its own.
        shown = not rule.arguments and "." not in rule.rule and "export" not in rule.rule
        if name.startswith("GET") and shown and "/api" not in name:
            page.goto(shop.url + path_for(shop.app, rule))

    assert [complaint for complaint in complaints if "Content Security Policy" in complaint] == []
    context.close()

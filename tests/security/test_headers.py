"""Headers of every response: pages, JSON, redirects, errors and files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser

from tests.harness.clients import METHODS, ROLES, client_for, csrf_token_for, path_for, routes
from tests.harness.production import PRODUCTION
from tests.harness.shop import Shop

ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
}


@pytest.mark.parametrize("who", ROLES)
def test_every_response_of_every_route_has_the_headers(who: str, app: Flask) -> None:
    client = client_for(app, who)
    token = csrf_token_for(client)
    wanting = []
    for _, rule in routes(app):
        path = path_for(app, rule)
        for method in METHODS:
            response = client.open(
                path, method=method, headers={"X-CSRFToken": token}, buffered=True
            )
            if not is_hardened(response.headers):
                wanting.append(f"{method} {path}: {response.status_code}")

    assert wanting == []


def is_hardened(headers: Any) -> bool:
    policy = headers.get("Content-Security-Policy", "")
    return (
        all(headers.get(name) == value for name, value in ALWAYS.items())
        and policy.startswith("default-src 'none'; ")
        and "frame-ancestors 'none'" in policy
        and "unsafe" not in policy
        and headers.get("Referrer-Policy", "").startswith("strict-origin")
        and "camera=()" in headers.get("Permissions-Policy", "")
        and "Cache-Control" in headers
        and ("public" in headers["Cache-Control"] or "Cookie" in headers.get("Vary", "")
             or "Set-Cookie" not in headers)
    )  # fmt: skip


@pytest.mark.parametrize("who", ["user", "admin"])
def test_no_private_page_may_be_cached(who: str, app: Flask) -> None:
    client = client_for(app, who)

    for name, rule in routes(app):
        path = path_for(app, rule)
        if name.startswith("GET ") and (path.startswith(("/dashboard", "/admin", "/api/user"))):
            headers = client.get(path).headers
            assert headers["Cache-Control"] == "no-store", path
            assert "Cookie" in headers["Vary"], path


@pytest.fixture
def production(make_app: Callable[..., Flask], database_url: str) -> Flask:
    own = {"DATABASE_URL": database_url, "SANDBOX_URL": "", "JOBS_URL": "sqlite:///jobs.db"}
    return make_app(**{**PRODUCTION, **own})


def test_production_enforces_https_and_binds_its_cookie_to_its_host(production: Flask) -> None:
    client = production.test_client()

    response = client.get("/login", base_url="https://app.example.com")

    assert "max-age=63072000" in response.headers["Strict-Transport-Security"]
    cookie = response.headers["Set-Cookie"]
    assert cookie.startswith("__Host-session=")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(cookie.split("; "))
    assert "Domain" not in cookie
    policy = response.headers["Content-Security-Policy"]
    assert "form-action 'self' https://checkout.stripe.com https://billing.stripe.com" in policy


@pytest.mark.parametrize("host", ["evil.example", "app.example.com.evil.example", "a" * 300, "["])
@pytest.mark.parametrize("path", ["/login", "/api/user", "/static/css/app.css"])
def test_an_unknown_host_is_refused_without_a_server_error(
    host: str, path: str, production: Flask
) -> None:
    response = production.test_client().get(path, headers={"Host": host})

    assert response.status_code == 400
    assert host not in response.text
    assert is_hardened(response.headers)


@pytest.mark.browser
def test_a_browser_runs_no_injected_scripts(shop: Shop, chromium: Browser) -> None:
    """Chromium enforces the policy for inline, foreign and framed scripts."""
    page = chromium.new_page()
    page.goto(f"{shop.url}/login")
    refused: list[str] = []
    page.on(
        "console", lambda message: refused.append(message.text) if message.type == "error" else None
    )

    page.evaluate(
        """() => {
            for (const source of ["http://localhost:1/x.js", "data:text/javascript,1"]) {
                const script = document.createElement("script");
                script.src = source;
                document.head.append(script);
            }
            const inline = document.createElement("script");
            inline.textContent = "window.evil = 1";
            document.head.append(inline);
            document.body.insertAdjacentHTML(
                "beforeend", "<img src=x onerror='window.evil=1'><iframe src='/pricing'></iframe>");
        }"""
    )
    page.wait_for_load_state("networkidle")

    assert page.evaluate("window.evil") is None
    assert len([message for message in refused if "Content Security Policy" in message]) >= 4
    page.close()

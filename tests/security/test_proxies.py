"""Headers of proxies and platforms, and their effects."""

from __future__ import annotations

import socket
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient

from saas.database import now
from tests.harness.clients import client_for, csrf_token_for
from tests.harness.gunicorn_server import running_gunicorn
from tests.harness.nginx import nginx
from tests.harness.production import PRODUCTION
from tests.harness.shop import Shop

SAME_CALLER = {
    "IPv4": ["203.0.113.10:40001", "203.0.113.10", '"203.0.113.10:2"', "[::ffff:203.0.113.10]:3"],
    "mapped IPv4": ["::ffff:203.0.113.10", "::ffff:203.0.113.10:4", "203.0.113.10:5"],
    "IPv6": ["[2001:db8::1]:443", "2001:db8::2", "[2001:db8::3]", "2001:DB8::4%eth0"],
    "no address": ["unknown", "_hidden", "garbage:1", "999.1.1.1", "[", "203.0.113.10:x"],
}


@pytest.fixture
def production(make_app: Callable[..., Flask], database_url: str) -> Flask:
    own = {"DATABASE_URL": database_url, "SANDBOX_URL": "", "JOBS_URL": "sqlite:///jobs.db"}
    return make_app(**{**PRODUCTION, **own})


def ask_for_mail(client: FlaskClient, email: str, forwarded_for: str) -> int:
    data = {"email": email, "csrf_token": csrf_token_for(client)}
    headers = {"X-Forwarded-For": forwarded_for}
    return client.post("/login", data=data, headers=headers).status_code


@pytest.mark.parametrize("kind", SAME_CALLER)
def test_all_spellings_of_a_client_ip_count_as_one(
    kind: str, make_app: Callable[..., Flask]
) -> None:
    app = make_app(TRUSTED_PROXIES="1")
    client = app.test_client()
    spellings = SAME_CALLER[kind]

    asked = [
        ask_for_mail(client, f"a{number}@example.com", spellings[number % len(spellings)])
        for number in range(31)
    ]

    assert asked == [303] * 30 + [429]
    assert ask_for_mail(client, "b@example.com", "198.51.100.7:1") == 303


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.parametrize("host", ["10.1.2.3:8080", "web-1", "evil.example", "[", ""])
def test_health_checks_respond_to_any_host(path: str, host: str, production: Flask) -> None:
    headers = {"Host": host, "X-Forwarded-Proto": "http"}

    assert production.test_client().get(path, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "host", ["APP.Example.COM", "app.example.com.", "App.example.com.:443", "app.example.com:"]
)
def test_the_host_is_accepted_in_every_spelling(host: str, production: Flask) -> None:
    headers = {"Host": host, "X-Forwarded-Proto": "https"}

    assert production.test_client().get("/login", headers=headers).status_code == 200


@pytest.mark.parametrize("host", ["xn--a", f"{'a' * 64}.example.com", "a..b"])
def test_an_invalid_host_causes_no_server_error(host: str, shop: Shop) -> None:
    assert shop.visitor().request("GET", "/login", headers={"Host": host}).status_code < 500


def test_a_host_with_a_letter_of_the_newer_idna_rules_is_accepted(shop: Shop) -> None:
    own = {"Host": "xn--strae-oqa.example", "Origin": "http://xn--strae-oqa.example"}

    assert shop.visitor().request("GET", "/login", headers=own).status_code == 200
    refused = shop.visitor().request("POST", "/login", headers=own)
    assert refused.status_code == 400  # refused for its missing token, not for its origin


@pytest.mark.parametrize(
    ("path", "scheme"),
    [
        (f"/dashboard?x={'y' * 3500}", "https"),
        (f"/dashboard/settings/passkeys/new?{'%25' * 900}", "https"),
        (f"//dashboard?{'y' * 3500}", "https"),
        (f"/login?next={'y' * 3500}", "http"),
    ],
)
def test_no_redirect_is_longer_than_proxies_accept(
    path: str, scheme: str, production: Flask
) -> None:
    headers = {"Host": "app.example.com", "X-Forwarded-Proto": scheme}

    response = production.test_client().get(path, headers=headers)

    assert response.status_code in (303, 414)
    assert "Content-Security-Policy" in response.headers
    assert len(response.headers.get("Location", "")) <= 2_000


@pytest.mark.parametrize(
    ("path", "scheme", "leads_to"),
    [
        ("/login?next=%2Fdashboard", "http", "/login?next=%2Fdashboard"),
        ("/", "HTTP", "/"),
        ("/x//evil.example", "http", "/x//evil.example"),
        ("/login", "https, http", "/login"),
    ],
)
def test_http_redirects_to_https(path: str, scheme: str, leads_to: str, production: Flask) -> None:
    headers = {"Host": "app.example.com", "X-Forwarded-Proto": scheme}

    for method in ("GET", "POST"):
        response = production.test_client().open(path, method=method, headers=headers)

        assert response.status_code == 308
        assert response.location == f"https://app.example.com{leads_to}"


@pytest.mark.parametrize("scheme", ["https", "http, https", "", None])
def test_https_and_proxies_without_a_protocol_header_cause_no_redirect(
    scheme: str | None, production: Flask
) -> None:
    headers = {
        "Host": "app.example.com",
        **({} if scheme is None else {"X-Forwarded-Proto": scheme}),
    }

    assert production.test_client().get("/login", headers=headers).status_code == 200


def test_webhooks_are_not_redirected_and_unknown_hosts_are_refused(production: Flask) -> None:
    client = production.test_client()
    own = {"Host": "app.example.com", "X-Forwarded-Proto": "http"}

    assert client.post("/api/webhooks/stripe", headers=own).status_code == 400
    assert client.get("/login", headers={**own, "Host": "evil.example"}).status_code == 400


def test_an_opaque_origin_is_accepted_when_the_browser_reports_same_origin(app: Flask) -> None:
    """Browsers send it with our forms when a proxy adds `Referrer-Policy: no-referrer`."""
    client = client_for(app, "user")
    token = csrf_token_for(client)
    headers = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}
    path = "/dashboard/settings/name"

    sent = client.post(path, data={"name": "Ann", "csrf_token": token}, headers=headers)
    without_proof = client.post(path, data={"name": "Eve"}, headers=headers)

    assert sent.status_code == 303
    assert without_proof.status_code == 400


def test_a_form_opened_before_a_key_rotation_is_accepted(
    make_app: Callable[..., Flask],
) -> None:
    old = make_app()
    client = client_for(old, "user")
    token = csrf_token_for(client)
    cookie = client.get_cookie("session")
    assert cookie
    new_key = "another-secret-of-more-than-32-characters"
    new = make_app(SECRET_KEY=new_key, SECRET_KEY_FALLBACKS=old.config["SECRET_KEY"])
    later, forgotten = new.test_client(), make_app(SECRET_KEY=new_key).test_client()
    form = {"name": "Ann", "csrf_token": token}

    for browser in (later, forgotten):
        browser.set_cookie("session", cookie.value)

    assert later.post("/dashboard/settings/name", data=form).status_code == 303
    assert forgotten.post("/dashboard/settings/name", data=form).status_code == 400


@pytest.mark.parametrize("ahead", [2, 60, 3600])
def test_a_cookie_from_a_host_whose_clock_is_ahead_is_accepted(ahead: int, app: Flask) -> None:
    with time_machine.travel(now() + timedelta(seconds=ahead)):
        client = client_for(app, "user")

    assert client.get("/dashboard").status_code == 200
    form = {"name": "Ann", "csrf_token": csrf_token_for(client)}
    assert client.post("/dashboard/settings/name", data=form).location == "/dashboard/settings"


def test_hsts_covers_subdomains_only_if_configured(
    make_app: Callable[..., Flask], production: Flask, database_url: str
) -> None:
    own = {"DATABASE_URL": database_url, "SANDBOX_URL": "", "JOBS_URL": "sqlite:///jobs.db"}
    asked = make_app(**{**PRODUCTION, **own}, HSTS_INCLUDE_SUBDOMAINS="true")

    policies = [
        item.test_client()
        .get("/", base_url="https://app.example.com")
        .headers["Strict-Transport-Security"]
        for item in (production, asked)
    ]

    assert policies == ["max-age=63072000", "max-age=63072000; includeSubDomains"]


def test_other_sites_cannot_embed_our_responses(app: Flask) -> None:
    """Except share cards, which are made for other sites: `og/test_card_cache.py`."""
    client = app.test_client()
    policy = "Cross-Origin-Resource-Policy"

    for path in ("/", "/login", "/static/css/app.css", "/nowhere"):
        assert client.get(path, buffered=True).headers[policy] == "same-origin", path


@pytest.mark.parametrize("path", ["/login", "/nowhere", "/terms", "/api/webhooks/stripe"])
def test_a_rejected_body_gets_our_response_through_nginx(path: str, big_bodies: str) -> None:
    """Closing with unread bytes would reset the connection, and nginx would respond 502."""
    for size in (100_000, 900_000, 3_000_000, 12_000_000):
        for _ in range(3):
            status = send(big_bodies, path, size)
            assert 400 <= status < 500, (size, status)


@pytest.fixture(scope="module")
def big_bodies(
    tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path, sandbox: str
) -> object:
    """An nginx that accepts larger bodies than the recommended one."""
    folder = tmp_path_factory.mktemp("bodies")
    (folder / "app.db").write_bytes(migrated_sqlite.read_bytes())
    env = {"DATABASE_URL": f"sqlite:///{folder}/app.db", "SANDBOX_URL": sandbox}
    with (
        running_gunicorn(folder, **env, TRUSTED_PROXIES="1") as server,
        nginx(folder, server.url, ("client_max_body_size 1m", "client_max_body_size 50m")) as url,
    ):
        yield url


def send(url: str, path: str, size: int) -> int:
    parts = urlsplit(url)
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    kind = "Content-Type: application/x-www-form-urlencoded\r\n"
    with socket.create_connection((parts.hostname, parts.port or 80), timeout=20) as line:
        line.sendall(f"{head}{kind}Content-Length: {size}\r\n\r\n".encode() + b"a" * size)
        response = b"".join(iter(lambda: line.recv(65536), b""))
    return int(response.split()[1])

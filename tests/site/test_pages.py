"""Public pages, health checks, errors and headers."""

from __future__ import annotations

import gzip
import re
import time
from collections.abc import Callable
from pathlib import Path
from urllib.robotparser import RobotFileParser

import pytest
from flask import Flask
from werkzeug.test import create_environ, run_wsgi_app

from saas.static_files import StaticFiles
from tests.harness.shop import Shop
from tests.harness.visitor import Page, Visitor


@pytest.mark.parametrize(
    "path", ["/", "/pricing", "/pricing?interval=yearly", "/terms", "/privacy"]
)
def test_public_pages_are_the_same_for_all_visitors_and_can_be_shared(
    path: str, app: Flask
) -> None:
    client = app.test_client()

    page = client.get(path)
    again = client.get(path, headers={"If-None-Match": page.headers["ETag"]})

    assert page.status_code == 200
    assert "Set-Cookie" not in page.headers
    assert page.headers["Vary"] == "Accept-Encoding"
    assert "public" in page.headers["Cache-Control"]
    assert "<form" not in page.text
    assert again.status_code == 304


@pytest.mark.parametrize("path", ["/", "/pricing", "/static/css/app.css"])
def test_public_text_is_compressed_for_clients_that_accept_it(path: str, app: Flask) -> None:
    client = app.test_client()
    with (
        client.get(path) as plain,
        client.get(path, headers={"Accept-Encoding": "gzip"}) as compressed,
    ):
        assert gzip.decompress(compressed.data) == plain.data
        assert compressed.headers["Content-Encoding"] == "gzip"
        assert len(compressed.data) < len(plain.data) / 2
        assert "Accept-Encoding" in compressed.headers["Vary"]
        assert "Accept-Encoding" in plain.headers["Vary"]


def test_a_stale_compressed_file_is_not_served(app: Flask, tmp_path: Path) -> None:
    (tmp_path / "shop.js").write_text("new()" * 500)
    (tmp_path / "shop.js.gz").write_bytes(gzip.compress(b"old()" * 500))
    app.config["STATIC_FOLDERS"] = (tmp_path,)
    app.wsgi_app = StaticFiles(app)  # type: ignore[method-assign]  # as at the start

    with app.test_client().get("/static/shop.js", headers={"Accept-Encoding": "gzip"}) as response:
        assert "Content-Encoding" not in response.headers
        assert response.text.startswith("new()")


def test_a_compressed_page_is_confirmed_by_its_own_tag(app: Flask) -> None:
    client = app.test_client()
    compressed = client.get("/", headers={"Accept-Encoding": "gzip"})
    tag = {"If-None-Match": compressed.headers["ETag"]}

    same = client.get("/", headers={"Accept-Encoding": "gzip", **tag})
    plain = client.get("/", headers=tag)

    assert same.status_code == 304
    assert plain.status_code == 200


def test_every_url_of_the_sitemap_exists_and_allows_robots(app: Flask) -> None:
    client = app.test_client()
    robots = RobotFileParser()
    robots.parse(client.get("/robots.txt").text.splitlines())
    places = re.findall("<loc>([^<]+)</loc>", client.get("/sitemap.xml").text)

    assert len(places) > 3
    for place in places:
        assert place.startswith(app.config["APP_URL"])
        assert robots.can_fetch("*", place)
        assert client.get(place.removeprefix(app.config["APP_URL"])).status_code == 200
    for private in ("/dashboard/settings", "/auth/link/x", "/billing/return"):
        assert not robots.can_fetch("*", app.config["APP_URL"] + private)
    assert robots.site_maps() == [f"{app.config['APP_URL']}/sitemap.xml"]


def test_the_shown_prices_are_those_of_the_catalogue(visitor: Visitor) -> None:
    monthly = visitor.visit("/pricing").text
    yearly = visitor.visit("/pricing?interval=yearly").text

    assert "€15" in monthly
    assert "€30" in monthly
    assert "€144" in yearly
    assert "€300" in yearly
    assert "€12" in yearly  # the year, by month


def test_an_unknown_interval_or_plan_shows_the_default_page(visitor: Visitor) -> None:
    page = visitor.visit("/pricing?interval=weekly&plan=gold")

    assert page.status == 200
    assert "€15" in page.text


def test_public_pages_show_no_user_s_name(visitor: Visitor, shop: Shop) -> None:
    visitor.sign_in("zebediah@example.com")

    own = visitor.visit("/")
    strangers = shop.visitor().visit("/")

    assert own.response.headers["Cache-Control"] == "no-store"
    assert "Cookie" in own.response.headers["Vary"]
    assert "Dashboard" in own.text
    assert "zebediah" not in strangers.text
    assert "/login" in strangers.links


def test_public_pages_have_no_dead_links(visitor: Visitor) -> None:
    seen: set[str] = set()
    waiting = ["/"]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        page = visitor.visit(path)
        assert page.status == 200, path
        waiting += [
            link.partition("#")[0]
            for link in page.links
            if link.startswith("/") and not link.startswith("//")
        ]
    assert {"/", "/pricing", "/login", "/terms", "/privacy"} <= {
        path.split("?")[0] for path in seen
    }


def test_pages_load_nothing_from_other_hosts(app: Flask) -> None:
    for path in ("/", "/pricing", "/login"):
        page = app.test_client().get(path).text
        expected = re.findall(r'<(?:script|img|link|iframe)[^>]+(?:src|href)="([^"]+)"', page)
        local = app.config["APP_URL"]
        assert [item for item in expected if not item.startswith(("/", "data:", local))] == []


@pytest.mark.parametrize("path", ["/", "/login", "/nowhere", "/api/nowhere", "/static/css/app.css"])
def test_every_response_has_the_security_headers(path: str, app: Flask) -> None:
    with app.test_client().get(path) as response:
        headers = response.headers

    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert f"form-action 'self' {app.config['SANDBOX_URL']}" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "strict-origin-when-cross-origin"
    assert "Strict-Transport-Security" not in headers  # development uses http


def test_a_page_with_a_token_sends_no_referrer(visitor: Visitor) -> None:
    visitor.visit("/login")
    visitor.submit("/login", email="ann@example.com")

    link = visitor.link_from_email("ann@example.com")

    unproven = visitor.request("POST", link)
    page = visitor.visit(link)

    assert page.status == 200
    assert unproven.status_code == 400  # and the token is still valid
    for response in (page.response, unproven):
        assert response.headers["Referrer-Policy"] == "strict-origin"
    assert page.response.headers["Cache-Control"] == "no-store"


def test_static_files_with_a_hash_in_their_name_are_cached_forever(app: Flask) -> None:
    client = app.test_client()
    match = re.search(r'href="(/static/css/app\.css\?v=[^"]+)"', client.get("/").text)
    assert match

    with (
        client.get(match[1]) as named,
        client.get("/static/css/app.css") as bare,
        client.get("/static/css/app.css?v=another") as other,
    ):
        assert "immutable" in named.headers["Cache-Control"]
        assert "immutable" not in bare.headers["Cache-Control"]
        assert (
            other.headers["Cache-Control"] == "no-cache"
        )  # the hash of another release, while both run


@pytest.mark.parametrize(
    "path",
    [
        "//etc/passwd?v=1",
        "/./css/app.css?v=1",
        "/css/app.css.gz",
        f"/{'x' * 300}?v=1",
        "/fonts/missing.woff2?v=1",
        "/css/%2e%2e/%2e%2e/security.py",
    ],
)
def test_other_paths_below_static_are_not_found_and_not_cached(path: str, app: Flask) -> None:
    response = app.test_client().get(f"/static{path}", follow_redirects=True)

    assert response.status_code == 404
    assert response.headers.getlist("Cache-Control") == ["no-store"]
    assert "Content-Security-Policy" in response.headers


def test_a_request_that_waited_too_long_is_refused_unless_clocks_differ(
    make_app: Callable[..., Flask],
) -> None:
    client = make_app(TRUSTED_PROXIES="1").test_client()

    def ask(seconds_ago: float) -> int:
        header = {"X-Request-Start": f"t={time.time() - seconds_ago:.3f}"}
        return client.get("/pricing", headers=header).status_code

    assert [ask(30), ask(30.1)] == [200, 200]  # the proxy's clock is behind
    assert ask(60) == 503
    assert client.get("/pricing", headers={"X-Request-Start": "yesterday"}).status_code == 200


def test_errors_are_pages_for_browsers_and_json_for_api_clients(app: Flask) -> None:
    client = app.test_client()

    page = client.get("/nowhere", headers={"X-Request-Id": "abcdef123456"})
    response = client.get("/api/nowhere")

    assert page.status_code == 404
    assert "Not found" in page.text
    assert "abcdef123456" in page.text
    assert response.status_code == 404
    assert response.json == {"error": {"code": "not_found", "message": "Not found."}}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/"), ("PUT", "/login"), ("DELETE", "/dashboard"), ("GET", "/logout"),
        ("GET", "/billing/checkout"), ("PATCH", "/api/user"), ("GET", "/api/webhooks/stripe"),
        ("TRACE", "/"),
    ],
)  # fmt: skip
def test_an_unsupported_method_is_405_with_the_allowed_ones(
    method: str, path: str, app: Flask
) -> None:
    response = app.test_client().open(path, method=method)

    assert response.status_code == 405
    assert response.headers["Allow"]
    if path.startswith("/api/"):
        assert response.json
        assert response.json["error"]["code"] == "method_not_allowed"


def test_a_database_failure_is_503_without_a_traceback(make_app: Callable[..., Flask]) -> None:
    app = make_app(DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing")
    client = app.test_client()
    page = client.get("/login")  # needs no database
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page.text)
    assert token

    ready = client.get("/readyz")
    response = client.post("/login", data={"email": "ann@example.com", "csrf_token": token[1]})
    with client.session_transaction() as session:
        session["_user_id"] = "of somebody who was signed in"
    dashboard = client.get("/dashboard")

    assert ready.status_code == 503
    for item in (response, dashboard):
        assert item.status_code == 503
        assert "temporarily unavailable" in item.text
        assert "Traceback" not in item.text
        assert "127.0.0.1" not in item.text


@pytest.mark.parametrize(
    "path",
    ["/login", "/logout", "/billing/checkout", "/billing/portal", "/dashboard/settings/name",
     "/dashboard/settings/delete", "/dashboard/reports"],
)  # fmt: skip
def test_a_form_without_its_token_is_refused_with_a_message(path: str, visitor: Visitor) -> None:
    visitor.sign_in("ann@example.com")

    response = visitor.request("POST", path, data={"email": "eve@example.com", "name": "Eve Evil"})

    assert response.status_code == 400
    assert "reload the page" in Page(response).text
    assert visitor.request("GET", "/api/user").json()["user"]["name"] is None


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}],
)
def test_a_form_sent_from_another_site_is_refused(
    headers: dict[str, str], visitor: Visitor
) -> None:
    visitor.sign_in("ann@example.com")
    form = visitor.visit("/dashboard/settings").form("/dashboard/settings/name")

    response = visitor.request(
        "POST", form.action, data={**form.fields, "name": "Eve Evil"}, headers=headers
    )

    assert response.status_code == 403


@pytest.mark.parametrize(("path", "name"), [("/pricing", "interval"), ("/login", "next")])
def test_undecodable_bytes_are_400(path: str, name: str, app: Flask) -> None:
    """As gunicorn passes them: raw, not percent-encoded."""
    environ = create_environ(path)
    environ["QUERY_STRING"] = f"{name}=\xff\xfe"

    _, status, _ = run_wsgi_app(app, environ)

    assert status.startswith("400")


def test_oversized_input_is_refused_in_limited_memory(visitor: Visitor) -> None:
    response = visitor.request("POST", "/login", data={"email": "a" * 2_000_000})

    assert response.status_code == 413

"""No input to any route causes a server error.

Routes come from the URL map, and fields from the forms and links on the pages, so new ones are
included automatically. Derandomised: the inputs are always the same, so failures are repeatable.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import parse_qs, quote, quote_from_bytes, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.routing import RequestRedirect
from werkzeug.test import TestResponse

from tests.harness.apps import both_databases
from tests.harness.clients import ROLES, SAFE, client_for, csrf_token_for, path_for, routes
from tests.harness.shop import Shop
from tests.harness.visitor import PageReader

EXAMPLES = 12
thorough = settings(
    max_examples=EXAMPLES, derandomize=True, deadline=None, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip

NASTY = [
    b"", b" ", b"\0", b"\xff\xfe", b"\xed\xa0\x80", b"\r\nSet-Cookie: a=b", b"%", b"../../../../x",
    b"////evil.example", b"http:evil.example", b"https:/evil.example", b"\x19//evil.example",
    b"<script>alert(1)</script>", b"{{7*7}}", b"'; DROP TABLE users; --", b"-1", b"NaN",
    b"9" * 400, b"a" * 6_000, b"null", b"[]", b"a@b.test,c@evil.test", b"solo", b"monthly",
    "\N{FULLWIDTH FULL STOP}\N{KELVIN SIGN}\N{RIGHT-TO-LEFT OVERRIDE}".encode(),
    "b@evil\N{FULLWIDTH FULL STOP}com".encode(),
    b"person@example.com", b"/dashboard", b"123456", b"00000000-0000-0000-0000-000000000000",
]  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(NASTY),
    st.binary(max_size=40),
    st.text(max_size=40).map(str.encode),
    st.text(st.characters(categories=["Cs", "Cc", "Cf", "Lo"]), max_size=10).map(
        lambda text: text.encode("utf-8", "surrogatepass")
    ),
)
NAMES = {
    "next",
    "email",
    "interval",
    "plan",
    "code",
    "state",
    "error",
    "iss",
    "csrf_token",
    "token",
}
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.just("\ud800"),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
_callers = itertools.count(1)


@dataclass
class EntryPoints:
    """The application, with the names of the fields that its pages show."""

    app: Flask
    fields: set[str] = field(default_factory=lambda: set(NAMES))

    def look_around(self) -> None:
        for who in ROLES:
            client = client_for(self.app, who)
            for name, rule in routes(self.app):
                if name.startswith("GET"):
                    with client.get(path_for(self.app, rule)) as response:
                        self._read(response)

    def _read(self, response: TestResponse) -> None:
        if "html" not in response.headers.get("Content-Type", ""):
            return
        page = PageReader()
        page.feed(response.text)
        for form in page.forms:
            self.fields |= set(form.fields) | {name for name, _ in form.buttons}
        for link in page.links:
            self.fields |= set(parse_qs(urlsplit(link).query))


@pytest.fixture
def entry_points(shop: Shop) -> EntryPoints:
    result = EntryPoints(shop.app)
    # Errors become responses, as in production, and not exceptions of the test client.
    shop.app.config["PROPAGATE_EXCEPTIONS"] = False
    result.look_around()
    return result


class Browser:
    """A browser that signs in again when its session ended, with a new IP for each request.

    (Otherwise the rate limits would refuse nearly all requests.)
    """

    def __init__(self, app: Flask, who: str) -> None:
        self.app, self.who = app, who
        self._enter()

    def _enter(self) -> None:
        self.client: FlaskClient = client_for(self.app, self.who)
        self.token = csrf_token_for(self.client)

    def send(self, path: str, method: str, **sent: Any) -> TestResponse:
        caller = next(_callers)
        response = self.client.open(
            path,
            method=method,
            environ_base={"REMOTE_ADDR": f"10.{caller >> 16}.{caller >> 8 & 255}.{caller & 255}"},
            headers={"X-CSRFToken": self.token, **sent.pop("headers", {})},
            buffered=True,
            **sent,
        )
        if "Set-Cookie" in response.headers:
            self._enter()
        return response


def pairs(names: set[str]) -> st.SearchStrategy[list[tuple[str, bytes]]]:
    known = st.sampled_from(sorted(names - {"csrf_token"}))
    return st.lists(st.tuples(known | st.text(max_size=10), VALUES), max_size=6)


def encoded(sent: list[tuple[str, bytes]]) -> str:
    return "&".join(
        f"{quote(name, errors='surrogatepass')}={quote_from_bytes(value)}" for name, value in sent
    )


def unsafe(app: Flask) -> Iterator[tuple[str, str]]:
    for name, rule in routes(app):
        if name.split()[0] not in SAFE:
            yield name.split()[0], path_for(app, rule)


@both_databases  # PostgreSQL refuses values that SQLite accepts, such as a NUL in a text
@pytest.mark.parametrize("who", ROLES)
def test_no_form_causes_a_server_error(who: str, entry_points: EntryPoints) -> None:
    user = Browser(entry_points.app, who)

    for method, path in list(unsafe(entry_points.app)):
        send = partial(user.send, path, method, content_type="application/x-www-form-urlencoded")
        fuzz(pairs(entry_points.fields).map(encoded), lambda body, send=send: send(data=body), path)


@both_databases
def test_no_body_causes_a_server_error(entry_points: EntryPoints) -> None:
    kinds = st.sampled_from(
        ["application/json", "multipart/form-data; boundary=x", "text/plain", "", "a/b; charset=x"]
    )
    bodies = JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=200) | VALUES
    user = Browser(entry_points.app, "user")

    for method, path in list(unsafe(entry_points.app)):
        send = partial(user.send, path, method)
        fuzz(
            st.tuples(bodies, kinds),
            lambda sent, send=send: send(data=sent[0], content_type=sent[1]),
            path,
        )


@both_databases
@pytest.mark.parametrize("who", ROLES)
def test_no_query_causes_a_server_error(who: str, entry_points: EntryPoints) -> None:
    user = Browser(entry_points.app, who)

    for path in [
        path_for(entry_points.app, rule)
        for name, rule in routes(entry_points.app)
        if name[:3] == "GET"
    ]:
        ask = partial(user.send, path, "GET")
        fuzz(
            pairs(entry_points.fields).map(encoded),
            lambda query, ask=ask: ask(query_string=query),
            path,
        )


def fuzz(inputs: st.SearchStrategy[Any], send: Callable[[Any], TestResponse], what: str) -> None:
    """Send many inputs, and check each response."""

    @thorough
    @given(inputs)
    def one(value: Any) -> None:
        assert_fine(send(value), what)

    one()


def test_no_path_causes_a_server_error(entry_points: EntryPoints) -> None:
    user = Browser(entry_points.app, "user")
    begins = st.sampled_from(
        sorted({rule.rule.partition("<")[0] for _, rule in routes(entry_points.app)}) + ["/%2e%2e/"]
    )

    @settings(thorough, max_examples=300)
    @given(begin=begins, rest=VALUES, method=st.sampled_from(["GET", "POST", "DELETE"]))
    def send(begin: str, rest: bytes, method: str) -> None:
        path = begin + quote_from_bytes(rest, safe="/")
        try:
            response = user.send(path, method)
        except RequestRedirect:
            return
        assert_fine(response, path[:100])

    send()


def test_no_header_causes_a_server_error(entry_points: EntryPoints) -> None:
    user = Browser(entry_points.app, "user")
    names = st.sampled_from([
        "Cookie", "Accept", "Accept-Language", "Accept-Encoding", "If-None-Match", "Range",
        "Origin", "If-Modified-Since", "User-Agent", "Referer", "X-Request-Id", "X-Forwarded-For",
        "Host", "X-Forwarded-Host", "X-Forwarded-Proto", "Sec-Fetch-Site", "Authorization",
        "Forwarded",
        "Content-Type", "X-CSRFToken", "Stripe-Signature", "X-HTTP-Method-Override",
    ])  # fmt: skip
    values = VALUES.map(lambda raw: raw.decode("latin-1").translate({10: None, 13: None, 0: None}))
    paths = st.sampled_from(["/", "/login", "/dashboard", "/api/user", "/static/css/app.css"])

    @settings(thorough, max_examples=300)
    @given(name=names, value=values, path=paths, method=st.sampled_from(["GET", "POST"]))
    def send(name: str, value: str, path: str, method: str) -> None:
        assert_fine(user.send(path, method, headers={name: value}), f"{method} {path} {name}")

    send()


def assert_fine(response: TestResponse, what: str) -> None:
    """Check that a response is no server error and no redirect to another site."""
    assert response.status_code < 500, f"{what}: {response.status_code}"
    assert "Traceback" not in response.text if "text" in response.content_type else True
    to = urlsplit(response.headers.get("Location", ""))
    assert to.hostname in (None, "localhost"), f"{what} leads to {to.geturl()}"

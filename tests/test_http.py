"""The user's proxies and ~/.netrc: only requests to outside hosts use the proxy."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from saas import http
from saas.auth import oauth, pending_sign_ins
from saas.auth.errors import SignInRefused
from saas.billing import gateway
from saas.mail import transports
from tests.harness.shop import Shop

LETTER = transports.Email("ada@example.com", "Hello", "<p>Hello</p>", "Hello")


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "netrc"
    path.write_text("default login someone password else\n")
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str]]]:
    """Yield the requests to a proxy of the environment, with their Authorization headers."""
    asked: list[tuple[str, str]] = []

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers.get("Authorization", "")))
            self.send_error(502)

        do_CONNECT = do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{server.server_port}")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        yield asked
        server.shutdown()


@pytest.mark.usefixtures("netrc")
def test_requests_to_the_sandbox_use_no_proxy_and_our_keys(
    shop: Shop, proxied: list[tuple[str, str]]
) -> None:
    with shop.app.test_request_context():
        assert gateway.prices_by_lookup_key(["solo_monthly"]), "Stripe took our key"
        transports.send(LETTER, uuid.uuid4())
        for provider in ("google", "github"):
            assert oauth.authorization_url(begun(provider), "http://localhost/back")

    assert proxied == []


@pytest.mark.usefixtures("netrc")
def test_requests_to_outside_services_use_the_proxy(
    make_app: Callable[..., Flask], proxied: list[tuple[str, str]]
) -> None:
    app = make_app(
        STRIPE_API_KEY="sk_test_ours", RESEND_API_KEY="re_ours",
        GOOGLE_CLIENT_ID="id", GOOGLE_CLIENT_SECRET="secret",
    )  # fmt: skip

    with app.test_request_context():
        with pytest.raises(gateway.Unavailable):
            gateway.prices_by_lookup_key(["solo_monthly"])
        with pytest.raises(OSError, match="502"):
            transports.send(LETTER, uuid.uuid4())
        with pytest.raises(SignInRefused):
            oauth.authorization_url(begun("google"), "http://localhost/back")

    assert {path for path, _ in proxied} == {
        "api.stripe.com:443", "api.resend.com:443", "accounts.google.com:443",
    }  # fmt: skip


@pytest.mark.usefixtures("netrc")
def test_requests_through_a_proxy_have_our_credentials(
    proxied: list[tuple[str, str]],
) -> None:
    http.request("GET", "http://outside.example/", headers={"Authorization": "Bearer ours"})
    http.request("GET", "http://outside.example/")

    assert proxied == [
        ("http://outside.example/", "Bearer ours"),
        ("http://outside.example/", ""),
    ]


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST.", "app.localhost", "127.0.0.1", "127.9.9.9", "::1", "0.0.0.0"]  # noqa: S104
)  # fmt: skip
def test_local_hostnames_are_recognized(host: str) -> None:
    assert http.is_loopback(host)


@pytest.mark.parametrize("host", ["localhost.example.com", "10.0.0.1", "example.com", "", None])
def test_other_hostnames_are_not_local(host: str | None) -> None:
    assert not http.is_loopback(host)


def begun(provider: str) -> pending_sign_ins.SignInState:
    return pending_sign_ins.start(provider, "sign_in", "/")

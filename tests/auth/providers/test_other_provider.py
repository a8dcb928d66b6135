"""Sign-in with an independent implementation of OpenID Connect."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
import requests
from flask import Flask

from tests.auth.providers.oauth_flow import start_sign_in
from tests.harness.servers import free_port, serving
from tests.harness.visitor import Visitor
from tests.harness.waiting import eventually


@pytest.fixture
def foreign_provider() -> Iterator[str]:
    """oidc-provider-mock, in a process of its own: it uses what Authlib calls deprecated."""
    port = free_port()
    zoe = json.dumps({"sub": "zoe", "email": "zoe@example.com", "email_verified": True})
    started = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port),
         "--require-nonce", "true", "--user-claims", zoe],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        eventually(lambda: is_up(port), seconds=30)
        yield f"http://127.0.0.1:{port}"
    finally:
        started.terminate()
        started.wait(timeout=10)


def is_up(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_sign_in_with_an_independent_provider_works(
    foreign_provider: str, make_app: Callable[..., Flask], sandbox: str
) -> None:
    port = free_port()
    app = make_app(APP_URL=f"http://localhost:{port}")
    app.config["SIGN_IN_PROVIDERS"]["google"]["issuer"] = foreign_provider

    with serving(app, port) as url:
        visitor = Visitor(url, sandbox)
        asked = start_sign_in(visitor, "google")
        response = requests.post(asked, data={"sub": "zoe"}, allow_redirects=False, timeout=10)
        page = visitor.visit(response.headers["Location"])
        assert "Google does not host your mailbox" in page.text  # it sends no `hd`
        link = urlsplit(visitor.link_from_email("zoe@example.com")).path
        visitor.visit(link)
        page = visitor.submit(link)
        assert "You can now sign in with Google" in page.text
        visitor.close()

    assert page.path == "/dashboard", page.text
    assert "zoe@example.com" in page.text

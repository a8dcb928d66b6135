"""The providers over HTTP, a shop that signs users in with them, and a browser."""

import base64
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
import requests
from flask import Flask
from saas_sandbox import create_sandbox

from tests.browser import Visitor
from tests.conftest import FakeTime
from tests.serving import serving

from .shop import CLIENT, PATIENCE, SECRET, create_shop

BACK = "http://localhost:5000/back"
AUTHORIZE = {
    "google": "/identity/google/o/oauth2/v2/auth",
    "github": "/identity/github/login/oauth/authorize",
}
TOKEN = {
    "google": "/identity/google/token",
    "github": "/identity/github/login/oauth/access_token",
}


@pytest.fixture(scope="session")
def fake_time() -> FakeTime:
    """The clock of all tests in process. It only moves forward."""
    return FakeTime()


@pytest.fixture(scope="session")
def app(fake_time: FakeTime) -> Iterator[Flask]:
    """One sandbox for all tests in process; each test uses its own codes."""
    sandbox = create_sandbox(now=fake_time, inline=True)
    yield sandbox
    sandbox.extensions["sandbox"].close()


@pytest.fixture(scope="session")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the sandbox."""
    sandbox = create_sandbox(str(tmp_path_factory.mktemp("identity") / "sandbox.db"))
    sandbox.config["IDENTITY_HANG_SECONDS"] = 2 * PATIENCE
    with serving(sandbox) as url:
        # On a busy machine, generating the key takes longer than the shop's timeout.
        requests.get(f"{url}/identity/google/oauth2/v3/certs", timeout=10)
        yield url
    sandbox.extensions["sandbox"].close()


@pytest.fixture(scope="session")
def shop(provider: str) -> Iterator[str]:
    with serving(create_shop(f"{provider}/identity")) as url:
        yield url


@pytest.fixture
def visitor(shop: str) -> Iterator[Visitor]:
    """A visitor of the shop, with a browser without JavaScript."""
    visitor = Visitor(shop)
    yield visitor
    visitor.close()


def sign_in(visitor: Visitor, name: str = "google", /, **choice: str) -> Any:
    """Sign in with a choice in the URL, and return the result that the shop receives."""
    sent = visitor.request("GET", f"/in/{name}").headers["Location"]
    query = urlencode({f"sandbox_{key}": value for key, value in choice.items()})
    return visitor.browser.get(f"{sent}&{query}", timeout=10).json()


def challenge_of(verifier: str) -> str:
    return base64.urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()


@dataclass
class Client:
    """A client without a library, in process: sends exactly the given parameters."""

    app: Flask
    provider: str = "google"
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(40))

    def ask(self, **changes: Any) -> Any:
        """Send an authorization request; `None` omits a parameter, a list repeats it."""
        asked = {
            "client_id": CLIENT,
            "redirect_uri": BACK,
            "response_type": "code",
            "scope": "openid email profile user:email",
            "state": "the-state",
            "nonce": "the-nonce",
            "code_challenge": challenge_of(self.verifier),
            "code_challenge_method": "S256",
        }
        return self.app.test_client().get(
            AUTHORIZE[self.provider], query_string=_without_none(asked | changes)
        )

    def code(self, **changes: Any) -> str:
        return answered(self.ask(**{"sandbox_as": "ada"} | changes))["code"]

    def redeem(self, code: str, headers: Any = None, /, **changes: Any) -> Any:
        message = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": BACK,
            "client_id": CLIENT,
            "client_secret": SECRET,
            "code_verifier": self.verifier,
        }
        return self.app.test_client().post(
            TOKEN[self.provider], data=_without_none(message | changes), headers=headers
        )

    def get(self, path: str, token: str, scheme: str = "Bearer") -> Any:
        return self.app.test_client().get(
            f"/identity/{self.provider}/{path}", headers={"Authorization": f"{scheme} {token}"}
        )


@pytest.fixture
def google(app: Flask) -> Client:
    return Client(app)


@pytest.fixture
def github(app: Flask) -> Client:
    return Client(app, "github")


def answered(response: Any) -> dict[str, str]:
    """Return the parameters of the redirect to the client."""
    assert response.status_code == 303, response.text
    location = response.headers["Location"]
    assert location.startswith(BACK)
    return dict(parse_qsl(urlsplit(location).query))


def over_http(provider: str, path: str, **data: str) -> requests.Response:
    return requests.post(f"{provider}{path}", data=data, timeout=10)


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}

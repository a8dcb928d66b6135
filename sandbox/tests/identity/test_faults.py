"""Injected faults, and their effects on a client that uses Authlib."""

import time
from typing import Any

import pytest
import requests
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.jwk import KeySet
from saas_sandbox.identity import failures

from tests.browser import Visitor

from .conftest import AUTHORIZE, Client, sign_in
from .shop import CLIENT, PATIENCE

AUTHLIB_REFUSES = {
    "no_state": ("MismatchingStateError", ""),
    "token_error": ("HTTPError", "500"),
    "token_hang": ("ReadTimeout", "timed out"),
    "token_rubbish": ("ValueError", "not a JSON object"),
    "wrong_issuer": ("InvalidClaimError", "iss"),
    "wrong_audience": ("MissingClaimError", "azp"),
    "expired": ("ExpiredTokenError", ""),
    "wrong_nonce": ("InvalidClaimError", "nonce"),
    "no_nonce": ("MissingClaimError", "nonce"),
    "bad_signature": ("BadSignatureError", ""),
    "unsigned": ("UnsupportedAlgorithmError", ""),
}
"""The rest passes Authlib, so that its user has to look: the tests below say what they see."""

UP_TO_THE_CLIENT = {
    "api_error",
    "response_issuer",
    "foreign_audience",
    "no_id_token",
    "word_verified",
}


def test_every_fault_has_a_test() -> None:
    known = failures.OAUTH_FAILURES | failures.OPENID_FAILURES

    assert set(known) == set(AUTHLIB_REFUSES) | UP_TO_THE_CLIENT


@pytest.mark.parametrize("fault", AUTHLIB_REFUSES)
def test_authlib_refuses_these_faults(visitor: Visitor, fault: str) -> None:
    learnt = sign_in(visitor, **{"as": "ada", "failure": fault})

    kind, words = AUTHLIB_REFUSES[fault]
    assert learnt["refused"] == kind, learnt
    assert words in learnt["words"]


@pytest.mark.parametrize("fault", [f for f in failures.OAUTH_FAILURES if f != "api_error"])
def test_github_has_the_same_faults(visitor: Visitor, fault: str) -> None:
    learnt = sign_in(visitor, "github", **{"as": "ada", "failure": fault})

    assert learnt["refused"] == AUTHLIB_REFUSES[fault][0]


def test_an_unavailable_profile_is_an_error(visitor: Visitor, google: Client) -> None:
    learnt = sign_in(visitor, "github", **{"as": "ada", "failure": "api_error"})
    token = google.redeem(google.code(sandbox_failure="api_error")).json["access_token"]

    assert learnt["refused"] == "HTTPError"
    assert google.get("v1/userinfo", token).status_code == 500


def test_a_hanging_endpoint_responds_late(provider: str, visitor: Visitor) -> None:
    sent = visitor.request("GET", "/in/google").headers["Location"]
    started_at = time.monotonic()

    sign_in(visitor, **{"as": "ada", "failure": "token_hang"})

    assert PATIENCE <= time.monotonic() - started_at < 10
    assert failures.HANG_SECONDS == 15
    assert requests.get(sent, timeout=10).status_code == 200, "others are served meanwhile"


def test_a_response_without_an_id_token_passes_authlib(visitor: Visitor) -> None:
    learnt = sign_in(visitor, **{"as": "ada", "failure": "no_id_token"})

    assert learnt["person"] is None, "nobody: the client has to insist"


def test_another_issuer_in_the_response_passes_authlib(visitor: Visitor, provider: str) -> None:
    learnt = sign_in(visitor, **{"as": "ada", "failure": "response_issuer"})

    assert learnt["answered"]["iss"] == "https://accounts.evil.example"
    assert learnt["person"]["iss"] == f"{provider}/identity/google"


def test_email_verified_may_be_a_string(visitor: Visitor) -> None:
    learnt = sign_in(visitor, **{"as": "alan", "failure": "word_verified"})

    assert learnt["person"]["email_verified"] == "true"
    assert learnt["person"]["email_verified"] is not True


def test_another_audience_passes_authlib_unless_it_is_named(
    visitor: Visitor, google: Client
) -> None:
    """With the client's own `azp`, Authlib checks `aud` only if it gets `claims_options`."""
    learnt = sign_in(visitor, **{"as": "ada", "failure": "foreign_audience"})
    assert learnt["person"]["aud"] != CLIENT

    token = google.redeem(google.code(sandbox_failure="foreign_audience")).json["id_token"]
    with pytest.raises(Exception, match="aud"):
        _validate(google, token, {"aud": {"essential": True, "value": CLIENT}})


def test_a_fault_is_set_on_the_page(visitor: Visitor) -> None:
    visitor.visit("/in/google")

    page = visitor.submit(
        AUTHORIZE["google"], having={"client_id": CLIENT}, sandbox_failure="expired"
    )
    assert "This sign-in will have a fault The id_token expired an hour ago." in page.text
    learnt = visitor.submit(AUTHORIZE["google"], having={"sandbox_as": "ada"}).response.json()

    assert learnt["refused"] == "ExpiredTokenError"


def test_github_has_no_faults_of_openid(github: Client) -> None:
    page = github.ask(sandbox_failure="expired")

    assert page.status_code == 400
    assert "sandbox_failure is one of: no_state, token_error" in page.text


def _validate(google: Client, token: str, options: Any) -> None:
    keys = KeySet.import_key_set(
        google.app.test_client().get("/identity/google/oauth2/v3/certs").json
    )
    decoded = jwt.decode(token, keys, algorithms=["RS256"])
    params = {"nonce": "the-nonce", "client_id": CLIENT}
    CodeIDToken(decoded.claims, decoded.header, options, params).validate(
        now=int(google.app.extensions["sandbox"].now())
    )

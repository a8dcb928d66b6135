"""The token endpoint: a code works once, for a minute, for the client that received it."""

import base64
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
import requests
from joserfc import jwt
from joserfc.jwk import KeySet
from saas_sandbox import create_sandbox

from tests.conftest import FakeTime

from .conftest import AUTHORIZE, BACK, TOKEN, Client, challenge_of, over_http
from .shop import CLIENT, SECRET


def test_a_code_gives_a_token_and_an_id_token(google: Client, fake_time: FakeTime) -> None:
    response = google.redeem(google.code())

    keys = KeySet.import_key_set(
        google.app.test_client().get("/identity/google/oauth2/v3/certs").json
    )
    token = jwt.decode(response.json["id_token"], keys, algorithms=["RS256"])
    sub = google.get("v1/userinfo", response.json["access_token"]).json["sub"]
    assert response.headers["Cache-Control"] == "no-store"
    assert response.json["token_type"] == "Bearer"
    assert token.header["kid"] == keys.keys[0].kid
    assert token.claims == {
        "iss": "http://localhost/identity/google",
        "aud": CLIENT,
        "sub": sub,
        "iat": fake_time.time,
        "exp": fake_time.time + 3600,
        "nonce": "the-nonce",
        "email": "ada@example.com",
        "email_verified": True,
        "hd": "example.com",
        "name": "Ada Lovelace",
    }


def test_the_key_set_contains_no_private_keys(google: Client) -> None:
    (key,) = google.app.test_client().get("/identity/google/oauth2/v3/certs").json["keys"]

    assert set(key) == {"kty", "n", "e", "kid", "use", "alg"}


def test_scopes_decide_which_claims_are_returned(google: Client) -> None:
    response = google.redeem(google.code(scope="openid")).json

    assert google.get("v1/userinfo", response["access_token"]).json.keys() == {"sub"}


def test_a_code_works_for_a_minute(google: Client, fake_time: FakeTime) -> None:
    early, late = google.code(), google.code()

    fake_time.time += 59
    assert google.redeem(early).status_code == 200
    fake_time.time += 2
    assert google.redeem(late).json["error"] == "invalid_grant"


def test_a_token_works_for_an_hour(google: Client, fake_time: FakeTime) -> None:
    token = google.redeem(google.code()).json["access_token"]

    fake_time.time += 3599
    assert google.get("v1/userinfo", token).status_code == 200
    fake_time.time += 2
    assert google.get("v1/userinfo", token).status_code == 401


def test_replaying_a_code_revokes_its_token(google: Client) -> None:
    code = google.code()
    token = google.redeem(code).json["access_token"]

    replayed = google.redeem(code)

    assert (replayed.status_code, replayed.json["error"]) == (400, "invalid_grant")
    assert google.get("v1/userinfo", token).status_code == 401


@pytest.mark.parametrize("name", ["google", "github"])
def test_of_twenty_concurrent_redemptions_one_succeeds(provider: str, name: str) -> None:
    asked = {
        "client_id": CLIENT, "redirect_uri": BACK, "response_type": "code", "scope": "openid",
        "sandbox_as": "ada",
    }  # fmt: skip
    with requests.get(
        f"{provider}{AUTHORIZE[name]}", params=asked, allow_redirects=False, timeout=10
    ) as sent:
        code = dict(parse_qsl(urlsplit(sent.headers["Location"]).query))["code"]
    message = {
        "grant_type": "authorization_code", "code": code, "redirect_uri": BACK,
        "client_id": CLIENT, "client_secret": SECRET,
    }  # fmt: skip

    with ThreadPoolExecutor(20) as pool:
        responses = list(pool.map(lambda _: over_http(provider, TOKEN[name], **message), range(20)))

    assert sum("access_token" in response.text for response in responses) == 1
    assert {response.status_code for response in responses} <= {200, 400}


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"grant_type": None}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"code": None}, "invalid_request"),
        ({"code": ["a", "b"]}, "invalid_request"),
        ({"code": "unknown"}, "invalid_grant"),
        ({"code": b"\x00\xed\xa0\xbd"}, "invalid_grant"),
        ({"code": "x" * 100_000}, "invalid_grant"),
        ({"redirect_uri": None}, "invalid_grant"),
        ({"redirect_uri": f"{BACK}/"}, "invalid_grant"),
        ({"code_verifier": None}, "invalid_grant"),
        ({"code_verifier": "v" * 43}, "invalid_grant"),
        ({"code_verifier": "short"}, "invalid_grant"),
        ({"client_id": None}, "invalid_client"),
        ({"client_id": "x" * 300}, "invalid_client"),
        ({"client_secret": None}, "invalid_client"),
        ({"client_secret": "short"}, "invalid_client"),
        ({"client_id": "another-client"}, "invalid_grant"),
    ],
)
def test_mismatched_parameters_are_refused(
    google: Client, changes: dict[str, Any], error: str
) -> None:
    code = google.code()

    refused = google.redeem(code, **changes)

    assert refused.json["error"] == error
    assert refused.status_code == (401 if error == "invalid_client" else 400)


def test_pkce_cannot_be_removed_from_a_started_flow(google: Client) -> None:
    code = google.code(code_challenge=None, code_challenge_method=None)

    assert google.redeem(code).json["error"] == "invalid_grant"


def test_pkce_is_optional(google: Client) -> None:
    code = google.code(code_challenge=None, code_challenge_method=None)

    assert google.redeem(code, code_verifier=None).status_code == 200


def test_a_wrong_guess_uses_up_the_code(google: Client) -> None:
    code = google.code()

    google.redeem(code, code_verifier="v" * 43)

    assert google.redeem(code).json["error"] == "invalid_grant"


def test_another_client_cannot_use_up_a_code(google: Client) -> None:
    code = google.code()

    google.redeem(code, client_id="another-client")

    assert google.redeem(code).status_code == 200


def test_a_client_keeps_its_first_secret(google: Client, github: Client) -> None:
    def redeem(at: Client, client: str, secret: str) -> Any:
        return at.redeem(at.code(client_id=client), client_id=client, client_secret=secret)

    redeem(google, "a-careful-client", "the-first-secret")

    refused = redeem(google, "a-careful-client", "another-secret")
    assert (refused.status_code, refused.json["error"]) == (401, "invalid_client")
    assert redeem(google, "another-careful-client", "another-secret").status_code == 200
    assert "access_token" in redeem(github, "a-careful-client", "another-secret").text


def test_a_secret_may_come_in_the_header(google: Client) -> None:
    # RFC 6749, 2.3.1: form-encoded first, so that an id can contain a colon.
    header = _basic("client%3A1", "100%25+secret")

    response = google.redeem(
        google.code(client_id="client:1"), header, client_id=None, client_secret=None
    )

    assert response.status_code == 200
    again = google.code(client_id="client:1")
    assert (
        google.redeem(again, client_id="client:1", client_secret="100% secret").status_code == 200
    )


@pytest.mark.parametrize(
    ("header", "error"),
    [
        ("Basic !", "invalid_client"),
        ("Basic /////w==", "invalid_client"),
        ("Bearer x", "invalid_client"),
        ("", "invalid_client"),
    ],
)
def test_an_empty_authorization_header_is_refused(google: Client, header: str, error: str) -> None:
    refused = google.redeem("x", {"Authorization": header}, client_secret=None)

    assert (refused.status_code, refused.json["error"]) == (401, error)
    assert refused.headers["WWW-Authenticate"].startswith("Basic")


def test_a_secret_may_be_sent_in_one_way_only(google: Client) -> None:
    assert google.redeem("x", _basic(CLIENT, SECRET)).json["error"] == "invalid_request"


@pytest.mark.parametrize("scheme", ["Bearer", "Basic", "Nonsense"])
def test_a_profile_requires_a_token(google: Client, scheme: str) -> None:
    refused = google.get("v1/userinfo", "x", scheme)

    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"].startswith("Bearer")


def test_tokens_of_one_provider_are_refused_by_the_other(google: Client, github: Client) -> None:
    token = google.redeem(google.code()).json["access_token"]

    assert github.get("api/user", token).status_code == 401
    assert "bad_verification_code" in github.redeem(google.code()).text


def test_everything_survives_a_restart(tmp_path: Any) -> None:
    seen = []
    for _ in range(2):
        app = create_sandbox(str(tmp_path / "sandbox.db"), inline=True)
        client = Client(app, verifier="v" * 43)
        token = client.redeem(client.code()).json["id_token"]
        keys = app.test_client().get("/identity/google/oauth2/v3/certs").json
        code = seen[0][2] if seen else client.code()
        seen.append((keys, jwt.decode(token, KeySet.import_key_set(keys)).claims["sub"], code))
        app.extensions["sandbox"].close()

    app = create_sandbox(str(tmp_path / "sandbox.db"), inline=True)
    client = Client(app, verifier="v" * 43)
    assert seen[0] == seen[1]
    assert client.redeem(seen[0][2]).status_code == 200
    assert client.redeem(client.code(), client_secret="another-secret").status_code == 401
    app.extensions["sandbox"].close()


def test_github_responds_with_a_form_unless_json_is_accepted(github: Client) -> None:
    form = github.redeem(github.code())
    json = github.redeem(github.code(), {"Accept": "application/json"})

    assert form.mimetype == "application/x-www-form-urlencoded"
    assert parse_qs(form.text)["token_type"] == ["bearer"]
    assert json.json["access_token"].startswith("gho_")
    assert json.json["scope"] == "openid,email,profile,user:email"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code": "unknown"}, "bad_verification_code"),
        ({"code": None}, "bad_verification_code"),
        ({"code_verifier": "v" * 43}, "bad_verification_code"),
        ({"client_secret": "short"}, "incorrect_client_credentials"),
        ({"redirect_uri": f"{BACK}/"}, "redirect_uri_mismatch"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ],
)
def test_errors_of_github_have_the_status_200(
    github: Client, changes: dict[str, Any], error: str
) -> None:
    refused = github.redeem(github.code(), {"Accept": "application/json"}, **changes)

    assert (refused.status_code, refused.json["error"]) == (200, error)
    assert set(refused.json) == {"error", "error_description", "error_uri"}


def test_github_does_not_require_all_parameters(github: Client) -> None:
    code = github.code(response_type=None, code_challenge=None, code_challenge_method=None)

    response = github.redeem(code, grant_type=None, redirect_uri="", code_verifier="")

    assert "access_token=gho_" in response.text


def test_github_returns_emails_only_with_their_scope(github: Client) -> None:
    def token(scope: str | None) -> str:
        response = github.redeem(github.code(scope=scope), {"Accept": "application/json"})
        return str(response.json["access_token"])

    refused = github.get("api/user/emails", token("read:user"))

    assert (refused.status_code, refused.json["message"]) == (404, "Not Found")
    assert github.get("api/user/emails", token("read:user,user:email"), "token").json
    assert github.get("api/user", token(None)).headers["X-OAuth-Scopes"] == ""


def test_the_github_api_has_its_own_error_messages(github: Client) -> None:
    assert github.get("api/user", "x").json["message"] == "Bad credentials"
    assert github.get("api/user", "x", "Digest").json["message"] == "Requires authentication"
    assert github.get("api/user/emails", "x").status_code == 401


def test_the_challenge_follows_rfc_7636() -> None:
    """Appendix B."""
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

    assert challenge_of(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def _basic(id: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{id}:{secret}".encode()).decode()}

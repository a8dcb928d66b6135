"""No request causes a server error, except chosen faults."""

from typing import Any

import pytest
from flask import Flask
from hypothesis import given, settings
from hypothesis import strategies as st

from .conftest import AUTHORIZE, BACK, TOKEN
from .shop import CLIENT, SECRET

SOUND = {
    "client_id": CLIENT,
    "client_secret": SECRET,
    "redirect_uri": BACK,
    "response_type": "code",
    "scope": "openid",
    "grant_type": "authorization_code",
    "code": "x",
}
NAMES = [*SOUND, "state", "nonce", "code_challenge", "code_challenge_method", "code_verifier"]
NAMES += [f"sandbox_{name}" for name in ("as", "email", "name", "address", "account", "failure")]

hosts = st.sampled_from(["a..b", "[::1", "::1", "xn--a", "localhost:99999", "%41", "-", "a_b"])
values = st.one_of(
    st.text(),
    st.binary(max_size=20),
    st.builds("https://{}/{}".format, hosts | st.text(max_size=20), st.text(max_size=5)),
    st.sampled_from(["somebody", "ada", "a@b", "S256", "code", "openid", "x" * 43]),
)
odd = st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=10), values, max_size=5)


@pytest.mark.parametrize("name", ["google", "github"])
@settings(max_examples=50, deadline=None, derandomize=True)
@given(query=odd, form=odd)
def test_authorization_requests_cause_no_server_error(
    app: Flask, name: str, query: dict[str, Any], form: dict[str, Any]
) -> None:
    browser = app.test_client()
    asked = SOUND | query

    responses = [
        browser.get(AUTHORIZE[name], query_string=asked),
        browser.post(AUTHORIZE[name], query_string=asked, data={"sandbox_as": "somebody"} | form),
    ]

    for response in responses:
        assert response.status_code in (200, 303, 400, 422)
        assert ("Location" in response.headers) == (response.status_code == 303)


@pytest.mark.parametrize("name", ["google", "github"])
@settings(max_examples=50, deadline=None, derandomize=True)
@given(form=odd, header=st.none() | st.text(st.characters(max_codepoint=255), max_size=30))
def test_redemptions_cause_no_server_error(
    app: Flask, name: str, form: dict[str, Any], header: str | None
) -> None:
    headers = {} if header is None else {"Authorization": _one_line(header)}

    response = app.test_client().post(TOKEN[name], data=SOUND | form, headers=headers)

    assert response.status_code in (200, 400, 401)
    assert "error" in response.text


@settings(max_examples=50, deadline=None, derandomize=True)
@given(header=st.text(st.characters(max_codepoint=255), max_size=30))
def test_tokens_cause_no_server_error(app: Flask, header: str) -> None:
    headers = {"Authorization": _one_line(header)}

    for path in ("google/v1/userinfo", "github/api/user", "github/api/user/emails"):
        assert app.test_client().get(f"/identity/{path}", headers=headers).status_code == 401


def _one_line(header: str) -> str:
    return header.replace("\r", "").replace("\n", "")

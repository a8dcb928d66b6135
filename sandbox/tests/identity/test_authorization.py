"""The authorization request: valid clients and parameters, and errors for the others."""

from typing import Any

import pytest
from flask import Flask
from saas_sandbox.identity import redirects

from .conftest import AUTHORIZE, BACK, Client, answered
from .shop import CLIENT


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": None},
        {"client_id": ""},
        {"client_id": "abc"},
        {"client_id": "x" * 256},
        {"client_id": "client\x00"},
        {"client_id": ["one-client", "two-clients"]},
        {"redirect_uri": None},
        {"redirect_uri": "/back"},
        {"redirect_uri": [BACK, BACK]},
    ],
)
@pytest.mark.parametrize("name", ["google", "github"])
def test_errors_without_a_valid_redirect_uri_are_shown_on_a_page(
    app: Flask, name: str, changes: dict[str, Any]
) -> None:
    page = Client(app, name).ask(**changes, sandbox_as="ada")

    assert page.status_code == 400
    assert "Location" not in page.headers
    assert "This request can't be answered" in page.text
    assert f"The parameter {next(iter(changes))}" in page.text


@pytest.mark.parametrize(
    "address",
    [
        "http://localhost/back",
        "http://localhost:5000/back?next=%2F",
        "http://127.0.0.1:1",
        "http://127.8.9.1/",
        "http://[::1]:8000/back",
        "http://app.localhost/back",
        "https://shop.example/back",
        "https://192.168.1.5:8443/back",
    ],
)
def test_redirect_uris_are_https_or_on_this_machine(google: Client, address: str) -> None:
    location = google.ask(redirect_uri=address, sandbox_as="ada").headers["Location"]

    assert location.startswith(f"{address}{'&' if '?' in address else '?'}code=")


@pytest.mark.parametrize(
    "address",
    [
        "",
        "localhost/back",
        "//localhost/back",
        "http://shop.example/back",
        "http://localhost.evil.example/back",
        "http://127.0.0.1.evil.example/",
        "http://2130706433/",
        "https:///back",
        "https:back",
        "https://",
        "https://user@shop.example/",
        "https://localhost\\@evil.example/",
        "https://shop.example/#fragment",
        "https://shop.example/\r\nSet-Cookie: a=b",
        "https://shop.example/\x00",
        "https://shop.example/a b",
        "https://münchen.example/",
        "https://shop.example:99999/",
        "https://[::1/",
        "https://[nonsense]/",
        "http://[::1]evil.example/",
        "http://[::1%25eth0]/",
        "https://shop..example/",
        "https://shop.example./",
        f"https://{'x' * 64}.example/",
        "https://%41.example/",
        "https://shop.example:/",
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "ftp://localhost/",
        "com.example.app:/back",
        "https://shop.example/" + "x" * 2000,
        b"https://shop.example/\xed\xa0\xbd",
        b"https://shop.example/\xff",
    ],
)
def test_invalid_redirect_uris_are_never_used(google: Client, address: Any) -> None:
    page = google.ask(redirect_uri=address, sandbox_as="ada")

    assert page.status_code == 400
    assert "Location" not in page.headers


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_mode": "form_post"}, "invalid_request"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "email"}, "invalid_scope"),
        ({"scope": ["openid", "email"]}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"request": "eyJ"}, "request_not_supported"),
        ({"request_uri": "https://shop.example/r"}, "request_uri_not_supported"),
        ({"prompt": "none"}, "login_required"),
        ({"nonce": "x" * 2001}, "invalid_request"),
        ({"nonce": "a\x00b"}, "invalid_request"),
        ({"nonce": "ünïque"}, "invalid_request"),
        ({"n\x00\xff": "a\x00"}, "invalid_request"),
    ],
)
def test_errors_are_sent_to_the_client(google: Client, changes: dict[str, Any], error: str) -> None:
    message = answered(google.ask(**changes, sandbox_as="ada"))

    assert (message["error"], message["state"]) == (error, "the-state")
    assert message["iss"] == "http://localhost/identity/google"
    assert message["error_description"].isascii()


@pytest.mark.parametrize("state", ["x" * 2001, "a\x00b", "a\nb", "stäte", ["one", "two"]])
def test_a_state_that_cannot_be_returned_is_refused(google: Client, state: Any) -> None:
    message = answered(google.ask(state=state, sandbox_as="ada"))

    assert message["error"] == "invalid_request"
    assert message.get("state") in (None, "one")


@pytest.mark.parametrize("state", ["a b+c%20&=?#/", '{"next": "/"}', "x" * 2000])
def test_the_state_is_returned_unchanged(google: Client, state: str) -> None:
    assert answered(google.ask(state=state, sandbox_as="ada"))["state"] == state


def test_state_and_nonce_may_be_absent(google: Client) -> None:
    message = answered(google.ask(state=None, nonce=None, sandbox_as="ada"))

    assert set(message) == {"code", "iss"}
    assert google.redeem(message["code"]).status_code == 200


@pytest.mark.parametrize("raw", ["%FF", "%ED%A0%BD", "\xff", "%00", "%", "&&=&", "x" * 60_000])
@pytest.mark.parametrize("name", ["google", "github"])
def test_undecodable_bytes_cause_no_server_error(app: Flask, name: str, raw: str) -> None:
    asked = f"client_id={CLIENT}&redirect_uri={BACK}&response_type=code&scope=openid&state={raw}"

    response = app.test_client().get(AUTHORIZE[name], environ_overrides={"QUERY_STRING": asked})

    assert response.status_code in (200, 303)


def test_an_empty_parameter_counts_as_missing(google: Client) -> None:
    """RFC 6749, 3.1."""
    message = answered(google.ask(request="", prompt=["", "login"], sandbox_as="ada"))

    assert "code" in message
    assert "Choose an account" in google.ask(sandbox_as="", sandbox_failure="").text


def test_a_redirect_uri_keeps_its_query() -> None:
    kept = redirects.append_params("https://shop.example/?a=%20b", {"code": "c d"})

    assert kept == "https://shop.example/?a=%20b&code=c+d"


def test_the_configuration_contains_the_urls_of_all_endpoints(google: Client) -> None:
    app = google.app.test_client()

    message = app.get(
        "/identity/google/.well-known/openid-configuration", base_url="http://localhost:5001"
    ).json

    assert message["issuer"] == "http://localhost:5001/identity/google"
    assert message["authorization_endpoint"] == f"http://localhost:5001{AUTHORIZE['google']}"
    assert message["code_challenge_methods_supported"] == ["S256"]
    assert message["authorization_response_iss_parameter_supported"] is True
    for name in ("token_endpoint", "userinfo_endpoint", "jwks_uri"):
        assert app.options(message[name]).status_code == 200

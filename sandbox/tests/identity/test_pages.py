"""The account chooser, and the page that explains its use."""

from typing import Any

import pytest
from flask import Flask
from saas_sandbox.identity import failures

from tests.browser import Visitor

from .conftest import AUTHORIZE, BACK, Client


def test_the_front_page_links_here(app: Flask) -> None:
    browser = app.test_client()

    assert 'href="/identity/"' in browser.get("/").text
    page = browser.get("/identity/", base_url="http://localhost:5001").text
    assert "http://localhost:5001/identity/google/.well-known/openid-configuration" in page
    assert all(fault in page for fault in failures.OAUTH_FAILURES | failures.OPENID_FAILURES)


@pytest.mark.parametrize("name", ["google", "github"])
def test_the_page_needs_no_script(visitor: Visitor, name: str) -> None:
    page = visitor.visit(f"/in/{name}")

    assert "<script" not in page.response.text
    assert page.response.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert page.response.headers["Cache-Control"] == "no-store"
    names = [value for form in page.forms for name, value in form.buttons if name == "sandbox_as"]
    assert names == ["ada", "grace", "alan", "emmy", "refuse", "error", "somebody"]


def test_the_page_names_the_client(google: Client) -> None:
    page = google.ask(redirect_uri="https://shop.example:8443/back").text

    assert "shop.example:8443" in page
    assert "There is no password" in page


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"email": ""}, "such as ada@example.com"),
        ({"email": "ada"}, "such as ada@example.com"),
        ({"email": "@example.com"}, "such as ada@example.com"),
        ({"email": "a b@example.com"}, "such as ada@example.com"),
        ({"email": "a\x00@example.com"}, "visible characters"),
        ({"email": f"{'a' * 250}@example.com"}, "at most 254"),
        ({"email": "a@b", "name": "x" * 255}, "at most 254"),
        ({"email": "a@b", "name": "a\nb"}, "visible characters"),
        ({"email": "a@b", "account": "\x07"}, "visible characters"),
        ({"email": "a@b", "address": "perhaps"}, "one of the four"),
    ],
)
def test_invalid_input_is_explained_beside_its_field(
    app: Flask, typed: dict[str, str], words: str
) -> None:
    page = _choose(app, {"sandbox_as": "somebody"} | {f"sandbox_{k}": v for k, v in typed.items()})

    assert page.status_code == 422
    assert words in page.text
    assert 'aria-invalid="true"' in page.text


def test_input_is_kept_after_an_error(app: Flask) -> None:
    page = _choose(app, {"sandbox_as": "somebody", "sandbox_email": '"><b', "sandbox_name": "Zoë"})

    assert 'value="&#34;&gt;&lt;b"' in page.text
    assert 'value="Zoë"' in page.text


@pytest.mark.parametrize("chosen", ["nobody", "", "\x00"])
def test_unknown_users_cannot_be_chosen(app: Flask, chosen: str) -> None:
    page = _choose(app, {"sandbox_as": chosen})

    assert page.status_code == 422
    assert "Choose a test account" in page.text


@pytest.mark.parametrize("typed", [b"\xff\xfe@x", b"\xed\xa0\xbd@x"])
def test_undecodable_bytes_cause_no_server_error(app: Flask, typed: bytes) -> None:
    page = _choose(app, {"sandbox_as": "somebody", "sandbox_email": typed})

    assert page.status_code in (303, 422)


def test_unusual_emails_are_accepted(google: Client) -> None:
    """Full-width dots or two at signs: clients must handle them, so they can be entered."""
    for odd in ("b@evil\uff0ecom", "a@v.test,b@evil.test", '"a@b"@example.com'):
        code = google.code(sandbox_as="somebody", sandbox_email=odd)
        token = google.redeem(code).json["access_token"]
        assert google.get("v1/userinfo", token).json["email"] == odd


def test_an_invalid_choice_in_the_url_is_explained(google: Client) -> None:
    assert google.ask(sandbox_as="nobody").status_code == 422
    assert google.ask(sandbox_as="somebody", sandbox_email="x").status_code == 422
    assert google.ask(sandbox_failure="nonsense").status_code == 400


def test_choosing_without_a_request_causes_no_redirect(app: Flask) -> None:
    page = app.test_client().post(AUTHORIZE["google"], data={"sandbox_as": "ada"})

    assert page.status_code == 400


def test_another_site_cannot_choose_an_account(app: Flask) -> None:
    page = app.test_client().post(
        AUTHORIZE["google"], data={"sandbox_as": "ada"}, headers={"Origin": "https://evil.example"}
    )

    assert page.status_code == 403


@pytest.mark.parametrize(
    ("person", "login"),
    [("Ada.Lovelace+x@b", "ada-lovelace-x"), ("--@b", "user"), ("Zoë@b", "zo"), ("ada@b", "ada")],
)
def test_github_derives_the_user_name_from_the_email(
    github: Client, person: str, login: str
) -> None:
    code = github.code(sandbox_as="somebody", sandbox_email=person)

    token = github.redeem(code, {"Accept": "application/json"}).json["access_token"]

    assert github.get("api/user", token).json["login"].rstrip("0123456789") == login


def _choose(app: Flask, form: dict[str, Any]) -> Any:
    asked = {
        "client_id": "a-client",
        "redirect_uri": BACK,
        "response_type": "code",
        "scope": "openid",
    }
    return app.test_client().post(AUTHORIZE["google"], query_string=asked, data=form)

"""Sign-in to a shop that uses Authlib, over HTTP."""

import pytest

from tests.browser import Visitor

from .conftest import AUTHORIZE, sign_in


def test_ada_signs_in_with_google_with_a_button(visitor: Visitor, provider: str) -> None:
    page = visitor.visit("/in/google")
    assert "Choose an account" in page.text
    assert "The sandbox is standing in for Google." in page.text

    learnt = visitor.submit(AUTHORIZE["google"], having={"sandbox_as": "ada"}).response.json()

    user = learnt["person"]
    assert (user["email"], user["email_verified"]) == ("ada@example.com", True)
    assert (user["name"], user["iss"]) == ("Ada Lovelace", f"{provider}/identity/google")
    assert "picture" not in user
    # RFC 9207: Authlib does not check it, so the application must.
    assert learnt["answered"]["iss"] == user["iss"]


def test_ada_signs_in_with_github_with_a_button(visitor: Visitor) -> None:
    visitor.visit("/in/github")

    learnt = visitor.submit(AUTHORIZE["github"], having={"sandbox_as": "ada"}).response.json()

    user = learnt["person"]
    assert (user["login"], user["name"], user["email"]) == ("ada", "Ada Lovelace", None)
    assert user["emails"] == [
        {"email": "ada@example.com", "primary": True, "verified": True, "visibility": "private"}
    ]
    assert "iss" not in learnt["answered"]


def test_any_account_can_be_entered(visitor: Visitor) -> None:
    visitor.visit("/in/google")

    learnt = visitor.submit(
        AUTHORIZE["google"],
        having={"sandbox_as": "somebody"},
        sandbox_email="Zoë@müller.example",
        sandbox_name="Zoë <b>",
        sandbox_address="unverified",
    ).response.json()

    user = learnt["person"]
    assert (user["email"], user["name"]) == ("Zoë@müller.example", "Zoë <b>")
    assert user["email_verified"] is False


@pytest.mark.parametrize(("chosen", "verified"), [("grace", True), ("alan", False)])
def test_an_email_is_verified_or_not(visitor: Visitor, chosen: str, verified: bool) -> None:
    assert sign_in(visitor, **{"as": chosen})["person"]["email_verified"] is verified


@pytest.mark.parametrize(
    "choice", [{"as": "emmy"}, {"as": "somebody", "name": "Emmy", "address": "none"}]
)
def test_an_account_may_have_no_email(visitor: Visitor, choice: dict[str, str]) -> None:
    assert "email" not in sign_in(visitor, **choice)["person"]
    assert sign_in(visitor, "github", **choice)["person"]["emails"] == []


def test_a_github_account_may_have_several_emails(visitor: Visitor) -> None:
    emails = sign_in(visitor, "github", **{"as": "alan"})["person"]["emails"]

    assert [(e["email"], e["primary"], e["verified"]) for e in emails] == [
        ("alan@example.com", True, False),
        ("alan@kings.example", False, True),
    ]


def test_the_same_user_has_the_same_account_id(visitor: Visitor) -> None:
    def sub(**choice: str) -> str:
        return str(sign_in(visitor, **choice)["person"]["sub"])

    typed = {"as": "somebody", "email": "Ada@Example.com"}

    assert sub(**{"as": "ada"}) == sub(**{"as": "ada"}) == sub(**typed)
    assert sub(**typed) == sub(**typed, address="unverified")
    assert sub(**typed) != sub(**{"as": "grace"})


def test_an_account_keeps_its_id_when_its_email_changes(visitor: Visitor) -> None:
    changed = {"as": "somebody", "email": "countess@example.com", "account": "ada@example.com"}

    google = [sign_in(visitor, **c)["person"] for c in ({"as": "ada"}, changed)]
    github = [sign_in(visitor, "github", **c)["person"] for c in ({"as": "ada"}, changed)]

    assert google[0]["sub"] == google[1]["sub"]
    assert google[1]["email"] == "countess@example.com"
    assert github[0]["id"] == github[1]["id"]


@pytest.mark.parametrize("name", ["google", "github"])
@pytest.mark.parametrize(
    ("button", "error"), [("refuse", "access_denied"), ("error", "server_error")]
)
def test_the_user_or_the_provider_may_refuse(
    visitor: Visitor, name: str, button: str, error: str
) -> None:
    visitor.visit(f"/in/{name}")

    learnt = visitor.submit(AUTHORIZE[name], having={"sandbox_as": button}).response.json()

    assert learnt["refused"] == "OAuthError"
    assert learnt["answered"]["error"] == error
    assert "state" in learnt["answered"]


def test_a_client_may_send_a_login_hint(visitor: Visitor) -> None:
    sent = visitor.request("GET", "/in/google").headers["Location"]

    page = visitor.visit(f"{sent}&login_hint=zoe@example.com")

    form = page.form(AUTHORIZE["google"], sandbox_as="somebody")
    assert form.fields["sandbox_email"] == "zoe@example.com"

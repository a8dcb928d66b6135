"""Signing in with Google and GitHub, as the sandbox plays them over HTTP."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
import requests
import time_machine
from flask import Flask
from sqlalchemy import select, update

from saas import database
from saas.auth import accounts
from saas.auth.models import Identity, Passkey, Session, User
from saas.database import db, now
from saas.mail.models import OutboxMessage
from tests.conftest import Shop, both_databases, free_port, serving
from tests.visitor import Page, Visitor, eventually

both_providers = pytest.mark.parametrize("provider", ["google", "github"])


def begin(visitor: Visitor, provider: str, start: str = "/login") -> str:
    """Press the provider's button; the address that one is sent to."""
    visitor.visit(start)
    visitor.submit(f"/auth/oauth/{provider}", follow=False)
    assert visitor.page.status == 303, visitor.page.text
    return visitor.page.answer.headers["Location"]


def choose(address: str, /, **choice: str) -> str:
    """Say at the provider who one is; the address that one is sent back to."""
    made = urlencode({f"sandbox_{key}": value for key, value in choice.items()})
    answer = requests.get(f"{address}&{made}", allow_redirects=False, timeout=20)
    return answer.headers["Location"]


def come_in(visitor: Visitor, provider: str, start: str = "/login", /, **choice: str) -> Page:
    """The whole way."""
    return visitor.visit(choose(begin(visitor, provider, start), **choice))


def somebody(email: str, **more: str) -> dict[str, str]:
    return {"as": "somebody", "email": email, **more}


def rows(shop: Shop, model: Any) -> list[Any]:
    with shop.app.app_context():
        return list(db.session.scalars(select(model)))


def identity_of(shop: Shop) -> Identity:
    (identity,) = rows(shop, Identity)
    return identity


# --- coming in -----


@both_databases
@both_providers
def test_a_first_sign_in_makes_the_account_and_the_next_finds_it(
    provider: str, shop: Shop, visitor: Visitor
) -> None:
    assert come_in(visitor, provider, **{"as": "ada"}).path == "/dashboard"
    again = shop.visitor()
    assert come_in(again, provider, **{"as": "ada"}).path == "/dashboard"

    (person,) = rows(shop, User)
    assert person.email == "ada@example.com"
    assert person.verified_at
    identity = identity_of(shop)
    assert identity.issuer == f"{shop.sandbox}/identity/{provider}"
    assert len(rows(shop, Session)) == 2


def test_one_comes_back_to_where_one_was_going(visitor: Visitor) -> None:
    page = come_in(visitor, "google", "/login?next=/dashboard/settings%3Fa%3Db", **{"as": "ada"})

    assert page.url.endswith("/dashboard/settings?a=b")


def test_a_sign_in_leads_nowhere_else(visitor: Visitor) -> None:
    page = come_in(visitor, "google", "/login?next=//evil.example/", **{"as": "ada"})

    assert page.path == "/dashboard"


def test_google_is_asked_with_pkce_nonce_and_our_exact_address(
    shop: Shop, visitor: Visitor
) -> None:
    asked = dict(parse_qsl(urlsplit(begin(visitor, "google")).query))

    assert asked["code_challenge_method"] == "S256"
    assert len(asked["code_challenge"]) == 43
    assert len(asked["state"]) == len(asked["nonce"]) == 43
    assert asked["state"] != asked["nonce"]
    assert asked["redirect_uri"] == f"{shop.url}/auth/oauth/google/callback"
    assert asked["scope"] == "openid email"


def test_the_address_that_one_comes_back_to_is_not_taken_from_the_host_header(
    shop: Shop, visitor: Visitor
) -> None:
    token = visitor.visit("/login").form("/auth/oauth/google").fields["csrf_token"]

    answer = visitor.request(
        "POST",
        "/auth/oauth/google",
        data={"csrf_token": token},
        headers={"Host": "evil.example", "Cookie": f"session={visitor.cookie}"},
    )

    assert urlencode({"redirect_uri": f"{shop.url}/auth/"}) in answer.headers["Location"]


def test_an_account_is_known_by_its_number_when_its_address_has_changed(
    shop: Shop, visitor: Visitor
) -> None:
    come_in(visitor, "google", **somebody("old@example.com"))

    come_in(shop.visitor(), "google", **somebody("new@example.com", account="old@example.com"))

    (person,) = rows(shop, User)
    assert person.email == "old@example.com"
    assert identity_of(shop).email == "new@example.com"


def test_an_address_that_changed_hands_at_the_provider_opens_nothing_of_its_old_owner(
    shop: Shop, visitor: Visitor
) -> None:
    come_in(visitor, "google", **somebody("first@example.com", account="number-one"))
    come_in(shop.visitor(), "google", **somebody("moved@example.com", account="number-one"))

    come_in(shop.visitor(), "google", **somebody("moved@example.com", account="number-two"))

    people = {person.email: person.id for person in rows(shop, User)}
    owners = {each.subject: each.user_id for each in rows(shop, Identity)}
    assert set(people) == {"first@example.com", "moved@example.com"}
    assert len(set(owners.values())) == 2


@both_providers
def test_a_verified_address_joins_the_account_that_has_verified_it_too(
    provider: str, shop: Shop, visitor: Visitor
) -> None:
    visitor.sign_in("ada@example.com")

    come_in(shop.visitor(), provider, **{"as": "ada"})

    (person,) = rows(shop, User)
    assert identity_of(shop).user_id == person.id


# --- who is not let in -----


def refused(page: Page, status: int, words: str) -> None:
    assert page.status == status, page.text
    assert words in page.text
    assert "Traceback" not in page.answer.text
    assert page.links  # what to do next


def nothing_happened(shop: Shop) -> None:
    assert rows(shop, Identity) == []
    assert rows(shop, Session) == []
    assert rows(shop, User) == []


@both_providers
@pytest.mark.parametrize(
    ("choice", "status", "words"),
    [
        ({"as": "refuse"}, 403, "You did not sign in with"),
        ({"as": "error"}, 502, "could not sign you in"),
        ({"as": "alan"}, 403, "is not verified at"),
        ({"as": "emmy"}, 403, "did not tell us your address"),
        ({"as": "ada", "failure": "no_state"}, 400, "was not started here"),
        ({"as": "ada", "failure": "token_error"}, 503, "does not answer"),
        ({"as": "ada", "failure": "token_rubbish"}, 502, "could not be trusted"),
    ],
)
def test_what_goes_wrong_at_a_provider_is_explained_and_signs_nobody_in(
    provider: str,
    choice: dict[str, str],
    status: int,
    words: str,
    shop: Shop,
    visitor: Visitor,
) -> None:
    refused(come_in(visitor, provider, **choice), status, words)
    nothing_happened(shop)


@pytest.mark.parametrize(
    "failure",
    [
        "response_issuer",
        "wrong_issuer",
        "wrong_audience",
        "foreign_audience",
        "expired",
        "no_id_token",
        "wrong_nonce",
        "no_nonce",
        "bad_signature",
        "unsigned",
    ],
)
def test_an_answer_that_proves_nothing_signs_nobody_in(
    failure: str, shop: Shop, visitor: Visitor
) -> None:
    page = come_in(visitor, "google", **{"as": "ada", "failure": failure})

    refused(page, 502, "could not be trusted")
    nothing_happened(shop)


def test_the_word_true_does_not_verify_an_address(shop: Shop, visitor: Visitor) -> None:
    page = come_in(visitor, "google", **{"as": "ada", "failure": "word_verified"})

    refused(page, 403, "is not verified at Google")
    nothing_happened(shop)


def test_github_without_its_profile_signs_nobody_in(shop: Shop, visitor: Visitor) -> None:
    page = come_in(visitor, "github", **{"as": "ada", "failure": "api_error"})

    refused(page, 503, "GitHub does not answer")
    nothing_happened(shop)


@both_providers
def test_a_provider_that_hangs_is_given_up_within_ten_seconds(
    provider: str, shop: Shop, visitor: Visitor
) -> None:
    back = choose(begin(visitor, provider), **{"as": "ada", "failure": "token_hang"})

    page = visitor.visit(back)

    refused(page, 503, "does not answer")
    assert page.answer.elapsed < timedelta(seconds=10)
    nothing_happened(shop)


def test_a_provider_that_is_not_there_is_explained_at_the_button(
    make_app: Callable[..., Flask],
) -> None:
    app = make_app(SANDBOX_URL="http://localhost:1")

    with serving(app) as url:
        visitor = Visitor(url)
        visitor.visit("/login")
        page = visitor.submit("/auth/oauth/google")
        visitor.close()

    refused(page, 503, "Google does not answer")


def test_what_a_provider_says_is_never_shown(visitor: Visitor) -> None:
    asked = dict(parse_qsl(urlsplit(begin(visitor, "google")).query))

    page = visitor.visit(
        "/auth/oauth/google/callback?"
        + urlencode(
            {
                "error": "<script>alert(1)</script>",
                "error_description": "<b>call 555-0100</b>",
                "state": asked["state"],
            }
        )
    )

    refused(page, 502, "could not sign you in")
    assert "script>alert" not in page.answer.text
    assert "555-0100" not in page.answer.text


@pytest.mark.parametrize(
    "query", ["", "?code=x", "?state=x&code=x", "?error=access_denied", "?state=&code=", "?state=é"]
)
def test_an_answer_to_no_question_is_refused(query: str, shop: Shop, visitor: Visitor) -> None:
    begin(visitor, "google")

    page = visitor.visit(f"/auth/oauth/google/callback{query}")

    refused(page, 400, "was not started here")
    nothing_happened(shop)


def test_the_answer_to_one_browser_signs_no_other_in(shop: Shop, visitor: Visitor) -> None:
    back = choose(begin(visitor, "google"), **{"as": "ada"})
    victim = shop.visitor()
    begin(victim, "google")

    refused(victim.visit(back), 400, "was not started here")
    nothing_happened(shop)
    assert visitor.visit(back).path == "/dashboard"


def test_the_state_of_one_provider_is_nothing_to_another(shop: Shop, visitor: Visitor) -> None:
    back = choose(begin(visitor, "google"), **{"as": "ada"})

    page = visitor.visit(back.replace("/google/", "/github/"))

    refused(page, 400, "was not started here")
    nothing_happened(shop)


def test_an_answer_is_good_once_even_for_a_copied_cookie(shop: Shop, visitor: Visitor) -> None:
    back = choose(begin(visitor, "google"), **{"as": "ada"})
    copy = shop.visitor()
    copy.browser.cookies.update(visitor.browser.cookies)

    assert visitor.visit(back).path == "/dashboard"
    refused(copy.visit(back), 400, "was not started here")
    assert len(rows(shop, Session)) == 1


def test_a_code_that_was_used_is_refused(shop: Shop, visitor: Visitor) -> None:
    used = dict(parse_qsl(urlsplit(choose(begin(visitor, "google"), **{"as": "ada"})).query))
    visitor.visit("/auth/oauth/google/callback?" + urlencode(used))
    other = shop.visitor()
    mine = dict(parse_qsl(urlsplit(choose(begin(other, "google"), **{"as": "ada"})).query))

    page = other.visit("/auth/oauth/google/callback?" + urlencode(mine | {"code": used["code"]}))

    refused(page, 502, "could not be trusted")


def test_a_sign_in_that_took_longer_than_ten_minutes_is_begun_again(
    shop: Shop, visitor: Visitor
) -> None:
    back = choose(begin(visitor, "google"), **{"as": "ada"})

    with time_machine.travel(now() + timedelta(minutes=10, seconds=1), tick=True):
        refused(visitor.visit(back), 400, "was not started here")
    nothing_happened(shop)


def test_twenty_started_sign_ins_do_not_make_the_cookie_too_large(
    shop: Shop, visitor: Visitor
) -> None:
    wanted = "/login?next=/dashboard/settings%3Fa%3D" + "b" * 2000
    for _ in range(20):
        newest = begin(visitor, "google", wanted)

    assert len(visitor.cookie) < 1024
    assert visitor.visit(choose(newest, **{"as": "ada"})).path == "/dashboard/settings"


@both_providers
def test_the_disabled_and_the_closing_are_told_so(
    provider: str, shop: Shop, visitor: Visitor
) -> None:
    come_in(visitor, provider, **{"as": "ada"})
    for column, words in (("disabled_at", "is disabled"), ("closing_at", "is being deleted")):
        with shop.app.app_context(), database.writing():
            empty: dict[str, Any] = {"disabled_at": None, "closing_at": None}
            database.execute(update(User).values({**empty, column: now()}))

        refused(come_in(shop.visitor(), provider, **{"as": "ada"}), 403, words)

    assert len(rows(shop, Session)) == 1


def test_a_disabled_account_is_not_joined_by_its_address_either(
    shop: Shop, visitor: Visitor
) -> None:
    visitor.sign_in("ada@example.com")
    with shop.app.app_context(), database.writing():
        database.execute(update(User).values(disabled_at=now()))

    refused(come_in(shop.visitor(), "google", **{"as": "ada"}), 403, "is disabled")
    assert rows(shop, Identity) == []


# --- accounts that somebody else prepared -----


def prepare_account(shop: Shop, email: str) -> None:
    """An account whose address nobody proved, with ways in that somebody put there."""
    with shop.app.app_context():
        person = accounts.sign_up(email)
        with database.writing() as session:
            session.add(
                Session(user_id=person.id, token_hash=b"theirs", expires_at=now() + timedelta(1))
            )
            session.add(
                Identity(
                    user_id=person.id, provider="github", issuer="https://github.example",
                    subject="13", email="eve@evil.example",
                )
            )  # fmt: skip
            session.add(
                Passkey(
                    user_id=person.id, name="Eve", credential_id=b"e", public_key=b"k", sign_count=0
                )
            )


@pytest.mark.parametrize("way", ["google", "github", "mail"])
def test_whoever_prepared_an_account_is_out_when_its_owner_arrives(
    way: str, shop: Shop, visitor: Visitor
) -> None:
    prepare_account(shop, "ada@example.com")

    if way == "mail":
        visitor.sign_in("ada@example.com")
    else:
        come_in(visitor, way, **{"as": "ada"})

    assert visitor.page.path == "/dashboard"
    (person,) = rows(shop, User)
    assert person.verified_at
    assert [session.token_hash == b"theirs" for session in rows(shop, Session)] == [False]
    assert rows(shop, Passkey) == []
    assert all(identity.subject != "13" for identity in rows(shop, Identity))


# --- which providers there are -----


def test_a_provider_without_keys_is_not_there(make_app: Callable[..., Flask]) -> None:
    keys = {"GOOGLE_CLIENT_ID": "id", "GOOGLE_CLIENT_SECRET": "secret"}
    app = make_app(SANDBOX_URL="", SMTP_URL="smtp://localhost", **_STRIPE, **keys)

    client = app.test_client()

    page = client.get("/login").text
    assert "Continue with Google" in page
    assert "GitHub" not in page
    assert client.get("/auth/oauth/github/callback").status_code == 404
    assert client.get("/auth/oauth/facebook/callback").status_code == 404
    policy = client.get("/login").headers["Content-Security-Policy"]
    assert "https://accounts.google.com" in policy
    assert "https://github.com" not in policy


_STRIPE = {
    "STRIPE_API_KEY": "sk_test_1",
    "STRIPE_WEBHOOK_SECRET": "whsec_1",
    "STRIPE_PRO_MONTHLY_PRICE_ID": "price_1",
    "STRIPE_PRO_YEARLY_PRICE_ID": "price_2",
    "STRIPE_BUSINESS_MONTHLY_PRICE_ID": "price_3",
    "STRIPE_BUSINESS_YEARLY_PRICE_ID": "price_4",
}


def test_the_doors_are_limited_by_where_somebody_comes_from(visitor: Visitor) -> None:
    statuses = [
        visitor.visit("/auth/oauth/google/callback?state=x&code=x").status for _ in range(61)
    ]

    assert statuses[:60] == [400] * 60
    assert statuses[60] == 429


# --- in the settings


def test_a_provider_is_linked_used_and_unlinked(shop: Shop, visitor: Visitor) -> None:
    visitor.sign_in("ann@example.com")
    visitor.visit("/dashboard/settings")
    visitor.submit("/dashboard/settings/identities/github/link", follow=False)
    page = visitor.visit(choose(visitor.page.answer.headers["Location"], **{"as": "alan"}))
    assert page.path == "/dashboard/settings"
    assert "GitHub signs you in from now on" in page.text

    other = shop.visitor()
    assert come_in(other, "github", **{"as": "alan"}).path == "/dashboard"
    assert [person.email for person in rows(shop, User)] == ["ann@example.com"]

    path = f"/dashboard/settings/identities/{identity_of(shop).id}/unlink"
    other.visit("/dashboard/settings")
    assert "GitHub does not sign you in any more" in other.submit(path).text
    assert rows(shop, Identity) == []
    refused(come_in(shop.visitor(), "github", **{"as": "alan"}), 403, "is not verified at GitHub")
    eventually(lambda: subjects(visitor, "ann@example.com", "no more"))
    assert subjects(visitor, "ann@example.com", "GitHub") == [
        "Your GitHub account signs in to Plinth no more",
        "Your GitHub account can sign in to Plinth",
    ]


def subjects(visitor: Visitor, email: str, about: str) -> list[str]:
    """Of the mails about something, the newest first."""
    mails = visitor.mails_to(email)
    return [mail["subject"] for mail in mails if about in mail["subject"]]


def test_the_owner_of_an_account_is_told_when_an_identity_joins_it(
    shop: Shop, visitor: Visitor
) -> None:
    visitor.sign_in("ada@example.com")
    come_in(shop.visitor(), "google", **{"as": "ada"})
    come_in(shop.visitor(), "google", **{"as": "ada"})
    come_in(shop.visitor(), "google", **somebody("new@example.com"))

    about = "Your Google account can sign in to Plinth"
    eventually(lambda: subjects(visitor, "ada@example.com", about))
    with shop.app.app_context():
        told = select(OutboxMessage.subject_id).where(OutboxMessage.kind == "way_in")
        (person_id,) = db.session.scalars(told)
        assert db.session.get_one(User, person_id).email == "ada@example.com"


def test_an_identity_of_one_person_is_not_linked_to_another(shop: Shop, visitor: Visitor) -> None:
    come_in(shop.visitor(), "google", **{"as": "ada"})
    visitor.sign_in("eve@example.com")
    visitor.visit("/dashboard/settings")
    visitor.submit("/dashboard/settings/identities/google/link", follow=False)

    page = visitor.visit(choose(visitor.page.answer.headers["Location"], **{"as": "ada"}))

    refused(page, 409, "That Google account is in use")
    owners = {person.id: person.email for person in rows(shop, User)}
    assert owners[identity_of(shop).user_id] == "ada@example.com"


def test_the_identity_of_somebody_else_cannot_be_unlinked(shop: Shop, visitor: Visitor) -> None:
    come_in(shop.visitor(), "google", **{"as": "ada"})
    visitor.sign_in("eve@example.com")
    token = visitor.visit("/dashboard/settings").form("/logout").fields["csrf_token"]

    path = f"/dashboard/settings/identities/{identity_of(shop).id}/unlink"
    answer = visitor.request("POST", path, data={"csrf_token": token})

    assert answer.status_code == 404
    assert identity_of(shop)


@pytest.mark.parametrize(("as_", "path"), [("ada", "/dashboard/settings"), ("grace", None)])
def test_linking_asks_who_one_is_and_only_the_same_person_can_say(
    as_: str, path: str | None, shop: Shop, visitor: Visitor
) -> None:
    come_in(shop.visitor(), "google", **{"as": "grace"})
    come_in(visitor, "google", **{"as": "ada"})
    before = visitor.cookie
    with shop.app.app_context(), database.writing():
        database.execute(update(Session).values(created_at=now() - timedelta(minutes=11)))
    visitor.visit("/dashboard/settings")
    visitor.submit("/dashboard/settings/identities/github/link")
    assert visitor.page.path == "/auth/confirm"

    visitor.submit("/auth/oauth/google", follow=False)
    page = visitor.visit(choose(visitor.page.answer.headers["Location"], **{"as": as_}))

    if path:
        assert page.path == path
        assert visitor.cookie != before
    else:
        refused(page, 403, "That is somebody else")
        assert visitor.visit("/dashboard/settings").text.count("ada@example.com") > 0


def test_who_signed_in_meanwhile_is_not_replaced(shop: Shop, visitor: Visitor) -> None:
    back = choose(begin(visitor, "google"), **{"as": "ada"})
    ann = shop.visitor()
    ann.sign_in("ann@example.com")
    # One browser: it began the one sign-in and finished the other.
    with shop.app.test_request_context():
        serializer = shop.app.session_interface.get_signing_serializer(shop.app)
    mixed = serializer.loads(visitor.cookie) | serializer.loads(ann.cookie)
    visitor.browser.cookies.clear()

    page = Page(
        visitor.request("GET", back, headers={"Cookie": f"session={serializer.dumps(mixed)}"})
    )

    refused(page, 409, "You are signed in already")
    assert rows(shop, Identity) == []


# --- another provider of OpenID Connect, which nobody here wrote


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


def test_a_provider_that_we_did_not_write_signs_somebody_in(
    foreign_provider: str, make_app: Callable[..., Flask], sandbox: str
) -> None:
    port = free_port()
    app = make_app(APP_URL=f"http://localhost:{port}")
    app.config["SIGN_IN_PROVIDERS"]["google"]["issuer"] = foreign_provider

    with serving(app, port) as url:
        visitor = Visitor(url, sandbox)
        asked = begin(visitor, "google")
        answer = requests.post(asked, data={"sub": "zoe"}, allow_redirects=False, timeout=10)
        page = visitor.visit(answer.headers["Location"])
        visitor.close()

    assert page.path == "/dashboard", page.text
    assert "zoe@example.com" in page.text

"""Failed sign-ins with a provider, and their error messages."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
import time_machine
from flask import Flask
from saas_sandbox import create_sandbox
from sqlalchemy import update

from saas import database
from saas.auth.models import Identity, Session, User
from saas.database import now
from tests.auth.providers.oauth_flow import (
    assert_refused,
    both_providers,
    choose,
    rows,
    sign_in_with,
    start_sign_in,
)
from tests.harness.servers import serving
from tests.harness.shop import Shop, open_shop
from tests.harness.visitor import Page, Visitor


def assert_nothing_written(shop: Shop) -> None:
    assert rows(shop, Identity) == []
    assert rows(shop, Session) == []
    assert rows(shop, User) == []


@both_providers
@pytest.mark.parametrize(
    ("choice", "status", "words"),
    [
        ({"as": "refuse"}, 403, "You didn't sign in with"),
        ({"as": "error"}, 502, "couldn't sign you in"),
        ({"as": "alan"}, 403, "isn't verified at"),
        ({"as": "emmy"}, 403, "didn't share your email address"),
        ({"as": "ada", "failure": "no_state"}, 400, "wasn't started here"),
        ({"as": "ada", "failure": "token_error"}, 503, "isn't responding"),
        ({"as": "ada", "failure": "token_rubbish"}, 502, "couldn't verify"),
    ],
)
def test_an_error_at_a_provider_is_explained_and_starts_no_session(
    provider: str,
    choice: dict[str, str],
    status: int,
    words: str,
    shop: Shop,
    visitor: Visitor,
) -> None:
    assert_refused(sign_in_with(visitor, provider, **choice), status, words)
    assert_nothing_written(shop)


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
def test_an_invalid_id_token_starts_no_session(failure: str, shop: Shop, visitor: Visitor) -> None:
    page = sign_in_with(visitor, "google", **{"as": "ada", "failure": failure})

    assert_refused(page, 502, "couldn't verify")
    assert_nothing_written(shop)


def test_the_string_true_does_not_verify_an_email(shop: Shop, visitor: Visitor) -> None:
    page = sign_in_with(visitor, "google", **{"as": "ada", "failure": "word_verified"})

    assert_refused(page, 403, "isn't verified at Google")
    assert_nothing_written(shop)


def test_a_missing_github_profile_starts_no_session(shop: Shop, visitor: Visitor) -> None:
    page = sign_in_with(visitor, "github", **{"as": "ada", "failure": "api_error"})

    assert_refused(page, 503, "GitHub isn't responding")
    assert_nothing_written(shop)


@both_providers
def test_a_provider_that_hangs_times_out_within_ten_seconds(
    provider: str, shop: Shop, visitor: Visitor
) -> None:
    back = choose(start_sign_in(visitor, provider), **{"as": "ada", "failure": "token_hang"})

    page = visitor.visit(back)

    assert_refused(page, 503, "isn't responding")
    assert page.response.elapsed < timedelta(seconds=10)
    assert_nothing_written(shop)


def test_a_provider_that_responds_byte_by_byte_times_out_too(
    make_app: Callable[..., Flask],
) -> None:
    """Each read succeeds, but the response never ends."""
    over = threading.Event()

    def dripping(_: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "application/json")])
        while not over.wait(0.2):
            yield b" "

    with serving(dripping) as url:
        try:
            app = make_app(SANDBOX_URL=url)
            with serving(app) as shop_url:
                visitor = Visitor(shop_url)
                visitor.visit("/login")
                page = visitor.submit("/auth/oauth/google")
                visitor.close()
        finally:
            over.set()

    assert_refused(page, 503, "Google isn't responding")
    assert page.response.elapsed < timedelta(seconds=10)


@pytest.mark.parametrize(
    ("path", "nonsense"),
    [("/openid-configuration", {}), ("/oauth2/v3/certs", {"keys": []})],
    ids=["discovery document", "keys"],
)
def test_an_invalid_response_of_a_provider_is_not_cached(
    path: str, nonsense: dict[str, Any], make_app: Callable[..., Flask]
) -> None:
    sandbox_app = create_sandbox()
    answered: list[str] = []

    def stumbling(environ: dict[str, Any], start_response: Any) -> Any:
        if environ["PATH_INFO"].endswith(path) and not answered:
            answered.append(path)
            start_response("200 OK", [("Content-Type", "application/json")])
            return [json.dumps(nonsense).encode()]
        return sandbox_app(environ, start_response)

    with (
        serving(stumbling) as url,
        contextmanager(open_shop)(make_app, url, SANDBOX_URL=url) as shop,
    ):
        visitor = shop.visitor()
        assert_refused(way_in(visitor), 502, "couldn't verify")
        assert answered
        assert way_in(visitor).path == "/dashboard"
    sandbox_app.extensions["sandbox"].close()


def way_in(visitor: Visitor) -> Page:
    """Sign in with Google, and return the last response."""
    visitor.visit("/login")
    page = visitor.submit("/auth/oauth/google", follow=False)
    if page.status != 303:
        return page
    return visitor.visit(choose(page.response.headers["Location"], **{"as": "ada"}))


def test_a_provider_that_is_unreachable_is_explained_at_the_button(
    make_app: Callable[..., Flask],
) -> None:
    app = make_app(SANDBOX_URL="http://localhost:1")

    with serving(app) as url:
        visitor = Visitor(url)
        visitor.visit("/login")
        page = visitor.submit("/auth/oauth/google")
        visitor.close()

    assert_refused(page, 503, "Google isn't responding")


def test_error_texts_of_a_provider_are_never_shown(visitor: Visitor) -> None:
    asked = dict(parse_qsl(urlsplit(start_sign_in(visitor, "google")).query))

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

    assert_refused(page, 502, "couldn't sign you in")
    assert "script>alert" not in page.response.text
    assert "555-0100" not in page.response.text


@pytest.mark.parametrize(
    "query", ["", "?code=x", "?state=x&code=x", "?error=access_denied", "?state=&code=", "?state=é"]
)
def test_a_callback_without_a_started_sign_in_is_refused(
    query: str, shop: Shop, visitor: Visitor
) -> None:
    start_sign_in(visitor, "google")

    page = visitor.visit(f"/auth/oauth/google/callback{query}")

    assert_refused(page, 400, "wasn't started here")
    assert_nothing_written(shop)


def test_a_callback_in_another_browser_starts_no_session(shop: Shop, visitor: Visitor) -> None:
    back = choose(start_sign_in(visitor, "google"), **{"as": "ada"})
    victim = shop.visitor()
    start_sign_in(victim, "google")

    assert_refused(victim.visit(back), 400, "wasn't started here")
    assert_nothing_written(shop)
    assert visitor.visit(back).path == "/dashboard"


def test_the_state_of_one_provider_is_refused_at_another(shop: Shop, visitor: Visitor) -> None:
    back = choose(start_sign_in(visitor, "google"), **{"as": "ada"})

    page = visitor.visit(back.replace("/google/", "/github/"))

    assert_refused(page, 400, "wasn't started here")
    assert_nothing_written(shop)


def test_a_callback_works_once_even_with_a_copied_cookie(shop: Shop, visitor: Visitor) -> None:
    back = choose(start_sign_in(visitor, "google"), **{"as": "ada"})
    copy = shop.visitor()
    copy.browser.cookies.update(visitor.browser.cookies)

    assert visitor.visit(back).path == "/dashboard"
    assert_refused(copy.visit(back), 400, "wasn't started here")
    assert len(rows(shop, Session)) == 1


def test_a_used_authorization_code_is_refused(shop: Shop, visitor: Visitor) -> None:
    used = dict(
        parse_qsl(urlsplit(choose(start_sign_in(visitor, "google"), **{"as": "ada"})).query)
    )
    visitor.visit("/auth/oauth/google/callback?" + urlencode(used))
    other = shop.visitor()
    mine = dict(parse_qsl(urlsplit(choose(start_sign_in(other, "google"), **{"as": "ada"})).query))

    page = other.visit("/auth/oauth/google/callback?" + urlencode(mine | {"code": used["code"]}))

    assert_refused(page, 502, "couldn't verify")


def test_a_sign_in_that_took_longer_than_ten_minutes_starts_again(
    shop: Shop, visitor: Visitor
) -> None:
    back = choose(start_sign_in(visitor, "google"), **{"as": "ada"})

    with time_machine.travel(now() + timedelta(minutes=10, seconds=1), tick=True):
        assert_refused(visitor.visit(back), 400, "wasn't started here")
    assert_nothing_written(shop)


def test_twenty_started_sign_ins_do_not_make_the_cookie_too_large(
    shop: Shop, visitor: Visitor
) -> None:
    expected = "/login?next=/dashboard/settings%3Fa%3D" + "b" * 900
    for _ in range(20):
        newest = start_sign_in(visitor, "google", expected)

    assert len(visitor.cookie) < 1024
    assert visitor.visit(choose(newest, **{"as": "ada"})).path == "/dashboard/settings"


@both_providers
def test_disabled_and_closing_accounts_are_refused_with_the_reason(
    provider: str, shop: Shop, visitor: Visitor
) -> None:
    sign_in_with(visitor, provider, **{"as": "ada"})
    for column, words in (("disabled_at", "is disabled"), ("closing_at", "is being deleted")):
        with shop.app.app_context(), database.write_transaction():
            empty: dict[str, Any] = {"disabled_at": None, "closing_at": None}
            database.execute(update(User).values({**empty, column: now()}))

        assert_refused(sign_in_with(shop.visitor(), provider, **{"as": "ada"}), 403, words)

    assert len(rows(shop, Session)) == 1


def test_a_disabled_account_is_not_linked_by_its_email(shop: Shop, visitor: Visitor) -> None:
    visitor.sign_in("ada@example.com")
    with shop.app.app_context(), database.write_transaction():
        database.execute(update(User).values(disabled_at=now()))

    assert_refused(sign_in_with(shop.visitor(), "google", **{"as": "ada"}), 403, "is disabled")
    assert rows(shop, Identity) == []

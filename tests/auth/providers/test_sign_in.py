"""Sign-in with a provider leads to the user's own account."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
import time_machine
from flask import Flask

from saas import database
from saas.auth import accounts
from saas.auth.models import Identity, Passkey, Session, User
from saas.database import now
from tests.auth.providers.oauth_flow import (
    both_providers,
    identity_of,
    profile,
    rows,
    sign_in_with,
    start_sign_in,
)
from tests.harness.apps import both_databases
from tests.harness.shop import Shop
from tests.harness.visitor import Visitor


@both_databases
@both_providers
def test_the_first_sign_in_creates_the_account_and_the_next_finds_it(
    provider: str, shop: Shop, visitor: Visitor
) -> None:
    assert sign_in_with(visitor, provider, **{"as": "ada"}).path == "/dashboard"
    again = shop.visitor()
    assert sign_in_with(again, provider, **{"as": "ada"}).path == "/dashboard"

    (user,) = rows(shop, User)
    assert user.email == "ada@example.com"
    assert user.verified_at
    identity = identity_of(shop)
    assert identity.issuer == f"{shop.sandbox}/identity/{provider}"
    assert len(rows(shop, Session)) == 2


def test_a_sign_in_returns_to_the_requested_page(visitor: Visitor) -> None:
    page = sign_in_with(
        visitor, "google", "/login?next=/dashboard/settings%3Fa%3Db", **{"as": "ada"}
    )

    assert page.url.endswith("/dashboard/settings?a=b")


def test_a_sign_in_redirects_to_no_other_site(visitor: Visitor) -> None:
    page = sign_in_with(visitor, "google", "/login?next=//evil.example/", **{"as": "ada"})

    assert page.path == "/dashboard"


def test_google_is_asked_with_pkce_nonce_and_our_exact_redirect_uri(
    shop: Shop, visitor: Visitor
) -> None:
    asked = dict(parse_qsl(urlsplit(start_sign_in(visitor, "google")).query))

    assert asked["code_challenge_method"] == "S256"
    assert len(asked["code_challenge"]) == 43
    assert len(asked["state"]) == len(asked["nonce"]) == 43
    assert asked["state"] != asked["nonce"]
    assert asked["redirect_uri"] == f"{shop.url}/auth/oauth/google/callback"
    assert asked["scope"] == "openid email"


def test_the_redirect_uri_is_not_taken_from_the_host_header(shop: Shop, visitor: Visitor) -> None:
    token = visitor.visit("/login").form("/auth/oauth/google").fields["csrf_token"]

    response = visitor.request(
        "POST",
        "/auth/oauth/google",
        data={"csrf_token": token},
        headers={"Host": "evil.example", "Cookie": f"session={visitor.cookie}"},
    )

    assert urlencode({"redirect_uri": f"{shop.url}/auth/"}) in response.headers["Location"]


def test_an_identity_is_found_by_its_id_after_its_email_changed(
    shop: Shop, visitor: Visitor
) -> None:
    sign_in_with(visitor, "google", **profile("old@example.com"))

    sign_in_with(shop.visitor(), "google", **profile("new@example.com", account="old@example.com"))

    (user,) = rows(shop, User)
    assert user.email == "old@example.com"
    assert identity_of(shop).email == "new@example.com"


def test_a_reassigned_email_gives_no_access_to_the_former_owner_s_account(
    shop: Shop, visitor: Visitor
) -> None:
    sign_in_with(visitor, "google", **profile("first@example.com", account="number-one"))
    sign_in_with(shop.visitor(), "google", **profile("moved@example.com", account="number-one"))

    sign_in_with(shop.visitor(), "google", **profile("moved@example.com", account="number-two"))

    users = {user.email: user.id for user in rows(shop, User)}
    owners = {row.subject: row.user_id for row in rows(shop, Identity)}
    assert set(users) == {"first@example.com", "moved@example.com"}
    assert len(set(owners.values())) == 2


@both_providers
def test_a_verified_email_is_linked_to_the_account_that_verified_it_too(
    provider: str, shop: Shop, visitor: Visitor
) -> None:
    visitor.sign_in("ada@example.com")

    sign_in_with(shop.visitor(), provider, **{"as": "ada"})

    (user,) = rows(shop, User)
    assert identity_of(shop).user_id == user.id


def prepare_account(shop: Shop, email: str) -> None:
    """Create an account with an unverified email, and credentials that an attacker added."""
    with shop.app.app_context():
        user = accounts.get_or_create(email)
        with database.write_transaction() as session:
            session.add(
                Session(user_id=user.id, token_hash=b"theirs", expires_at=now() + timedelta(1))
            )
            session.add(
                Identity(
                    user_id=user.id, provider="github", issuer="https://github.example",
                    subject="13", email="eve@evil.example",
                )
            )  # fmt: skip
            session.add(
                Passkey(
                    user_id=user.id, name="Eve", credential_id=b"e", public_key=b"k", sign_count=0
                )
            )


@pytest.mark.parametrize("way", ["google", "github", "mail"])
def test_the_first_verification_revokes_earlier_credentials(
    way: str, shop: Shop, visitor: Visitor
) -> None:
    prepare_account(shop, "ada@example.com")

    if way == "mail":
        visitor.sign_in("ada@example.com")
    else:
        sign_in_with(visitor, way, **{"as": "ada"})

    assert visitor.page.path == "/dashboard"
    (user,) = rows(shop, User)
    assert user.verified_at
    assert [session.token_hash == b"theirs" for session in rows(shop, Session)] == [False]
    assert rows(shop, Passkey) == []
    assert all(identity.subject != "13" for identity in rows(shop, Identity))


def test_the_first_sign_in_with_google_revokes_earlier_magic_links(
    shop: Shop, visitor: Visitor
) -> None:
    """An attacker holds a magic link of an account that was never verified."""
    prepare_account(shop, "ada@example.com")
    visitor.visit("/login")
    visitor.submit("/login", email="ada@example.com")
    link = visitor.link_from_email("ada@example.com")

    sign_in_with(shop.visitor(), "google", **{"as": "ada"})

    assert visitor.visit(link).status == 410


_STRIPE = {
    "STRIPE_API_KEY": "sk_test_1",
    "STRIPE_WEBHOOK_SECRET": "whsec_0123456789abcdefghijklmnopqrstuv",
    "STRIPE_SOLO_MONTHLY_PRICE_ID": "price_1",
    "STRIPE_SOLO_YEARLY_PRICE_ID": "price_2",
    "STRIPE_TEAM_MONTHLY_PRICE_ID": "price_3",
    "STRIPE_TEAM_YEARLY_PRICE_ID": "price_4",
}


def test_a_provider_without_keys_is_not_offered(make_app: Callable[..., Flask]) -> None:
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


def test_started_sign_ins_are_limited_by_ip(visitor: Visitor) -> None:
    statuses = []
    for _ in range(31):
        visitor.visit("/login")
        statuses.append(visitor.submit("/auth/oauth/google", follow=False).status)

    assert statuses == [303] * 30 + [429]


def test_images_on_other_sites_do_not_use_up_a_user_s_limit(visitor: Visitor) -> None:
    for _ in range(100):
        assert visitor.visit("/auth/oauth/google/callback?state=x&code=x").status == 400

    visitor.visit("/login")
    assert visitor.submit("/auth/oauth/google", follow=False).status == 303


ELSEWHERE = {"address": "elsewhere"}


@pytest.mark.parametrize("has_account", [True, False])
def test_an_email_that_google_does_not_host_is_verified_by_email_once(
    has_account: bool, shop: Shop, visitor: Visitor
) -> None:
    if has_account:
        shop.visitor().sign_in("ann@example.com")

    page = sign_in_with(visitor, "google", "/login", **profile("ann@example.com", **ELSEWHERE))
    assert page.path == "/auth/check-inbox"
    assert "Google does not host your mailbox" in page.text
    assert rows(shop, Identity) == []
    link = urlsplit(visitor.link_from_email("ann@example.com")).path
    visitor.visit(link)
    page = visitor.submit(link)

    assert page.path == "/dashboard"
    assert "You can now sign in with Google." in page.text
    again = shop.visitor()
    assert sign_in_with(
        again, "google", "/login", **profile("ann@example.com", **ELSEWHERE)
    ).path == ("/dashboard")


def test_an_unverified_google_identity_is_not_linked_by_an_email_opened_in_another_browser(
    shop: Shop, visitor: Visitor
) -> None:
    """A former owner of the mailbox cannot wait for the new owner's sign-in."""
    sign_in_with(visitor, "google", "/login", **profile("ann@example.com", **ELSEWHERE))

    owner = shop.visitor()
    link = urlsplit(owner.link_from_email("ann@example.com")).path
    owner.visit(link)
    assert owner.submit(link).path == "/dashboard"

    assert rows(shop, Identity) == []
    assert visitor.visit("/dashboard").path == "/login"


def test_an_identity_that_waited_too_long_for_verification_is_not_linked(
    shop: Shop, visitor: Visitor
) -> None:
    sign_in_with(visitor, "google", "/login", **profile("ann@example.com", **ELSEWHERE))

    with time_machine.travel(now() + timedelta(minutes=11), tick=True):
        visitor.sign_in("ann@example.com")

    assert rows(shop, Identity) == []


@pytest.mark.parametrize("email", ["ann@gmail.com", "ann@googlemail.com"])
def test_an_email_that_google_hosts_needs_no_further_verification(
    email: str, shop: Shop, visitor: Visitor
) -> None:
    assert sign_in_with(visitor, "google", "/login", **profile(email)).path == "/dashboard"

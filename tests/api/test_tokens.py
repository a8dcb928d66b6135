"""API tokens: created and revoked in the settings, and their use in requests."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
import requests
import time_machine
from sqlalchemy import select

from saas import database, limits
from saas.auth import accounts, api_tokens, roles
from saas.auth.audit import OPERATOR
from saas.auth.models import ApiToken
from saas.database import db, now
from tests.harness import stripe_account
from tests.harness.apps import both_databases
from tests.harness.shop import Shop
from tests.harness.visitor import Page, Visitor
from tests.harness.waiting import eventually

PAGE = "/dashboard/settings/tokens"


@pytest.fixture
def ann(visitor: Visitor) -> Visitor:
    visitor.sign_in("ann@example.com")
    return visitor


def create(visitor: Visitor, **values: Any) -> Page:
    visitor.visit(PAGE)
    attributes = {"name": "Nightly job", "scopes": "user:read", "expires": "90", **values}
    return visitor.submit(
        PAGE, **{name: value for name, value in attributes.items() if value is not None}
    )


def token_in(page: Page) -> str:
    (token,) = re.findall(r"pat_[0-9a-f]{8}_[A-Za-z0-9_-]{43}", page.response.text)
    return str(token)


def call(shop: Shop, token: str | None, method: str = "GET", path: str = "/api/user") -> Any:
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    return requests.request(method, f"{shop.url}{path}", headers=headers, timeout=30)


def test_a_token_is_shown_once_and_gives_access_to_its_owner_s_data(
    shop: Shop, ann: Visitor
) -> None:
    created = create(ann)
    token = token_in(created)

    assert created.status == 201
    assert call(shop, token).json()["user"]["email"] == "ann@example.com"
    listed = ann.visit(PAGE)
    assert token not in listed.response.text
    assert "Nightly job" in listed.text
    assert f"{token[:12]}…" in listed.text
    assert "read your profile and subscription" in listed.text
    assert "Last used on" in listed.text
    assert token not in ann.request("GET", "/dashboard/settings/export").text


def test_a_new_token_sends_an_email_to_its_owner(ann: Visitor) -> None:
    create(ann, name="Nightly <job>")

    (mail,) = eventually(
        lambda: [
            mail for mail in ann.emails_to("ann@example.com") if "API token" in mail["subject"]
        ]
    )
    assert mail["subject"] == "New API token at Acme"
    assert '"Nightly <job>"' in mail["text"]
    assert "pat_" not in mail["text"] + mail["html"]


def test_a_revoked_token_is_refused_at_once(shop: Shop, ann: Visitor) -> None:
    token = token_in(create(ann))
    assert call(shop, token).status_code == 200
    (form,) = [form for form in ann.visit(PAGE).forms if form.action.endswith("/revoke")]

    ann.submit(form.action)

    assert "was revoked" in ann.page.text
    assert call(shop, token).status_code == 401
    assert "No tokens yet" in ann.page.text


@pytest.mark.parametrize(
    ("authorization", "status", "challenge", "code"),
    [
        (None, 401, 'Bearer realm="{url}"', "unauthorized"),
        ("Basic YTpi", 401, 'Bearer realm="{url}"', "unauthorized"),
        ("Bearer ", 401, 'Bearer realm="{url}"', "unauthorized"),
        ("Bearer nonsense", 401, 'Bearer realm="{url}", error="invalid_token"', "invalid_token"),
        (
            f"Bearer pat_00000000_{'x' * 43}", 401, 'Bearer realm="{url}", error="invalid_token"',
            "invalid_token",
        ),
    ],
)  # fmt: skip
def test_a_request_without_a_valid_token_is_401_with_a_challenge(
    shop: Shop, authorization: str | None, status: int, challenge: str, code: str
) -> None:
    """https://www.rfc-editor.org/rfc/rfc6750#section-3"""
    headers = {"Authorization": authorization} if authorization else {}

    response = requests.get(f"{shop.url}/api/user", headers=headers, timeout=30)

    assert response.status_code == status
    assert response.headers["WWW-Authenticate"] == challenge.format(url=shop.url)
    assert response.json()["error"]["code"] == code


def test_a_token_without_the_scope_gets_403_that_names_it(shop: Shop) -> None:
    with shop.app.app_context():
        _, token = api_tokens.create(
            accounts.get_or_create("ann@example.com"), "x", ["other"], None
        )

    response = call(shop, token)

    assert response.status_code == 403
    assert response.json()["error"]["code"] == "insufficient_scope"
    message = response.headers["WWW-Authenticate"]
    assert message.endswith('error="insufficient_scope", scope="user:read"')


@both_databases
def test_a_token_expires(shop: Shop) -> None:
    with shop.app.app_context():
        ann = accounts.get_or_create("ann@example.com")
        _, token = api_tokens.create(ann, "x", ["user:read"], timedelta(days=30))
        assert api_tokens.find(token)
        with time_machine.travel(now() + timedelta(days=31)):
            assert api_tokens.find(token) is None


def test_a_disabled_account_s_token_is_refused(shop: Shop) -> None:
    with shop.app.app_context():
        ann = accounts.get_or_create("ann@example.com")
        _, token = api_tokens.create(ann, "x", ["user:read"], None)
        roles.disable(ann, by=OPERATOR)

    assert call(shop, token).status_code == 401


def test_a_token_cannot_delete_the_account_or_open_pages(shop: Shop, ann: Visitor) -> None:
    token = token_in(create(ann))

    assert call(shop, token, "DELETE").status_code == 401
    assert "/login" in call(shop, token, path="/dashboard").url


def test_the_first_verification_of_an_email_deletes_earlier_tokens(shop: Shop) -> None:
    """An attacker may have created the account before its owner (pre-hijacking)."""
    with shop.app.app_context():
        prepared = accounts.get_or_create("ann@example.com")
        _, token = api_tokens.create(prepared, "x", ["user:read"], None)

        accounts.get_or_create_verified("ann@example.com")

    assert call(shop, token).status_code == 401


def test_requests_are_limited_for_each_token(shop: Shop, ann: Visitor) -> None:
    token, other = token_in(create(ann)), token_in(create(ann, name="Another"))
    with shop.app.app_context():
        prefix = token[: len("pat_12345678")]
        row = db.session.scalars(select(ApiToken).where(ApiToken.prefix == prefix)).one()
        for _ in range(298):
            limits.API_BY_TOKEN.hit(str(row.id))

    statuses = [call(shop, token).status_code for _ in range(3)]

    assert statuses == [200, 200, 429]
    assert "Retry-After" in call(shop, token).headers
    assert call(shop, other).status_code == 200


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": ""}, "Enter a name for the token."),
        ({"name": "x" * 61}, "Enter at most 60 characters."),
        ({"name": "a\u200b"}, "Use only visible characters."),
        ({"scopes": None}, "Choose at least one scope."),
        ({"scopes": "everything"}, "is not a valid choice"),
        ({"expires": "12345"}, "Not a valid choice"),
    ],
)
def test_a_token_that_cannot_be_created_is_explained(
    ann: Visitor, values: dict[str, str | None], message: str
) -> None:
    page = create(ann, **values)

    assert page.status == 422
    assert message in page.text


def test_creating_a_token_requires_a_recent_sign_in(shop: Shop, ann: Visitor) -> None:
    ann.visit(PAGE)
    with time_machine.travel(now() + timedelta(minutes=11)):
        page = ann.submit(PAGE, name="x", scopes="user:read", expires="90")

    assert page.path == "/auth/confirm"


def test_the_number_of_tokens_is_limited(shop: Shop, ann: Visitor) -> None:
    with shop.app.app_context():
        user = accounts.get_by_email("ann@example.com")
        for number in range(api_tokens.MAX_TOKENS):
            api_tokens.create(user, str(number), ["user:read"], None)

    page = create(ann)

    assert page.status == 409
    assert "You can have 50 tokens. Revoke one first." in page.text


def test_the_database_does_not_contain_the_secret(shop: Shop) -> None:
    with shop.app.app_context():
        ann = accounts.get_or_create("ann@example.com")
        row, token = api_tokens.create(ann, "x", ["user:read"], None)
        stored = db.session.get_one(ApiToken, row.id)

        values = [getattr(stored, column.key) for column in ApiToken.__table__.columns]
        secret = token.removeprefix(f"{row.prefix}_")  # it may contain underscores itself
        assert secret not in repr(values)
        database.release_connection()


def test_a_token_writes_and_lists_within_its_scopes(shop: Shop, ann: Visitor) -> None:
    with shop.app.app_context():
        user = stripe_account.subscriber(shop, "ann@example.com")[0]
        _, reader = api_tokens.create(user, "reader", ["reports:read"], None)
        _, writer = api_tokens.create(user, "writer", ["reports:write"], None)

    def post(token: str, body: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return requests.post(f"{shop.url}/api/reports", json=body, headers=headers, timeout=30)

    assert post(writer, {"title": "First"}).status_code == 201
    assert post(reader, {"title": "Second"}).status_code == 403
    assert post(writer, {"title": ""}).json()["error"]["fields"] == {
        "title": ["Length must be between 1 and 120."]
    }
    assert post(writer, ["no object"]).status_code == 400
    assert call(shop, reader, path="/api/reports").json() == {"reports": [{"title": "First"}]}
    assert call(shop, writer, path="/api/reports").status_code == 403


def test_a_session_cookie_is_not_accepted_as_a_token(shop: Shop, ann: Visitor) -> None:
    """Cookies are ignored there, so other sites cannot use a browser's session."""
    response = ann.request("POST", "/api/reports", json={"title": "First"})

    assert response.status_code == 401


@both_databases
def test_values_that_no_database_stores_are_400(shop: Shop, ann: Visitor) -> None:
    with shop.app.app_context():
        user = stripe_account.subscriber(shop, "ann@example.com")[0]
        _, token = api_tokens.create(user, "x", ["reports:write"], None)
    headers = {"Authorization": f"Bearer {token}"}

    response = requests.post(
        f"{shop.url}/api/reports", json={"title": "a\0b"}, headers=headers, timeout=30
    )

    assert response.status_code == 400

"""Account enumeration, recipients of emails, sessions, and the data of deleted accounts."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from flask_login import encode_cookie
from sqlalchemy import event, inspect, select, table, text, update

from saas import database
from saas.auth import accounts
from saas.auth.models import Identity, User
from saas.database import db, now
from saas.mail import transports
from saas.mail.transports import Email
from tests.harness import stripe_account
from tests.harness.apps import both_databases
from tests.harness.shop import Shop
from tests.harness.visitor import Visitor

# --- enumeration --------------------------------------------------------------------------------


def create_user(app: Flask, email: str, **changes: Any) -> None:
    with app.app_context():
        accounts.get_or_create_verified(email)
        with database.write_transaction():
            database.execute(
                update(User).where(User.email == email).values(**changes or {"name": "N"})
            )


def unverified_with_identity(app: Flask, email: str) -> None:
    """Create a user who has only signed in with a provider."""
    with app.app_context(), database.write_transaction() as session:
        user = accounts.get_or_create(email)
        session.add(
            Identity(
                user_id=user.id,
                provider="google",
                issuer="https://id.example",
                subject=str(uuid.uuid4()),
                email=email,
            )
        )


@both_databases
def test_responses_do_not_reveal_whether_an_email_has_an_account(
    make_app: Callable[..., Flask], tmp_path: object
) -> None:
    """Neither status, headers and the next page, nor the SQL statements of the request."""
    app = make_app(JOBS_URL=f"sqlite:///{tmp_path}/jobs.db")
    create_user(app, "a@example.com")
    create_user(app, "b@example.com", disabled_at=now())
    create_user(app, "c@example.com", closing_at=now())
    create_user(app, "d@example.com", role="admin")
    unverified_with_identity(app, "e@example.com")

    message = {f"{letter}@example.com": observable_behavior(app, letter) for letter in "abcdef"}

    assert len({repr(item) for item in message.values()}) == 1, message


def observable_behavior(app: Flask, letter: str) -> list[object]:
    client = app.test_client()
    email = f"{letter}@example.com"
    page = client.get("/login").text
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
    assert token
    with statements(app) as result:
        response = client.post("/login", data={"email": email, "csrf_token": token[1]})
    inbox = client.get("/auth/check-inbox")
    return [
        response.status_code,
        [name for name, _ in response.headers],
        response.location,
        re.sub("[a-f]@example", "?@example", plain(response.text)),
        re.sub("[a-f]@example", "?@example", plain(inbox.text)),
        result,
    ]


def plain(page: str) -> str:
    """Remove the values that differ on every page."""
    return re.sub(r'value="[^"]{20,}"', "", page)


@contextmanager
def statements(app: Flask) -> Iterator[list[str]]:
    """Collect the SQL statements within the block: the same statements take about the same time."""
    executed: list[str] = []

    def record(_c: object, _cursor: object, statement: str, *_: object) -> None:
        executed.append(statement)

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", record)
    yield executed
    event.remove(engine, "before_cursor_execute", record)


# --- email --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "to",
    [
        "a@v.test,b@evil.test",
        "b@evil.test <a@v.test>",
        "a@v.test\r\nBcc: b@evil.test",
        "=?utf-8?q?b=40evil.test=2c?=@v.test",
        "=?utf-8?q?b=40evil.test=0d=0aBcc:_c=40evil.test?=@v.test",
    ],
)
def test_a_string_with_two_emails_is_refused_by_the_transport_too(
    to: str,
    make_app: Callable[..., Flask],
    smtp_inbox: tuple[Any, str],  # noqa: F811 - a fixture
) -> None:
    """The forms refuse these. This tests the last check alone."""
    box, url = smtp_inbox
    app = make_app(SMTP_URL=url)

    with app.app_context(), pytest.raises(transports.DeliveryFailed):
        transports.send(Email(to, "Hello", "<p>x</p>", "x"), uuid.uuid4())

    assert box.mails == []


def test_a_user_s_name_is_shown_as_text_and_not_as_html(shop: Shop, visitor: Visitor) -> None:
    harm = "<img src=x onerror=1>"
    visitor.sign_in("ann@example.com")
    visitor.visit("/dashboard/settings")

    visitor.submit("/dashboard/settings/name", name=harm)

    for path in ("/dashboard", "/dashboard/settings", "/dashboard/billing"):
        assert harm not in visitor.visit(path).response.text
    assert harm in visitor.request("GET", "/api/user").json()["user"]["name"]


# --- sessions -----------------------------------------------------------------------------------


def test_a_forged_remember_token_starts_no_session(shop: Shop) -> None:
    """Signed with the right key, as by another application that shares it."""
    owner, stranger = shop.visitor(), shop.visitor()
    owner.sign_in("ann@example.com")
    with shop.app.test_request_context():
        user = accounts.get_by_email("ann@example.com")
        tokens = [encode_cookie(item) for item in (user.get_id(), str(user.id))]

    for token in tokens:
        stranger.browser.cookies.set("remember_token", token)
        assert stranger.visit("/dashboard").path == "/login"


def test_a_browser_gets_one_cookie_only(visitor: Visitor) -> None:
    """No `remember_token`, which would outlive a revoked session."""
    visitor.sign_in("ann@example.com")
    visitor.visit("/dashboard")

    assert set(visitor.browser.cookies.get_dict()) == {"session"}


def test_the_spellings_of_an_email_share_one_account(shop: Shop, visitor: Visitor) -> None:
    visitor.sign_in("kate@example.com")

    for spelling in ("KATE@Example.COM", "\N{KELVIN SIGN}ate@example.com", "kate@example．com"):
        other = shop.visitor()
        other.visit("/login")
        other.submit("/login", email=spelling)
        # A character that only looks like ASCII must not reach the other mailbox.
        assert other.page.path == "/auth/check-inbox" or not spelling.isascii(), spelling

    with shop.app.app_context():
        assert [user.email for user in accounts.list_all()] == ["kate@example.com"]


# --- deletion -----------------------------------------------------------------------------------


@both_databases
def test_no_data_of_a_deleted_user_is_left(
    shop: Shop, visitor: Visitor, caplog: pytest.LogCaptureFixture
) -> None:
    stripe_account.subscriber(shop, "zebediah@example.com")
    visitor.sign_in("zebediah@example.com")
    visitor.visit("/dashboard/settings")
    visitor.submit("/dashboard/settings/name", name="Zebediah Quux")
    visitor.visit("/dashboard/settings")
    visitor.submit("/dashboard/settings/email", email="quux@example.com")
    visitor.request("GET", "/dashboard/settings/export")
    visitor.visit("/dashboard/settings")

    visitor.submit("/dashboard/settings/delete", confirmation="zebediah@example.com")

    assert "Your account was deleted" in visitor.page.text
    kept = everything(shop.app)
    for word in ("zebediah", "quux"):
        assert [row for row in kept if word in row.lower()] == []
        assert word not in caplog.text.lower()


def everything(app: Flask) -> list[str]:
    """Return every row of every table, including those without a model, such as the queue's."""
    with app.app_context():
        return [
            f"{name}: {row}"
            for name in inspect(db.engine).get_table_names()
            for row in db.session.execute(select(text("*")).select_from(table(name))).all()
        ]

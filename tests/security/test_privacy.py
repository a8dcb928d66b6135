"""What strangers may not learn, where mail goes, and what is left of somebody who has gone."""

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
from tests.mail.test_transports import smtp_inbox  # noqa: F401 - a fixture

# --- enumeration --------------------------------------------------------------------------------


def known(app: Flask, email: str, **changes: Any) -> None:
    with app.app_context():
        accounts.get_or_create_verified(email)
        with database.write_transaction():
            database.execute(
                update(User).where(User.email == email).values(**changes or {"name": "N"})
            )


def unverified_with_identity(app: Flask, email: str) -> None:
    """Whoever only ever came by a provider."""
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
def test_nothing_in_an_answer_tells_whether_somebody_has_an_account(
    make_app: Callable[..., Flask], tmp_path: object
) -> None:
    """Not the status, the headers, the page after it, nor what is done for it meanwhile."""
    app = make_app(JOBS_URL=f"sqlite:///{tmp_path}/jobs.db")
    known(app, "a@example.com")
    known(app, "b@example.com", disabled_at=now())
    known(app, "c@example.com", closing_at=now())
    known(app, "d@example.com", role="admin")
    unverified_with_identity(app, "e@example.com")

    message = {f"{letter}@example.com": all_that_is_told(app, letter) for letter in "abcdef"}

    assert len({repr(item) for item in message.values()}) == 1, message


def all_that_is_told(app: Flask, letter: str) -> list[object]:
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
    """Without what is new in every page."""
    return re.sub(r'value="[^"]{20,}"', "", page)


@contextmanager
def statements(app: Flask) -> Iterator[list[str]]:
    """The statements that the database is asked for within this: as many take as long."""
    heard: list[str] = []

    def hear(_c: object, _cursor: object, statement: str, *_: object) -> None:
        heard.append(statement)

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", hear)
    yield heard
    event.remove(engine, "before_cursor_execute", hear)


# --- mail ---------------------------------------------------------------------------------------


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
def test_an_address_that_is_two_reaches_nobody_else_even_if_it_got_so_far(
    to: str,
    make_app: Callable[..., Flask],
    smtp_inbox: tuple[Any, str],  # noqa: F811 - a fixture
) -> None:
    """The forms refuse these; here the last wall is tried alone."""
    box, url = smtp_inbox
    app = make_app(SMTP_URL=url)

    with app.app_context(), pytest.raises(transports.DeliveryFailed):
        transports.send(Email(to, "Hello", "<p>x</p>", "x"), uuid.uuid4())

    assert box.mails == []


def test_what_somebody_calls_themselves_is_words_and_no_page(shop: Shop, visitor: Visitor) -> None:
    harm = "<img src=x onerror=1>"
    visitor.sign_in("ann@example.com")
    visitor.visit("/dashboard/settings")

    visitor.submit("/dashboard/settings/name", name=harm)

    for path in ("/dashboard", "/dashboard/settings", "/dashboard/billing"):
        assert harm not in visitor.visit(path).response.text
    assert harm in visitor.request("GET", "/api/user").json()["user"]["name"]


# --- sessions -----------------------------------------------------------------------------------


def test_a_remember_token_that_was_never_issued_signs_nobody_in(shop: Shop) -> None:
    """Signed by the right key, as another application that shares it might do."""
    owner, stranger = shop.visitor(), shop.visitor()
    owner.sign_in("ann@example.com")
    with shop.app.test_request_context():
        user = accounts.get_by_email("ann@example.com")
        tokens = [encode_cookie(item) for item in (user.get_id(), str(user.id))]

    for token in tokens:
        stranger.browser.cookies.set("remember_token", token)
        assert stranger.visit("/dashboard").path == "/login"


def test_one_cookie_is_all_that_a_browser_gets(visitor: Visitor) -> None:
    """No `remember_token` beside it, which would outlive a session that was ended."""
    visitor.sign_in("ann@example.com")
    visitor.visit("/dashboard")

    assert set(visitor.browser.cookies.get_dict()) == {"session"}


def test_the_spellings_of_an_address_are_one_account(shop: Shop, visitor: Visitor) -> None:
    visitor.sign_in("kate@example.com")

    for spelling in ("KATE@Example.COM", "\N{KELVIN SIGN}ate@example.com", "kate@example．com"):
        other = shop.visitor()
        other.visit("/login")
        other.submit("/login", email=spelling)
        # A sign that merely looks like one of ours is refused, not turned into another mailbox.
        assert other.page.path == "/auth/check-inbox" or not spelling.isascii(), spelling

    with shop.app.app_context():
        assert [user.email for user in accounts.list_all()] == ["kate@example.com"]


# --- deletion -----------------------------------------------------------------------------------


@both_databases
def test_of_somebody_who_has_gone_no_word_is_left(
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
    """Every row of every table that there is, the queue's and others that no model knows too."""
    with app.app_context():
        return [
            f"{name}: {row}"
            for name in inspect(db.engine).get_table_names()
            for row in db.session.execute(select(text("*")).select_from(table(name))).all()
        ]

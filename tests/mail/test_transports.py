"""Mail leaves by SMTP or by Resend's API; what is not accepted is tried again, as the same mail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
import time_machine
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from flask import Flask
from pytest_httpserver import HTTPServer
from sqlalchemy import select

from saas.auth import links
from saas.database import db, now
from saas.mail import outbox
from saas.mail.models import OutboxMessage
from tests.conftest import free_port


class Postbox:
    """What an SMTP server was handed, and whether it accepts anything."""

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], EmailMessage]] = []
        self.refuses = False

    async def handle_DATA(self, _server: Any, session: Any, envelope: Any) -> str:
        if not session.authenticated:
            return "530 sign in first"
        if self.refuses:
            return "451 try again later"
        mail = message_from_bytes(envelope.content, policy=policy.default)
        self.mails.append((envelope.rcpt_tos, mail))  # type: ignore[arg-type]
        return "250 accepted"


@pytest.fixture
def postbox() -> Iterator[tuple[Postbox, str]]:
    box = Postbox()

    def authenticate(_server: Any, _s: Any, _e: Any, _m: Any, data: Any) -> AuthResult:
        return AuthResult(success=data.login == b"me" and data.password == b"p@ss")

    server = Controller(
        box,
        hostname="127.0.0.1",
        port=free_port(),
        authenticator=authenticate,
        auth_require_tls=False,
    )
    server.start()
    yield box, f"smtp://me:p%40ss@127.0.0.1:{server.port}"
    server.stop()


def promised(app: Flask) -> list[OutboxMessage]:
    with app.app_context():
        return list(db.session.scalars(select(OutboxMessage)))


def test_smtp_gets_one_recipient_and_both_parts(
    make_app: Callable[..., Flask], postbox: tuple[Postbox, str]
) -> None:
    box, url = postbox
    app = make_app(SMTP_URL=url, EMAIL_FROM="Plinth <hello@plinth.example>")

    with app.app_context():
        links.send("ann@example.com", "/dashboard")

    ((recipients, mail),) = box.mails
    assert recipients == ["ann@example.com"]
    assert mail["From"] == "Plinth <hello@plinth.example>"
    assert mail["Message-ID"].endswith("@plinth.example>")
    text = mail.get_body(("plain",))
    html = mail.get_body(("html",))
    assert text
    assert html
    assert "/auth/link/" in text.get_content()
    assert "/auth/link/" in html.get_content()


def test_a_mail_that_was_refused_is_tried_again_as_the_same_mail(
    make_app: Callable[..., Flask], postbox: tuple[Postbox, str]
) -> None:
    box, url = postbox
    app = make_app(SMTP_URL=url)
    box.refuses = True
    with app.app_context():
        links.send("ann@example.com", "/dashboard")
    (message,) = promised(app)
    assert message.handed_over_at is None
    assert message.last_error == "SMTPDataError"

    box.refuses = False
    with app.app_context():
        outbox.flush()
        assert box.mails == []  # not due yet
        with time_machine.travel(now() + timedelta(minutes=1)):
            outbox.flush()
            outbox.flush()

    ((_, mail),) = box.mails
    assert str(message.id) in mail["Message-ID"]
    assert promised(app)[0].handed_over_at is not None


def test_a_server_that_is_away_fails_no_request_and_loses_no_mail(
    make_app: Callable[..., Flask],
) -> None:
    app = make_app(SMTP_URL=f"smtp://127.0.0.1:{free_port()}")

    with app.app_context():
        links.send("ann@example.com", "/dashboard")

    (message,) = promised(app)
    assert message.is_waiting
    assert message.last_error == "ConnectionRefusedError"


def test_a_mail_that_has_lost_its_sense_is_not_sent(
    make_app: Callable[..., Flask], postbox: tuple[Postbox, str]
) -> None:
    box, url = postbox
    app = make_app(SMTP_URL=url)
    box.refuses = True
    with app.app_context():
        links.send("ann@example.com", "/dashboard")
        box.refuses = False
        with time_machine.travel(now() + timedelta(minutes=11)):  # the link is over
            outbox.flush()

    assert box.mails == []
    assert not promised(app)[0].is_waiting


def test_resend_is_asked_as_its_documentation_says(
    make_app: Callable[..., Flask], httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    httpserver.expect_request("/resend/emails", method="POST").respond_with_json({"id": "1"})
    app = make_app(SANDBOX_URL=httpserver.url_for("").rstrip("/"))

    with app.app_context():
        links.send("ann@example.com", "/dashboard")

    ((request, _),) = httpserver.log
    body = request.json
    assert body["to"] == ["ann@example.com"]
    assert body["subject"] == "Sign in to Plinth"
    assert set(body) == {"from", "to", "subject", "html", "text", "headers"}
    assert request.headers["Authorization"].startswith("Bearer re_")
    assert request.headers["Idempotency-Key"] in body["headers"]["Message-ID"]


def test_no_address_and_no_token_stays_behind_in_the_outbox(
    make_app: Callable[..., Flask], postbox: tuple[Postbox, str]
) -> None:
    _, url = postbox
    app = make_app(SMTP_URL=url)

    with app.app_context():
        links.send("ann@example.com", "/dashboard")

    (message,) = promised(app)
    assert "ann" not in str(vars(message))


def test_a_promise_repeated_is_one_mail(app: Flask) -> None:
    from saas import database, mail

    subject = database.uuid7()
    with app.app_context():
        for _ in range(2):
            with database.writing():
                mail.promise("sign_in", subject, key="once")
        assert len(promised(app)) == 1
        with pytest.raises(ValueError, match="no letter"), database.writing():
            mail.promise("unheard_of", subject)

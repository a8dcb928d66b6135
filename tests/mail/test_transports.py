"""Emails are sent by SMTP or Resend's API. Delivery of the same email is retried until accepted."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import time_machine
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from flask import Flask
from pytest_httpserver import HTTPServer
from sqlalchemy import select

from saas.auth import magic_links
from saas.database import db, now
from saas.mail import outbox
from saas.mail.models import OutboxMessage
from tests.harness.servers import free_port
from tests.harness.smtp import SMTPInbox


def outbox_messages(app: Flask) -> list[OutboxMessage]:
    with app.app_context():
        return list(db.session.scalars(select(OutboxMessage)))


def test_smtp_emails_have_one_recipient_and_both_parts(
    make_app: Callable[..., Flask], smtp_inbox: tuple[SMTPInbox, str]
) -> None:
    box, url = smtp_inbox
    app = make_app(SMTP_URL=url, EMAIL_FROM="Acme <hello@acme.example>")

    with app.app_context():
        magic_links.send("ann@example.com", "/dashboard")

    ((recipients, mail),) = box.mails
    assert recipients == ["ann@example.com"]
    assert mail["From"] == "Acme <hello@acme.example>"
    assert mail["Message-ID"].endswith("@acme.example>")
    assert mail["Auto-Submitted"] == "auto-generated"
    text = mail.get_body(("plain",))
    html = mail.get_body(("html",))
    assert text
    assert html
    assert "/auth/link/" in text.get_content()
    assert "/auth/link/" in html.get_content()


def test_an_smtp_password_may_contain_non_ascii_characters(
    make_app: Callable[..., Flask], smtp_inbox: tuple[SMTPInbox, str]
) -> None:
    box, url = smtp_inbox
    app = make_app(SMTP_URL=url.replace("p%40ss", quote("pä ss→")))

    with app.app_context():
        magic_links.send("ann@example.com", "/dashboard")
    assert len(box.mails) == 1

    app = make_app(SMTP_URL=url.replace("p%40ss", quote("wröng")))
    with app.app_context():
        magic_links.send("bob@example.com", "/dashboard")
    assert str(outbox_messages(app)[-1].last_error).startswith("SMTPAuthenticationError: ")


def test_a_refused_email_is_retried_as_the_same_email(
    make_app: Callable[..., Flask], smtp_inbox: tuple[SMTPInbox, str]
) -> None:
    box, url = smtp_inbox
    app = make_app(SMTP_URL=url)
    box.refuses = True
    with app.app_context():
        magic_links.send("ann@example.com", "/dashboard")
    (message,) = outbox_messages(app)
    assert message.handed_over_at is None
    assert str(message.last_error).startswith("SMTPDataError: the mail server returned 451")

    box.refuses = False
    with app.app_context():
        outbox.flush()
        assert box.mails == []  # not due yet
        with time_machine.travel(now() + timedelta(minutes=1)):
            outbox.flush()
            outbox.flush()

    ((_, mail),) = box.mails
    assert str(message.id) in mail["Message-ID"]
    assert outbox_messages(app)[0].handed_over_at is not None


def test_an_unreachable_mail_server_fails_no_request_and_loses_no_email(
    make_app: Callable[..., Flask],
) -> None:
    app = make_app(SMTP_URL=f"smtp://127.0.0.1:{free_port()}")

    with app.app_context():
        magic_links.send("ann@example.com", "/dashboard")

    (message,) = outbox_messages(app)
    assert message.is_waiting
    assert message.last_error == "ConnectionRefusedError: Connection refused"


def test_an_outdated_email_is_not_sent(
    make_app: Callable[..., Flask], smtp_inbox: tuple[SMTPInbox, str]
) -> None:
    box, url = smtp_inbox
    app = make_app(SMTP_URL=url)
    box.refuses = True
    with app.app_context():
        magic_links.send("ann@example.com", "/dashboard")
        box.refuses = False
        with time_machine.travel(now() + timedelta(minutes=11)):  # the link has expired
            outbox.flush()

    assert box.mails == []
    assert not outbox_messages(app)[0].is_waiting


def test_requests_to_resend_follow_its_documentation(
    make_app: Callable[..., Flask], httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    httpserver.expect_request("/resend/emails", method="POST").respond_with_json({"id": "1"})
    app = make_app(SANDBOX_URL=httpserver.url_for("").rstrip("/"))

    with app.app_context():
        magic_links.send("ann@example.com", "/dashboard")

    ((request, _),) = httpserver.log
    body = request.json
    assert body["to"] == ["ann@example.com"]
    assert body["subject"] == "Sign in to Acme"
    assert set(body) == {"from", "to", "subject", "html", "text", "headers"}
    assert request.headers["Authorization"].startswith("Bearer re_")
    assert request.headers["Idempotency-Key"] in body["headers"]["Message-ID"]
    assert body["headers"]["Auto-Submitted"] == "auto-generated"


def test_the_outbox_stores_no_email_and_no_token_after_delivery(
    make_app: Callable[..., Flask], smtp_inbox: tuple[SMTPInbox, str]
) -> None:
    _, url = smtp_inbox
    app = make_app(SMTP_URL=url)

    with app.app_context():
        magic_links.send("ann@example.com", "/dashboard")

    (message,) = outbox_messages(app)
    assert "ann" not in str(vars(message))


def test_an_email_enqueued_twice_is_sent_once(app: Flask) -> None:
    from saas import database, mail

    subject = database.uuid7()
    with app.app_context():
        for _ in range(2):
            with database.write_transaction():
                mail.enqueue("sign_in", subject, key="once")
        assert len(outbox_messages(app)) == 1
        with pytest.raises(ValueError, match="no email"), database.write_transaction():
            mail.enqueue("unheard_of", subject)


@contextmanager
def scripted_server(*lines: bytes, then_waits: bool = False) -> Iterator[int]:
    """Serve these lines, one in reply to each received line, then disconnect or hang."""
    listener = socket.create_server(("127.0.0.1", 0))
    event = threading.Event()

    def serve() -> None:
        with suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                for line in lines:
                    connection.sendall(line)
                    connection.recv(4096)
                if then_waits:
                    event.wait(20)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        event.set()
        listener.close()
        thread.join()


@pytest.mark.parametrize(
    ("lines", "then_waits", "text"),
    [
        ((), True, "TimeoutError: timed out"),  # sends nothing
        ((b"220 here\r\n",), True, "TimeoutError: timed out"),  # stops in the middle
        ((b"220 here\r\n", b"250 ok\r\n"), False, "SMTPServerDisconnected"),  # hangs up
        ((b"554 not today\r\n",), False, "SMTPConnectError"),
        ((b"220 here\r\n", b"250 ok\r\n", b"550 no such sender\r\n"), False, "SMTP"),
    ],
)
def test_a_mail_server_that_hangs_or_disconnects_loses_no_email(
    lines: tuple[bytes, ...], then_waits: bool, text: str, make_app: Callable[..., Flask]
) -> None:
    with scripted_server(*lines, then_waits=then_waits) as port:
        app = make_app(SMTP_URL=f"smtp://127.0.0.1:{port}")
        app.config["MAIL_TIMEOUT"] = 0.3
        with app.app_context():
            magic_links.send("ann@example.com", "/dashboard")

    (message,) = outbox_messages(app)
    assert message.is_waiting
    assert str(message.last_error).startswith(text)


def test_a_mail_server_that_disconnects_after_accepting_gets_the_email_once(
    make_app: Callable[..., Flask],
) -> None:
    polite = (b"220 here\r\n", b"250 ok\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go on\r\n")
    with scripted_server(*polite, b"250 taken\r\n", b"500 what?\r\n") as port:
        app = make_app(SMTP_URL=f"smtp://127.0.0.1:{port}")
        with app.app_context():
            magic_links.send("ann@example.com", "/dashboard")

    assert outbox_messages(app)[0].handed_over_at


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Return an untrusted certificate for 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    created = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now() - timedelta(days=1))
        .not_valid_after(now() + timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path / "server.pem"
    path.write_bytes(created.public_bytes(pem) + private)
    return path


@pytest.mark.parametrize("scheme", ["smtp+starttls", "smtps"])
@pytest.mark.parametrize("is_trusted", [True, False])
def test_the_password_is_sent_only_to_a_server_with_a_trusted_certificate(
    scheme: str,
    is_trusted: bool,
    make_app: Callable[..., Flask],
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    box, asked = SMTPInbox(), []

    def authenticate(_server: Any, _s: Any, _e: Any, _m: Any, data: Any) -> AuthResult:
        asked.append(data.login)
        return AuthResult(success=data.password == b"p@ss")

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    wrap = {"ssl_context": context} if scheme == "smtps" else {"tls_context": context}
    server = Controller(
        box, hostname="127.0.0.1", port=free_port(), authenticator=authenticate,
        auth_require_tls=scheme != "smtps", **wrap,
    )  # fmt: skip
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    server.start()
    try:
        app = make_app(SMTP_URL=f"{scheme}://me:p%40ss@127.0.0.1:{server.port}")
        with app.app_context():
            magic_links.send("ann@example.com", "/dashboard")
    finally:
        server.stop()

    (message,) = outbox_messages(app)
    if is_trusted:
        assert len(box.mails) == 1
        assert message.handed_over_at
    else:
        assert (asked, box.mails) == ([], [])
        assert (message.last_error or "").startswith("SSLCertVerificationError: ")
        assert "certificate" in (message.last_error or "")


@pytest.mark.parametrize("status", [401, 422, 429, 500])
def test_an_email_refused_by_resend_is_retried_with_the_same_idempotency_key(
    status: int, make_app: Callable[..., Flask], httpserver: HTTPServer
) -> None:
    refuse = httpserver.expect_ordered_request("/resend/emails", method="POST")
    body = {"name": "x", "message": "hello@acme.example is not verified"}
    refuse.respond_with_json(body, status=status)
    accept = httpserver.expect_ordered_request("/resend/emails", method="POST")
    accept.respond_with_json({"id": "1"})
    app = make_app(SANDBOX_URL=httpserver.url_for("").rstrip("/"))

    with app.app_context():
        magic_links.send("ann@example.com", "/dashboard")
        (message,) = outbox_messages(app)
        text = f"DeliveryFailed: the mail service returned {status}: … is not verified"
        assert (message.last_error, message.handed_over_at) == (text, None)
        with time_machine.travel(now() + timedelta(minutes=1)):
            outbox.flush()

    first, second = (request for request, _ in httpserver.log)
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]
    assert first.json == second.json
    assert outbox_messages(app)[0].handed_over_at


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (302, "", "returned 302: FOUND"),
        (304, "", "returned 304: NOT MODIFIED"),
        (200, "<h1>Sign in to the Wi-Fi</h1>", "returned 200 without an id"),
        (200, "[]", "returned 200 without an id"),
        (200, "{}", "returned 200 without an id"),
    ],
)
def test_an_email_counts_as_sent_only_if_the_response_contains_its_id(
    status: int, body: str, reason: str, make_app: Callable[..., Flask], httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/resend/emails").respond_with_data(
        body, status=status, headers={"Location": "/welcome"}
    )
    httpserver.expect_request("/welcome").respond_with_json({"id": "not a mail"})
    app = make_app(SANDBOX_URL=httpserver.url_for("").rstrip("/"))

    with app.app_context():
        magic_links.send("ann@example.com", "/dashboard")

    (message,) = outbox_messages(app)
    assert message.is_waiting
    assert message.last_error == f"DeliveryFailed: the mail service {reason}"


def test_an_unknown_mail_server_name_is_logged(make_app: Callable[..., Flask]) -> None:
    app = make_app(SMTP_URL="smtp://mail.invalid")

    with app.app_context():
        magic_links.send("ann@example.com", "/dashboard")

    (message,) = outbox_messages(app)
    assert (message.last_error or "").startswith("gaierror: ")
    assert len(message.last_error or "") > len("gaierror: ")


def test_a_mail_server_without_authentication_is_logged(make_app: Callable[..., Flask]) -> None:
    with scripted_server(b"220 here\r\n", b"250 hello\r\n", b"221 bye\r\n") as port:
        app = make_app(SMTP_URL=f"smtp://me:secret@127.0.0.1:{port}")
        with app.app_context():
            magic_links.send("ann@example.com", "/dashboard")

    (message,) = outbox_messages(app)
    assert (message.last_error or "").startswith("SMTPNotSupportedError: SMTP AUTH extension")
    assert "secret" not in (message.last_error or "")


def test_an_email_that_resend_already_has_under_its_key_counts_as_delivered(
    make_app: Callable[..., Flask], httpserver: HTTPServer
) -> None:
    """The response to the first attempt was lost, and the text has changed since."""
    httpserver.expect_request("/resend/emails").respond_with_json(
        {"name": "invalid_idempotent_request", "message": "used with another body"}, status=409
    )
    app = make_app(SANDBOX_URL=httpserver.url_for("").rstrip("/"))

    with app.app_context():
        magic_links.send("ann@example.com", "/dashboard")

    assert outbox_messages(app)[0].handed_over_at


def test_a_mail_service_that_hangs_loses_no_email(make_app: Callable[..., Flask]) -> None:
    with scripted_server(then_waits=True) as port:
        app = make_app(SANDBOX_URL=f"http://127.0.0.1:{port}")
        app.config["MAIL_TIMEOUT"] = 0.3
        with app.app_context():
            magic_links.send("ann@example.com", "/dashboard")

    (message,) = outbox_messages(app)
    assert message.is_waiting
    assert message.last_error == "TimeoutError: timed out"

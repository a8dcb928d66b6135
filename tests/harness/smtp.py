"""A real SMTP server that keeps what it accepts."""

from __future__ import annotations

from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from tests.harness.servers import free_port


class SMTPInbox:
    """An SMTP server that keeps the emails it accepts, and can refuse them."""

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], EmailMessage]] = []
        self.refuses = False
        self.passwords = ("p@ss", "pä ss→")

    async def handle_DATA(self, _server: Any, session: Any, envelope: Any) -> str:
        if not session.authenticated:
            return "530 sign in first"
        if self.refuses:
            return "451 try again later"
        mail = message_from_bytes(envelope.content, policy=policy.default)
        self.mails.append((envelope.rcpt_tos, mail))  # type: ignore[arg-type]  # by the policy
        return "250 accepted"


@pytest.fixture
def smtp_inbox() -> Iterator[tuple[SMTPInbox, str]]:
    box = SMTPInbox()

    def authenticate(_server: Any, _s: Any, _e: Any, _m: Any, data: Any) -> AuthResult:
        is_known = data.login == b"me" and data.password.decode() in box.passwords
        return AuthResult(success=is_known, handled=False)

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

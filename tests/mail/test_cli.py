"""`flask mail` delivers waiting emails, and previews every email without sending it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from flask import Flask
from sqlalchemy import func, select

from saas import database, mail
from saas.auth import accounts, identities, magic_links
from saas.database import db, now
from saas.mail import outbox
from saas.mail.models import OutboxMessage
from tests.harness.servers import free_port


def test_every_email_has_a_preview(app: Flask, runner: Any, tmp_path: Path) -> None:
    listed = runner.invoke(args=["mail", "preview"]).output
    kinds = [line.split()[0] for line in listed.splitlines()]
    assert set(outbox.kinds()) <= set(kinds)

    for kind in kinds:
        file = tmp_path / f"{kind}.html"
        written = runner.invoke(args=["mail", "preview", kind, "--out", str(file)])
        text = runner.invoke(args=["mail", "preview", kind, "--text"]).output
        assert written.output == f"Wrote {file}.\n"
        html = file.read_text()
        [picture] = re.findall(r"<img[^>]*>", html)
        assert f'src="{app.config["APP_URL"]}/static/icons/logo.png' in picture
        assert 'alt=""' in picture  # the name is beside it, and images may be off
        assert "http" not in html.partition("<body")[0]  # nothing is loaded
        assert "<" not in text
        assert app.config["APP_NAME"] in text
    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(OutboxMessage)) == 0


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["nope"], 1, "Unknown kind 'nope'. Kinds: account_closed,"),
        (["--text"], 2, "Missing KIND."),
        (["welcome", "--out", "/no/such/folder/x.html"], 1, "cannot be written: No such file"),
    ],
)
def test_preview_explains_wrong_arguments(
    args: list[str], code: int, message: str, runner: Any
) -> None:
    result = runner.invoke(args=["mail", "preview", *args])

    assert result.exit_code == code
    assert message in result.output


def test_flush_delivers_due_emails_and_reports_how_many(make_app: Callable[..., Flask]) -> None:
    away = make_app(SMTP_URL=f"smtp://127.0.0.1:{free_port()}")
    with away.app_context():
        magic_links.send("ann@example.com", "/dashboard")
        magic_links.send("ben@example.com", "/dashboard")
    app = make_app()
    later = now() + timedelta(minutes=5)

    early = app.test_cli_runner().invoke(args=["mail", "flush"])
    with time_machine.travel(later, tick=True):
        failed = away.test_cli_runner().invoke(args=["mail", "flush"])
        assert "2 failed. 2 waiting for another attempt." in failed.output
    with time_machine.travel(later + timedelta(minutes=2), tick=True):
        result = app.test_cli_runner().invoke(args=["mail", "flush"])

    assert (early.exit_code, early.output) == (0, "0 sent. 2 waiting for another attempt.\n")
    assert failed.exit_code == 1
    assert (result.exit_code, result.output) == (0, "2 sent.\n")


def test_failed_emails_are_delivered_after_the_mail_server_recovers(
    make_app: Callable[..., Flask],
) -> None:
    away = make_app(SMTP_URL=f"smtp://127.0.0.1:{free_port()}")
    with away.app_context():
        user = accounts.get_or_create("ann@example.com")
        with database.write_transaction():
            identities.notify_owner(user, "google", "added")
            mail.enqueue(
                "account_closed",
                database.uuid7(),
                context={"was_customer": False},
                to="b@example.com",
            )
        for days in range(outbox.GIVE_UP_AFTER):
            with time_machine.travel(now() + timedelta(days=days + 1)):
                outbox.flush()
        assert outbox.count_pending() == 0

    app = make_app().test_cli_runner()
    as_ever = app.invoke(args=["mail", "flush"])
    revived = app.invoke(args=["mail", "flush", "--given-up"])
    again = app.invoke(args=["mail", "flush", "--given-up"])

    assert as_ever.output == "0 sent.\n"
    # A deleted user's email was deleted when delivery was given up.
    assert revived.output == "1 sent. 1 skipped, because they no longer apply.\n"
    assert again.output == "0 sent.\n"

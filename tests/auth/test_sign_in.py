"""Sign-in by email. The first sign-in creates the account."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from threading import Barrier
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import requests
import time_machine
from flask import Flask
from sqlalchemy import func, select

from saas.auth import accounts, magic_links
from saas.auth.models import Session, SignInLink, User
from saas.database import db, now
from saas.mail.models import OutboxMessage
from tests.harness.apps import both_databases
from tests.harness.shop import Shop
from tests.harness.visitor import Visitor


def users(shop: Shop) -> list[User]:
    with shop.app.app_context():
        return list(db.session.scalars(select(User)))


def test_the_button_of_the_first_sign_in_creates_the_account(shop: Shop, visitor: Visitor) -> None:
    visitor.visit("/login")
    visitor.submit("/login", email="  Ann@Example.COM ")
    assert users(shop) == []

    link = visitor.link_from_email("ann@example.com")
    visitor.visit(link)
    assert "ann@example.com" in visitor.page.text
    assert users(shop) == []

    visitor.submit(urlsplit(link).path)
    assert visitor.page.path == "/dashboard"
    assert [user.email for user in users(shop)] == ["ann@example.com"]


def test_opening_the_link_changes_nothing(shop: Shop, visitor: Visitor) -> None:
    visitor.visit("/login")
    visitor.submit("/login", email="ann@example.com")
    link = visitor.link_from_email("ann@example.com")

    for method in ("GET", "HEAD", "GET"):  # mail scanners do this before the user does
        assert requests.request(method, link, timeout=10).status_code == 200

    visitor.visit(link)
    assert visitor.submit(urlsplit(link).path).path == "/dashboard"


def test_links_in_emails_ignore_the_host_header(shop: Shop, visitor: Visitor) -> None:
    page = visitor.visit("/login")
    token = page.form("/login").fields["csrf_token"]

    visitor.request(
        "POST",
        "/login",
        data={"email": "ann@example.com", "csrf_token": token},
        headers={"Host": "evil.example", "Cookie": f"session={visitor.cookie}"},
    )

    assert visitor.link_from_email("ann@example.com").startswith(f"{shop.url}/auth/link/")


def test_the_email_has_text_and_html_and_one_recipient(shop: Shop, visitor: Visitor) -> None:
    visitor.visit("/login")
    visitor.submit("/login", email="ann@example.com")
    link = visitor.link_from_email("ann@example.com")

    (mail,) = visitor.emails_to("ann@example.com")
    assert mail["subject"] == "Sign in to Acme"
    assert link in mail["text"]
    assert link in mail["html"]
    assert "10 minutes" in mail["text"]


def test_a_sign_in_returns_to_the_chosen_plan(visitor: Visitor) -> None:
    visitor.visit("/pricing?interval=yearly")
    expected = quote("plan=solo&interval=yearly")
    chosen = next(link for link in visitor.page.links if expected in link)

    page = visitor.sign_in("ann@example.com", start=chosen)

    assert page.path == "/pricing"
    assert "plan=solo" in page.url
    assert "interval=yearly" in page.url
    assert page.form("/billing/checkout", plan="solo", interval="yearly")


def test_a_signed_in_user_is_not_asked_to_sign_in_again(visitor: Visitor) -> None:
    visitor.sign_in("ann@example.com")

    assert visitor.visit("/login").path == "/dashboard"
    assert visitor.visit("/login?next=/pricing").path == "/pricing"


def test_a_very_long_next_url_is_dropped_before_a_link_is_used(visitor: Visitor) -> None:
    page = visitor.sign_in("ann@example.com", start="/login?next=/pricing?a=" + "a" * 3000)

    assert page.path == "/dashboard"


def test_signing_out_ends_the_session_for_a_copied_cookie_too(visitor: Visitor, shop: Shop) -> None:
    visitor.sign_in("ann@example.com")
    copied = visitor.cookie

    visitor.visit("/dashboard")
    page = visitor.submit("/logout")

    assert page.path == "/"
    assert "signed out" in page.text
    response = requests.get(f"{shop.url}/api/user", cookies={"session": copied}, timeout=10)
    assert response.status_code == 401


def test_a_sign_in_starts_a_new_session_without_data_of_the_old_one(
    visitor: Visitor, shop: Shop
) -> None:
    visitor.visit("/login")
    before = visitor.cookie
    visitor.sign_in("ann@example.com")

    assert visitor.cookie != before
    with shop.app.app_context():
        (row,) = db.session.scalars(select(Session))
        assert len(row.token_hash) == 32
        assert row.user_agent.startswith("python-requests")


def test_a_session_expires_after_a_month_without_use(shop: Shop, visitor: Visitor) -> None:
    visitor.sign_in("ann@example.com")

    with time_machine.travel(now() + timedelta(days=29)):
        assert visitor.visit("/dashboard").path == "/dashboard"
    with time_machine.travel(now() + timedelta(days=29 + 31)):
        assert visitor.visit("/dashboard").path == "/login"


def test_a_session_expires_after_ninety_days_of_use(shop: Shop, visitor: Visitor) -> None:
    visitor.sign_in("ann@example.com")

    start = now()
    for days in (20, 40, 60, 80):
        with time_machine.travel(start + timedelta(days=days)):
            assert visitor.visit("/dashboard").path == "/dashboard"
    with time_machine.travel(start + timedelta(days=91)):
        assert visitor.visit("/dashboard").path == "/login"


def test_a_disabled_user_gets_no_email_and_no_hint(shop: Shop, visitor: Visitor) -> None:
    with shop.app.app_context():
        user = accounts.get_or_create("ann@example.com")
        from saas import database

        with database.write_transaction():
            database.execute(User.__table__.update().values(disabled_at=now()))  # type: ignore[attr-defined]
        assert user

    visitor.visit("/login")
    page = visitor.submit("/login", email="ann@example.com")

    assert page.path == "/auth/check-inbox"
    assert visitor.emails_to("ann@example.com") == []


@both_databases
def test_fifty_concurrent_uses_of_a_link_start_one_session(
    make_app: Callable[..., Flask], shop: Shop
) -> None:
    with shop.app.app_context():
        magic_links.send("ann@example.com", "/dashboard")
        token = magic_links.token_for(db.session.scalars(select(SignInLink.id)).one())

    with ThreadPoolExecutor(10) as pool:
        responses = list(pool.map(partial(redeem, shop), [token] * 50))

    assert sorted(responses) == ["ann@example.com"] + ["used"] * 49
    assert len(users(shop)) == 1


def redeem(shop: Shop, token: str) -> str:
    """Use a link, and return the signed-in email or the error."""
    emails: list[str] = []
    with shop.app.app_context():
        try:
            magic_links.redeem(token, lambda user: emails.append(user.email))
        except magic_links.InvalidLink as error:
            return error.reason
    return emails[0]


@both_databases
def test_concurrent_uses_of_two_links_of_a_user_do_not_deadlock(
    make_app: Callable[..., Flask], shop: Shop
) -> None:
    """One signs in, and no request waits for the other forever."""
    for number in range(5):
        email = f"ann{number}@example.com"
        with shop.app.app_context():
            for browser in ("hers", "her phone's"):
                magic_links.send(email, "/dashboard", f"{browser} {number}")
            ids = db.session.scalars(select(SignInLink.id).where(SignInLink.email == email)).all()
            tokens = [magic_links.token_for(item) for item in ids]
        with ThreadPoolExecutor(2) as pool:
            responses = list(pool.map(partial(redeem, shop), tokens))
        assert sorted(responses) == [email, "used"]


@both_databases
def test_of_two_emails_that_a_browser_requests_at_once_one_works(
    make_app: Callable[..., Flask], shop: Shop
) -> None:
    together = Barrier(2)

    def ask(_: int) -> None:
        with shop.app.app_context():
            together.wait()
            magic_links.send("ann@example.com", "/dashboard", "a browser")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(ask, range(2)))

    with shop.app.app_context():
        ids = db.session.scalars(select(SignInLink.id).order_by(SignInLink.id))
        older, newer = (magic_links.token_for(item) for item in ids)
    assert [redeem(shop, older), redeem(shop, newer)] == ["replaced", "ann@example.com"]


def test_a_link_stays_usable_when_its_session_cannot_start(shop: Shop) -> None:
    """Both are one transaction, so revoking all sessions comes before or after it."""
    with shop.app.app_context():
        magic_links.send("ann@example.com", "/dashboard")
        token = magic_links.token_for(db.session.scalars(select(SignInLink.id)).one())

        def fail(_: User) -> None:
            raise RuntimeError("the power went out")

        with pytest.raises(RuntimeError):
            magic_links.redeem(token, fail)

    assert redeem(shop, token) == "ann@example.com"


@pytest.mark.parametrize("path", ["/login", "/register"])
def test_sign_up_and_sign_in_send_the_same_email(path: str, visitor: Visitor) -> None:
    visitor.visit(path)

    page = visitor.submit(path, email="ann@example.com")

    assert page.path == "/auth/check-inbox"
    assert visitor.link_from_email("ann@example.com")


@both_databases
def test_expired_links_are_deleted(shop: Shop, visitor: Visitor) -> None:
    visitor.sign_in("ann@example.com")

    with shop.app.app_context():
        magic_links.delete_expired_links()
        assert (count(SignInLink), count(OutboxMessage)) == (1, 1)  # a late click reads "used"
        with time_machine.travel(now() + timedelta(days=2)):
            magic_links.delete_expired_links()
        assert (count(SignInLink), count(OutboxMessage)) == (0, 0)


def count(model: Any) -> int:
    return db.session.scalar(select(func.count()).select_from(model)) or 0

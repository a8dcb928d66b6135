"""Invalid and hostile input to the sign-in gets a clear response."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlsplit

import pytest
import time_machine
from sqlalchemy import select

from saas.auth import accounts
from saas.auth.models import SignInLink
from saas.database import db, now
from saas.limits import RateLimit
from tests.harness.shop import Shop
from tests.harness.visitor import Page, Visitor


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("", "Enter your email address."),
        ("   ", "Enter your email address."),
        ("ann", "Enter a valid email address"),
        ("ann@", "Enter a valid email address"),
        ("ann@example", "Enter a valid email address"),
        ("ann@example.com,eve@evil.example", "one email address only"),
        ("ann@example.com; eve@evil.example", "one email address only"),
        ("eve@evil.example <ann@example.com>", "one email address only"),
        ("ann@example.com\r\nBcc: eve@evil.example", "one email address only"),
        ("ann@exam\nple.com", "Enter a valid email address"),
        ("ann\u0000@example.com", "Enter a valid email address"),
        ("a" * 300 + "@example.com", "at most 254 characters"),
        ("änn@example.com", "Enter a valid email address"),
        ("=?utf-8?q?eve=40evil.example=2c?=@example.com", "Enter a valid email address"),
    ],
)
def test_an_invalid_email_is_explained_and_nothing_is_sent(
    typed: str, message: str, visitor: Visitor, shop: Shop
) -> None:
    visitor.visit("/login")

    page = visitor.submit("/login", email=typed)

    assert page.status == 422
    assert message in page.text
    assert page.form("/login")
    with shop.app.app_context():
        assert db.session.scalars(select(SignInLink)).all() == []


@pytest.mark.parametrize(
    "typed",
    [
        "ann@example．com",
        "Ann@EXAMPLE.com",
        "ann@example.com ",
        "ann@example.com\u200b",
        "\ufeffann@example.com\xa0",
        "a\u00adnn@exam\u200bple.com\u2069",
        "ann@example.com\x00",
        "\x07ann@example.com\u3164",
        "ａｎｎ＠ｅｘａｍｐｌｅ．ｃｏｍ",
        "ann＠example。com",
    ],
)
def test_the_spellings_of_an_email_lead_to_one_account(typed: str, visitor: Visitor) -> None:
    visitor.visit("/login")

    visitor.submit("/login", email=typed)

    assert visitor.link_from_email("ann@example.com")


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example",
        "////evil.example",
        "\x19////evil.example",
        "http:evil.example",
        "https:/evil.example",
        "/\\evil.example",
        "\\/evil.example",
        "/dashboard\r\nSet-Cookie: a=b",
        "javascript:alert(1)",
        "/nowhere",
        "/logout",
        " /dashboard",
        "/dashboard?" + 400 * '"',  # a header of three times as much
    ],
)
def test_a_sign_in_does_not_redirect_to_other_sites(
    target: str, visitor: Visitor, shop: Shop
) -> None:
    visitor.visit("/login")
    visitor.submit("/login", email="ann@example.com", next=target)
    link = visitor.link_from_email("ann@example.com")
    visitor.visit(link)

    visitor.submit(urlsplit(link).path, follow=False)

    assert visitor.page.response.headers["Location"] == "/dashboard"
    response = visitor.request("GET", "/login", params={"next": target})
    assert response.headers["Location"] == "/dashboard"


def _fresh_link(visitor: Visitor) -> str:
    visitor.visit("/login")
    visitor.submit("/login", email="ann@example.com")
    return visitor.link_from_email("ann@example.com")


def test_a_link_works_once(visitor: Visitor, shop: Shop) -> None:
    link = _fresh_link(visitor)
    visitor.visit(link)
    visitor.submit(urlsplit(link).path)

    page = shop.visitor().visit(link)

    assert page.status == 410
    assert page.form("/auth/resend")


def test_using_a_link_revokes_the_other_links_of_the_email(visitor: Visitor, shop: Shop) -> None:
    first = _fresh_link(visitor)
    other = shop.visitor()
    other.visit("/login")
    other.submit("/login", email="ann@example.com")
    second = other.emails_to("ann@example.com")[0]["links"]
    visitor.visit(first)
    visitor.submit(urlsplit(first).path)

    for link in second:
        if "/auth/link/" in link:
            assert other.visit(link).status == 410


def test_a_link_expires_after_ten_minutes(visitor: Visitor) -> None:
    link = _fresh_link(visitor)

    with time_machine.travel(now() + timedelta(minutes=11)):
        page = visitor.visit(link)

    assert page.status == 410
    assert page.form("/auth/resend")


@pytest.mark.parametrize("mangle", [
    lambda token: token[:-2] + ("A" if token[-2] != "A" else "B") + token[-1],
    lambda token: token[:-5],
    lambda token: token[:20],
    lambda token: token + "A",
    lambda token: "A" * len(token),
    lambda token: "%00",
    lambda token: "ä",
    lambda token: "a" * 5000,
])  # fmt: skip
def test_a_modified_token_starts_no_session(mangle: object, visitor: Visitor) -> None:
    link = _fresh_link(visitor)
    path = urlsplit(link).path
    token = path.rsplit("/", 1)[1]
    bad = path.replace(token, mangle(token))  # type: ignore[operator]
    visitor.visit(link)
    csrf = visitor.page.form(path).fields["csrf_token"]

    assert visitor.request("GET", bad).status_code == 404
    assert visitor.request("POST", bad, data={"csrf_token": csrf}).status_code == 404
    assert visitor.request("GET", "/api/user").status_code == 401


@pytest.mark.parametrize("local_only", ["me@localhost", "dev@app.local", "a@b.test", "a@b.invalid"])
def test_emails_at_local_domains_are_accepted_in_development_only(
    local_only: str, visitor: Visitor, shop: Shop
) -> None:
    visitor.sign_in(local_only)
    assert visitor.request("GET", "/api/user").json()["user"]["email"] == local_only

    with shop.app.app_context():
        shop.app.config["SAAS_ENV"] = "production"
        with pytest.raises(ValueError, match="."):
            accounts.clean_email(local_only)


def ask(shop: Shop, email: str) -> Page:
    """Request an email in a new browser, and return the text of the page."""
    stranger = shop.visitor()
    stranger.visit("/login")
    return stranger.submit("/login", email=email)


def test_repeated_requests_for_an_email_are_limited_and_explained(shop: Shop) -> None:
    for _ in range(5):
        assert ask(shop, "ann@example.com").status == 200

    page = ask(shop, "Ann@Example.com")

    assert page.status == 429
    assert int(page.response.headers["Retry-After"]) > 0
    assert "Too many requests" in page.text
    assert "Emails that were sent already still work" in page.text


@pytest.mark.parametrize("domain", ["example.com", "gmail.com"])
def test_other_spellings_of_an_email_lock_no_user_out(domain: str, shop: Shop) -> None:
    for spelling in ("j.anedoe", "ja.nedoe", "janedoe+x", "janedoe+y", "jan.e.doe", "janed.oe"):
        assert ask(shop, f"{spelling}@{domain}").status == 200

    assert ask(shop, f"janedoe@{domain}").status == 200


def test_strangers_cannot_lock_out_a_user_with_a_session_or_an_email(
    visitor: Visitor, shop: Shop
) -> None:
    visitor.visit("/login")
    visitor.submit("/login", email="ann@example.com")
    mailed = urlsplit(visitor.link_from_email("ann@example.com")).path
    while ask(shop, "ann@example.com").status != 429:
        pass

    later = now() + timedelta(minutes=11)
    with time_machine.travel(later, tick=True):  # the link has expired, and its page sends another
        visitor.visit(mailed)
        assert visitor.submit("/auth/resend").path == "/auth/check-inbox"
        newest = urlsplit(visitor.link_from_email("ann@example.com")).path
        visitor.visit(newest)
        assert visitor.submit(newest).path == "/dashboard"
    with time_machine.travel(later + timedelta(minutes=11), tick=True):
        visitor.visit("/auth/confirm?next=/dashboard/settings")
        assert visitor.submit("/auth/confirm").path == "/auth/check-inbox"


def test_email_change_requests_do_not_use_up_the_owner_s_sign_in_emails(
    visitor: Visitor, shop: Shop
) -> None:
    visitor.sign_in("eve@example.com")
    asked = []
    for _ in range(6):
        visitor.visit("/dashboard/settings")
        page = visitor.submit("/dashboard/settings/email", email="ann@example.com")
        asked.append(page.status)

    assert asked == [200] * 5 + [429]
    assert ask(shop, "ann@example.com").status == 200


def test_a_mailbox_gets_a_limited_number_of_emails_a_day(shop: Shop) -> None:
    statuses: list[int] = []
    for quarter in range(8):
        with time_machine.travel(now() + timedelta(minutes=16 * quarter)):
            statuses += [ask(shop, "ann@example.com").status for _ in range(5)]

    assert statuses == [200] * 30 + [429] * 10


def test_the_counters_store_no_email(visitor: Visitor, shop: Shop) -> None:
    visitor.visit("/login")
    visitor.submit("/login", email="ann@example.com")

    with shop.app.app_context():
        keys = db.session.scalars(select(RateLimit.key)).all()
    assert len(keys) == 4
    assert "ann" not in str(keys)
    assert "127.0.0.1" not in str(keys)


def test_a_forged_forwarded_ip_does_not_evade_the_limits(visitor: Visitor) -> None:
    visitor.visit("/login")
    token = visitor.page.form("/login").fields["csrf_token"]
    statuses = [
        visitor.request(
            "POST",
            "/login",
            data={"email": f"a{number}@example.com", "csrf_token": token},
            headers={"X-Forwarded-For": f"10.0.0.{number}"},
        ).status_code
        for number in range(32)
    ]

    assert statuses[-1] == 429


def test_the_response_is_the_same_for_known_and_unknown_emails(
    visitor: Visitor, shop: Shop
) -> None:
    visitor.sign_in("known@example.com")
    responses = []
    for email in ("known@example.com", "unknown@example.com"):
        stranger = shop.visitor()
        stranger.visit("/login")
        stranger.submit("/login", email=email, follow=False)
        response = stranger.page.response
        headers = {
            name: value
            for name, value in response.headers.items()
            if name not in ("Date", "Set-Cookie", "X-Request-Id") and "RateLimit" not in name
        }
        responses.append((response.status_code, headers, response.text))

    assert responses[0] == responses[1]

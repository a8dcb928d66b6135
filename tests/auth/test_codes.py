"""Sign-in with the six-digit code of the email, and requests for another email."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
import time_machine
from flask import Flask

from saas.auth import magic_links
from saas.database import now
from tests.harness.apps import both_databases
from tests.harness.mailbox import code_in_mail, wrong
from tests.harness.shop import Shop
from tests.harness.visitor import Page, Visitor


def ask(visitor: Visitor, email: str = "ann@example.com", start: str = "/login") -> str:
    """Request an email, and return its code."""
    visitor.visit(start)
    visitor.submit("/login", email=email)
    assert visitor.page.path == "/auth/check-inbox"
    visitor.link_from_email(email)  # once it has arrived
    return code_in_mail(visitor, email)


def type_code(visitor: Visitor, code: str) -> Page:
    return visitor.submit("/auth/code", code=code)


FULL_WIDTH = str.maketrans("0123456789", "０１２３４５６７８９")
ARABIC = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")


@pytest.mark.parametrize("alphabet", [FULL_WIDTH, ARABIC])
def test_a_code_is_accepted_in_the_digits_of_any_script(
    alphabet: dict[int, int], visitor: Visitor
) -> None:
    code = ask(visitor)

    assert type_code(visitor, code.translate(alphabet)).path == "/dashboard"


@pytest.mark.parametrize(
    "spelled",
    [
        "{}{}",
        "{} {}",
        " {}-{} ",
        "{}\u2013{}",
        "\ufeff{}\xa0{}\u200b",
        "{}ー{}",
        "{}\u2212{}",
        "{}\u3164{}\ufe0f\u20e3",
    ],
)
def test_the_code_signs_in_the_browser_that_requested_it(visitor: Visitor, spelled: str) -> None:
    code = ask(visitor)

    page = type_code(visitor, spelled.format(code[:3], code[3:]))

    assert page.path == "/dashboard"


def test_a_code_returns_to_the_requested_page(visitor: Visitor) -> None:
    code = ask(visitor, start="/login?next=/dashboard/settings")

    assert type_code(visitor, code).path == "/dashboard/settings"


def test_a_code_does_not_work_in_another_browser(shop: Shop, visitor: Visitor) -> None:
    code = ask(visitor)
    thief = shop.visitor()
    ask(thief)  # requests an email for Ann too, which only Ann can read

    page = type_code(thief, code)

    assert page.status == 422
    assert "not the code in the newest email" in page.text
    assert type_code(visitor, code).path == "/dashboard"


def test_a_browser_without_a_requested_email_is_redirected_to_the_form(
    shop: Shop, visitor: Visitor
) -> None:
    ask(visitor)
    other = shop.visitor()
    token = other.visit("/login").form("/login").fields["csrf_token"]

    response = other.request("POST", "/auth/code", data={"code": "123456", "csrf_token": token})

    assert response.headers["Location"] == "/login"
    assert "code works only where it was requested" in other.visit("/login").text


def test_five_wrong_codes_revoke_the_code_and_not_the_link(visitor: Visitor) -> None:
    code = ask(visitor)

    for left in ("4 more times", "3 more times", "2 more times", "1 more time.", "no longer works"):
        page = type_code(visitor, wrong(code))
        assert (page.status, left in page.text) == (422, True), page.text

    page = type_code(visitor, code)
    assert page.status == 422
    assert "Too many attempts" in page.text
    link = visitor.link_from_email("ann@example.com")
    visitor.visit(link)
    assert visitor.submit(urlsplit(link).path).path == "/dashboard"


@both_databases
def test_twenty_concurrent_guesses_count_as_five(shop: Shop, visitor: Visitor) -> None:
    code = ask(visitor)
    form = visitor.page.form("/auth/code")

    def guess(_: int) -> str:
        response = visitor.request(
            "POST",
            "/auth/code",
            data={"code": wrong(code), "csrf_token": form.fields["csrf_token"]},
        )
        return "tried" if "not the code" in response.text else "refused"

    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(guess, range(20)))

    assert responses.count("tried") == 5


def test_wrong_codes_for_an_email_are_limited_per_day_and_links_still_work(
    shop: Shop, visitor: Visitor
) -> None:
    """A stranger enters wrong codes. Guesses at an expired code are not counted."""
    stranger = shop.visitor()
    guessed = [wrong(ask(stranger))] * 12
    for code in guessed:
        type_code(stranger, code)
    assert type_code(visitor, ask(visitor)).path == "/dashboard"
    visitor.submit("/logout")
    with time_machine.travel(now() + timedelta(minutes=16)):
        for _ in range(3):
            again = wrong(ask(stranger))
            for _ in range(5):
                type_code(stranger, again)

        page = type_code(visitor, ask(visitor))

        assert page.status == 422
        assert "The link in the email still works" in page.text
        link = visitor.link_from_email("ann@example.com")
        visitor.visit(link)
        assert visitor.submit(urlsplit(link).path).path == "/dashboard"


def test_an_email_beyond_the_limit_is_not_announced(shop: Shop, visitor: Visitor) -> None:
    ask(visitor)
    for again in range(1, 4):  # three more in fifteen minutes are enough for a browser
        with time_machine.travel(now() + timedelta(seconds=31 * again)):
            visitor.visit("/auth/check-inbox")
            assert "We sent another email" in visitor.submit("/auth/resend").text
    with time_machine.travel(now() + timedelta(seconds=31 * 4)):
        visitor.visit("/auth/check-inbox")
        page = visitor.submit("/auth/resend")

        assert page.status == 429
        assert "Emails that were sent already still work" in page.text
        assert "We sent another email" not in visitor.visit("/auth/check-inbox").text


def test_a_code_expires_after_ten_minutes(visitor: Visitor) -> None:
    code = ask(visitor)

    with time_machine.travel(now() + timedelta(minutes=11)):
        assert "expired" in type_code(visitor, code).text
        assert "The email has expired" in visitor.visit("/auth/check-inbox").text


def test_a_code_and_its_link_work_only_once_between_them(shop: Shop, visitor: Visitor) -> None:
    code = ask(visitor)
    link = visitor.link_from_email("ann@example.com")
    type_code(visitor, code)

    assert shop.visitor().visit(link).status == 410


@pytest.mark.parametrize(
    "typed", ["", "12345", "1234567", "abcdef", "１２３４５", "12 34", "12.34.56"]
)
def test_a_malformed_code_is_explained_and_not_counted(visitor: Visitor, typed: str) -> None:
    code = ask(visitor)

    for _ in range(6):
        assert "Enter the six digits" in type_code(visitor, typed).text

    assert type_code(visitor, code).path == "/dashboard"


def test_another_email_replaces_the_first_one_after_a_visible_wait(visitor: Visitor) -> None:
    first = ask(visitor)
    old_link = visitor.link_from_email("ann@example.com")
    assert "another email in 30 seconds" in visitor.page.text
    assert "You can request another email in" in visitor.submit("/auth/resend").text
    assert len(visitor.emails_to("ann@example.com")) == 1

    with time_machine.travel(now() + timedelta(seconds=31)):
        page = visitor.submit("/auth/resend")

        assert "We sent another email" in page.text
        assert len(visitor.emails_to("ann@example.com")) == 2
        assert "There is a newer email" in visitor.visit(old_link).text
        visitor.visit("/auth/check-inbox")
        assert type_code(visitor, first).status == 422
        assert type_code(visitor, code_in_mail(visitor)).path == "/dashboard"


def test_requests_of_a_stranger_do_not_revoke_a_user_s_email(shop: Shop, visitor: Visitor) -> None:
    code = ask(visitor)
    annoying = shop.visitor()
    for _ in range(3):
        annoying.visit("/login")
        annoying.submit("/login", email="ann@example.com")

    assert type_code(visitor, code).path == "/dashboard"


def test_using_one_email_revokes_all_others_of_the_user(shop: Shop, visitor: Visitor) -> None:
    code = ask(visitor)
    other = shop.visitor()
    ask(other)
    link = visitor.link_from_email("ann@example.com")

    other.visit(link)
    other.submit(urlsplit(link).path)

    page = type_code(visitor, code)
    assert page.path == "/login"
    assert "That email was already used" in page.text


def test_the_page_of_an_expired_link_has_a_button_for_another_email(
    shop: Shop, visitor: Visitor
) -> None:
    ask(visitor, start="/login?next=/dashboard/settings")
    link = visitor.link_from_email("ann@example.com")
    elsewhere = shop.visitor()

    with time_machine.travel(now() + timedelta(minutes=11)):
        elsewhere.visit(link)
        page = elsewhere.submit("/auth/resend")

        assert page.path == "/auth/check-inbox"
        assert "ann@example.com" in page.text
        assert type_code(elsewhere, code_in_mail(elsewhere)).path == "/dashboard/settings"


def test_a_link_replaces_a_session_only_after_confirmation(shop: Shop, visitor: Visitor) -> None:
    visitor.sign_in("bob@example.com")
    ask(shop.visitor())
    link = visitor.link_from_email("ann@example.com")

    page = visitor.visit(link)
    assert "You're signed in as bob@example.com" in page.text
    assert visitor.visit("/dashboard").path == "/dashboard"
    visitor.visit(link)
    page = visitor.submit(urlsplit(link).path)

    assert page.path == "/dashboard"
    assert "ann@example.com" in visitor.visit("/dashboard/settings").text


def test_a_link_page_opened_before_a_sign_in_does_not_replace_the_session(
    shop: Shop, visitor: Visitor
) -> None:
    ask(shop.visitor())
    link = visitor.link_from_email("ann@example.com")
    visitor.sign_in("bob@example.com")
    token = visitor.visit(link).form(urlsplit(link).path).fields["csrf_token"]

    response = visitor.request("POST", link, data={"csrf_token": token})

    assert response.status_code == 409
    assert "bob@example.com" in visitor.visit("/dashboard/settings").text


def test_a_code_from_before_the_secret_key_was_changed_still_works(
    make_app: Callable[..., Flask],
) -> None:
    before = make_app(SECRET_KEY="the-old-secret-of-more-than-32-characters")
    after = make_app(SECRET_KEY_FALLBACKS="the-old-secret-of-more-than-32-characters")
    with before.app_context():
        magic_links.send("ann@example.com", "/dashboard", "a browser")
        asked = magic_links.latest_for_browser("a browser")
        assert asked
        code = magic_links.code_for(asked.id)

    with after.app_context():
        came: list[str] = []
        magic_links.redeem_code("a browser", code, lambda user: came.append(user.email))
        assert came == ["ann@example.com"]


def test_a_code_replaces_a_session_only_after_confirmation(visitor: Visitor) -> None:
    visitor.sign_in("bob@example.com")
    token = visitor.visit("/dashboard/settings").form("/logout").fields["csrf_token"]
    ask_link = visitor_link_for_ann(visitor)
    visitor.request("POST", "/auth/resend", data={"csrf_token": token, "token": ask_link})

    response = visitor.request(
        "POST", "/auth/code", data={"csrf_token": token, "code": code_in_mail(visitor)}
    )

    assert response.headers["Location"] == "/dashboard"
    assert "bob@example.com" in visitor.visit("/dashboard/settings").text


def visitor_link_for_ann(bob: Visitor) -> str:
    """Return the token in an email to Ann, requested in another browser."""
    ann = Visitor(bob.base, bob.sandbox)
    ask(ann)
    ann.close()
    return bob.link_from_email("ann@example.com").rpartition("/")[2]

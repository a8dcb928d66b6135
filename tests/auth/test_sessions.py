"""The list of a user's sessions, and signing out one of them or all others."""

from __future__ import annotations

import uuid

import pytest

from saas.auth import devices
from tests.harness.shop import Shop
from tests.harness.visitor import Visitor

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/19.0 Mobile/15E148 Safari/604.1"
)
EDGE = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0"
)


def browser(shop: Shop, user_agent: str, email: str = "ann@example.com") -> Visitor:
    browser = shop.visitor()
    browser.browser.headers["User-Agent"] = user_agent
    browser.sign_in(email)
    return browser


def revoke_paths(visitor: Visitor) -> list[str]:
    page = visitor.visit("/dashboard/settings")
    return [form.action for form in page.forms if form.action.endswith("/revoke")]


def test_the_settings_list_every_browser_and_say_which_is_this_one(shop: Shop) -> None:
    browser(shop, IPHONE)
    here = browser(shop, FIREFOX)

    page = here.visit("/dashboard/settings")

    assert "Firefox on Linux This device" in page.text
    assert "Safari on iPhone Last seen" in page.text


def test_one_browser_is_signed_out_from_another(shop: Shop) -> None:
    phone, here = browser(shop, IPHONE), browser(shop, FIREFOX)
    (path,) = revoke_paths(here)

    page = here.submit(path)

    assert "That browser was signed out" in page.text
    assert phone.visit("/dashboard").path == "/login"
    assert here.visit("/dashboard").path == "/dashboard"


def test_all_others_are_signed_out_at_once(shop: Shop) -> None:
    others = [browser(shop, IPHONE), browser(shop, EDGE)]
    here = browser(shop, FIREFOX)
    here.visit("/dashboard/settings")

    page = here.submit("/dashboard/settings/sessions/revoke-others")

    assert "2 other browsers were signed out" in page.text
    assert [other.visit("/dashboard").path for other in others] == ["/login", "/login"]
    assert here.visit("/dashboard").path == "/dashboard"


def test_a_user_cannot_end_another_user_s_session(shop: Shop) -> None:
    bob = browser(shop, IPHONE, "bob@example.com")
    browser(shop, EDGE, "bob@example.com")
    (path,) = revoke_paths(bob)
    ann = browser(shop, FIREFOX)
    token = ann.visit("/dashboard/settings").form("/logout").fields["csrf_token"]

    for target in (path, f"/dashboard/settings/sessions/{uuid.uuid4()}/revoke"):
        assert ann.request("POST", target, data={"csrf_token": token}).status_code == 404

    assert len(revoke_paths(bob)) == 1


@pytest.mark.parametrize(
    ("user_agent", "words"),
    [
        (FIREFOX, "Firefox on Linux"),
        (IPHONE, "Safari on iPhone"),
        (EDGE, "Edge on Windows"),
        ("curl/8.5.0", "curl"),
        ("", "Unknown browser"),
        ("<script>alert(1)</script>", "<script>alert(1)<"),
    ],
)
def test_browsers_have_their_usual_names(user_agent: str, words: str) -> None:
    assert devices.describe(user_agent) == words

"""Irreversible actions require a sign-in within the last ten minutes."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import quote, urlsplit

import pytest
import time_machine

from saas.database import now
from tests.harness.mailbox import code_in_mail
from tests.harness.shop import Shop
from tests.harness.visitor import Visitor

LATER = timedelta(minutes=11)


@pytest.fixture
def ann(visitor: Visitor) -> Visitor:
    visitor.sign_in("ann@example.com")
    return visitor


def test_deleting_right_after_signing_in_needs_no_confirmation(ann: Visitor) -> None:
    ann.visit("/dashboard/settings")

    page = ann.submit("/dashboard/settings/delete", confirmation="ann@example.com")

    assert "Your account was deleted" in page.text


def test_deleting_later_requires_confirmation_and_returns_to_the_page(ann: Visitor) -> None:
    with time_machine.travel(now() + LATER):
        ann.visit("/dashboard/settings")
        page = ann.submit("/dashboard/settings/delete", confirmation="ann@example.com")
        assert page.path == "/auth/confirm"
        assert "Nothing has changed yet" in page.text

        ann.submit("/auth/confirm")
        before = ann.cookie
        page = ann.submit("/auth/code", code=code_in_mail(ann))
        assert page.path == "/dashboard/settings"
        assert ann.cookie != before  # a new session
        page = ann.submit("/dashboard/settings/delete", confirmation="ann@example.com")

    assert "Your account was deleted" in page.text


def test_who_does_not_confirm_goes_back_to_the_page_that_asked(shop: Shop, ann: Visitor) -> None:
    user = f"/admin/users/{shop.user('ann@example.com').id}"
    for came_from, back in (
        (f"{shop.url}{user}", user),
        (f"{shop.url}/auth/confirm", "/dashboard"),  # the page was reloaded
        ("https://evil.example/dashboard/settings", "/dashboard"),
        ("", "/dashboard"),
    ):
        with time_machine.travel(now() + LATER):
            page = ann.request(
                "GET", "/auth/confirm?next=/dashboard", headers={"Referer": came_from}
            )
        assert f'href="{back}">Go back' in page.text, came_from


def test_the_link_confirms_as_well(ann: Visitor) -> None:
    with time_machine.travel(now() + LATER):
        ann.visit("/auth/confirm?next=/dashboard/settings")
        ann.submit("/auth/confirm")
        link = ann.link_from_email("ann@example.com")
        ann.visit(link)

        assert ann.submit(urlsplit(link).path).path == "/dashboard/settings"
        assert ann.visit("/auth/confirm").path == "/dashboard"  # nothing to confirm


def test_the_email_goes_to_the_signed_in_user_whatever_the_form_contains(ann: Visitor) -> None:
    with time_machine.travel(now() + LATER):
        token = ann.visit("/auth/confirm").form("/auth/confirm").fields["csrf_token"]
        ann.request("POST", "/auth/confirm", data={"csrf_token": token, "email": "eve@example.com"})

    assert ann.emails_to("eve@example.com") == []


def test_an_api_request_without_a_recent_sign_in_is_refused(ann: Visitor) -> None:
    with time_machine.travel(now() + LATER):
        token = ann.visit("/dashboard/settings").form("/logout").fields["csrf_token"]
        response = ann.request("DELETE", "/api/user", headers={"X-CSRFToken": token})

    assert response.status_code == 403
    assert response.json()["error"]["code"] == "sign_in_again"


@pytest.mark.parametrize("target", ["//evil.com", "https://evil.com/", "/no-such-page"])
def test_confirmation_redirects_only_to_pages_of_the_application(ann: Visitor, target: str) -> None:
    assert ann.visit(f"/auth/confirm?next={quote(target)}").path == "/dashboard"


def test_a_signed_out_visitor_is_redirected_to_the_sign_in(shop: Shop, visitor: Visitor) -> None:
    assert visitor.visit("/auth/confirm").path == "/login"

"""Adding and removing a provider in the settings."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from saas import database
from saas.auth.models import Identity, Session, User
from saas.database import db, now
from saas.mail.models import OutboxMessage
from tests.auth.providers.oauth_flow import (
    assert_refused,
    choose,
    identity_of,
    profile,
    rows,
    sign_in_with,
    start_sign_in,
)
from tests.harness.shop import Shop
from tests.harness.visitor import Page, Visitor
from tests.harness.waiting import eventually


def test_a_provider_is_linked_used_and_unlinked(shop: Shop, visitor: Visitor) -> None:
    visitor.sign_in("ann@example.com")
    visitor.visit("/dashboard/settings")
    visitor.submit("/dashboard/settings/identities/github/link", follow=False)
    page = visitor.visit(choose(visitor.page.response.headers["Location"], **{"as": "alan"}))
    assert page.path == "/dashboard/settings"
    assert "You can now sign in with GitHub" in page.text

    other = shop.visitor()
    assert sign_in_with(other, "github", **{"as": "alan"}).path == "/dashboard"
    assert [user.email for user in rows(shop, User)] == ["ann@example.com"]

    path = f"/dashboard/settings/identities/{identity_of(shop).id}/unlink"
    other.visit("/dashboard/settings")
    assert "GitHub was unlinked" in other.submit(path).text
    assert_refused(sign_in_with(shop.visitor(), "github", **{"as": "alan"}), 403, "was unlinked")
    eventually(lambda: subjects(visitor, "ann@example.com", "no longer"))
    assert subjects(visitor, "ann@example.com", "GitHub") == [
        "Your GitHub account can no longer sign in to Acme",
        "Your GitHub account can sign in to Acme",
    ]


def test_an_unlinked_identity_is_not_linked_again_by_its_email(
    shop: Shop, visitor: Visitor
) -> None:
    """The account at Google may belong to another user now, with the same verified email."""
    sign_in_with(visitor, "google", **{"as": "ada"})
    path = f"/dashboard/settings/identities/{identity_of(shop).id}/unlink"
    page = visitor.visit("/dashboard/settings")
    visitor.submit(path)
    assert "Unlink" not in visitor.visit("/dashboard/settings").text
    assert page.status == 200

    assert_refused(sign_in_with(shop.visitor(), "google", **{"as": "ada"}), 403, "was unlinked")
    started = visitor.submit("/dashboard/settings/identities/google/link", follow=False)
    visitor.visit(choose(started.response.headers["Location"], **{"as": "ada"}))

    assert sign_in_with(shop.visitor(), "google", **{"as": "ada"}).path == "/dashboard"


def test_an_identity_that_one_user_unlinked_can_be_linked_by_another(
    shop: Shop, visitor: Visitor
) -> None:
    sign_in_with(visitor, "google", **{"as": "ada"})
    path = f"/dashboard/settings/identities/{identity_of(shop).id}/unlink"
    visitor.visit("/dashboard/settings")
    visitor.submit(path)
    bob = shop.visitor()
    bob.sign_in("bob@example.com")
    bob.visit("/dashboard/settings")
    started = bob.submit("/dashboard/settings/identities/google/link", follow=False)

    page = bob.visit(choose(started.response.headers["Location"], **{"as": "ada"}))

    assert "You can now sign in with Google" in page.text
    sign_in_with(other := shop.visitor(), "google", **{"as": "ada"})
    assert "bob@example.com" in other.visit("/dashboard/settings").text


def subjects(visitor: Visitor, email: str, about: str) -> list[str]:
    """Return the subjects of the emails that match, newest first."""
    mails = visitor.emails_to(email)
    return [mail["subject"] for mail in mails if about in mail["subject"]]


def test_linking_an_identity_sends_an_email_to_the_owner(shop: Shop, visitor: Visitor) -> None:
    visitor.sign_in("ada@example.com")
    sign_in_with(shop.visitor(), "google", **{"as": "ada"})
    sign_in_with(shop.visitor(), "google", **{"as": "ada"})
    sign_in_with(shop.visitor(), "google", **profile("new@example.com"))

    about = "Your Google account can sign in to Acme"
    eventually(lambda: subjects(visitor, "ada@example.com", about))
    with shop.app.app_context():
        message = select(OutboxMessage.subject_id).where(OutboxMessage.kind == "sign_in_method")
        (user_id,) = db.session.scalars(message)
        assert db.session.get_one(User, user_id).email == "ada@example.com"


def test_an_identity_of_one_user_is_not_linked_to_another(shop: Shop, visitor: Visitor) -> None:
    sign_in_with(shop.visitor(), "google", **{"as": "ada"})
    visitor.sign_in("eve@example.com")
    visitor.visit("/dashboard/settings")
    visitor.submit("/dashboard/settings/identities/google/link", follow=False)

    page = visitor.visit(choose(visitor.page.response.headers["Location"], **{"as": "ada"}))

    assert_refused(page, 409, "That Google account is already in use")
    owners = {user.id: user.email for user in rows(shop, User)}
    assert owners[identity_of(shop).user_id] == "ada@example.com"


def test_the_identity_of_another_user_cannot_be_unlinked(shop: Shop, visitor: Visitor) -> None:
    sign_in_with(shop.visitor(), "google", **{"as": "ada"})
    visitor.sign_in("eve@example.com")
    token = visitor.visit("/dashboard/settings").form("/logout").fields["csrf_token"]

    path = f"/dashboard/settings/identities/{identity_of(shop).id}/unlink"
    response = visitor.request("POST", path, data={"csrf_token": token})

    assert response.status_code == 404
    assert identity_of(shop)


@pytest.mark.parametrize(("as_", "path"), [("ada", "/dashboard/settings"), ("grace", None)])
def test_linking_requires_reauthentication_by_the_same_user(
    as_: str, path: str | None, shop: Shop, visitor: Visitor
) -> None:
    sign_in_with(shop.visitor(), "google", **{"as": "grace"})
    sign_in_with(visitor, "google", **{"as": "ada"})
    before = visitor.cookie
    with shop.app.app_context(), database.write_transaction():
        database.execute(update(Session).values(created_at=now() - timedelta(minutes=11)))
    visitor.visit("/dashboard/settings")
    visitor.submit("/dashboard/settings/identities/github/link")
    assert visitor.page.path == "/auth/confirm"

    visitor.submit("/auth/oauth/google", follow=False)
    page = visitor.visit(choose(visitor.page.response.headers["Location"], **{"as": as_}))

    if path:
        assert page.path == path
        assert visitor.cookie != before
    else:
        assert_refused(page, 403, "That is a different account")
        assert visitor.visit("/dashboard/settings").text.count("ada@example.com") > 0


def test_a_sign_in_that_finishes_late_does_not_replace_the_session(
    shop: Shop, visitor: Visitor
) -> None:
    back = choose(start_sign_in(visitor, "google"), **{"as": "ada"})
    ann = shop.visitor()
    ann.sign_in("ann@example.com")
    # One browser: it started one sign-in and finished another.
    with shop.app.test_request_context():
        serializer = shop.app.session_interface.get_signing_serializer(shop.app)
    mixed = serializer.loads(visitor.cookie) | serializer.loads(ann.cookie)
    visitor.browser.cookies.clear()

    page = Page(
        visitor.request("GET", back, headers={"Cookie": f"session={serializer.dumps(mixed)}"})
    )

    assert_refused(page, 409, "You're already signed in")
    assert rows(shop, Identity) == []

"""Email changes: confirmed from the new email, announced to the old one, which can undo them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from urllib.parse import urlsplit

import pytest
import time_machine

from saas import database
from saas.auth import accounts, email_changes
from saas.auth.models import Identity, Passkey
from saas.database import now
from tests.harness import stripe_account
from tests.harness.apps import both_databases
from tests.harness.mailbox import link_to
from tests.harness.shop import Shop
from tests.harness.visitor import Visitor
from tests.harness.waiting import eventually

OLD, NEW = "ann@example.com", "ann@example.org"


@pytest.fixture
def ann(visitor: Visitor) -> Visitor:
    visitor.sign_in(OLD)
    return visitor


def ask(visitor: Visitor, email: str = NEW) -> str:
    """Request another email on the settings page, and return the text of the page."""
    visitor.visit("/dashboard/settings")
    return visitor.submit("/dashboard/settings/email", email=email).text


def change(visitor: Visitor, email: str = NEW) -> None:
    """Request and confirm a new email."""
    ask(visitor, email)
    path = link_to(visitor, email)
    visitor.visit(path)
    visitor.submit(path)


def email_of(visitor: Visitor) -> str:
    return str(visitor.request("GET", "/api/user").json()["user"]["email"])


def test_a_new_email_is_used_once_it_is_confirmed(ann: Visitor, shop: Shop) -> None:
    assert f"We sent an email to {NEW}" in ask(ann)
    assert email_of(ann) == OLD

    path = link_to(ann, NEW)
    page = ann.visit(path)
    assert NEW in page.text
    assert page.response.headers["Referrer-Policy"] == "strict-origin"
    assert email_of(ann) == OLD  # opening the page changes nothing
    page = ann.submit(path)

    assert page.path == "/dashboard/settings"
    assert f"Your email address is now {NEW}" in page.text
    assert email_of(ann) == NEW
    other = shop.visitor()
    assert other.sign_in(NEW).path == "/dashboard"
    assert email_of(other) == NEW


def test_the_link_works_once(ann: Visitor) -> None:
    change(ann)

    page = ann.visit(link_to(ann, NEW))

    assert page.status == 410
    assert "used or replaced" in page.text


def test_a_newer_request_revokes_the_older_one(ann: Visitor) -> None:
    ask(ann, "first@example.org")
    first = link_to(ann, "first@example.org")
    ask(ann)

    assert ann.visit(first).status == 410
    assert ann.visit(link_to(ann, NEW)).status == 200


def test_the_link_expires_after_an_hour(ann: Visitor) -> None:
    ask(ann)
    path = link_to(ann, NEW)

    with time_machine.travel(now() + timedelta(minutes=61)):
        page = ann.visit(path)

    assert page.status == 410
    assert "expired" in page.text
    assert email_of(ann) == OLD


def test_only_the_user_who_requested_the_change_can_confirm_it(ann: Visitor, shop: Shop) -> None:
    ask(ann)
    path = link_to(ann, NEW)
    stranger = shop.visitor()

    assert stranger.request("GET", path).headers["Location"].startswith("/login")
    stranger.sign_in("eve@example.com")
    page = stranger.visit(path)

    assert page.status == 403
    assert "for another account" in page.text
    assert email_of(ann) == OLD


@pytest.mark.parametrize("path", ["/auth/email/nonsense", "/auth/email/undo/nonsense"])
def test_an_unknown_token_is_404(path: str, ann: Visitor) -> None:
    assert ann.visit(path).status == 404


def test_a_confirmation_token_cannot_undo_and_an_undo_token_cannot_confirm(ann: Visitor) -> None:
    ask(ann)
    token = link_to(ann, NEW).rpartition("/")[2]

    assert ann.visit(f"/auth/email/undo/{token}").status == 404
    assert ann.visit(f"/auth/link/{token}").status == 404


def test_requesting_an_email_that_has_an_account_looks_the_same(ann: Visitor, shop: Shop) -> None:
    with shop.app.app_context():
        accounts.get_or_create("bob@example.com")

    taken, free = ask(ann, "bob@example.com"), ask(ann, "bot@example.com")

    assert taken.replace("bob@", "bot@") == free
    (mail,) = eventually(lambda: emails_about_taken_email(ann))
    assert "nothing was changed" in mail["text"]
    assert "/auth/email/" not in mail["text"]


def emails_about_taken_email(visitor: Visitor) -> list[dict[str, str]]:
    """Return these emails. The mailbox is shared, so the newest is this test's."""
    box = f"{visitor.sandbox}/mail.json"
    response = visitor.browser.get(box, params={"to": "bob@example.com"}, timeout=30)
    return [mail for mail in response.json()["messages"] if "has an account" in mail["subject"]][:1]


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("", "Enter your email"),
        ("ann", "Enter a valid email address"),
        ("Ann@Example.com ", "already"),
    ],
)
def test_an_invalid_email_for_a_change_is_explained(typed: str, message: str, ann: Visitor) -> None:
    text = ask(ann, typed)

    assert ann.page.status == 422
    assert message in text


def test_an_email_change_requires_a_recent_sign_in(ann: Visitor) -> None:
    with time_machine.travel(now() + timedelta(minutes=11)):
        ask(ann)

    assert ann.page.path == "/auth/confirm"
    assert ann.emails_to(NEW) == []


def test_magic_links_to_the_old_email_start_no_session_after_the_change(
    ann: Visitor, shop: Shop
) -> None:
    other = shop.visitor()
    other.visit("/login")
    other.submit("/login", email=OLD)
    link = urlsplit(other.link_from_email(OLD)).path
    other.visit(link)
    change(ann)

    page = other.submit(link)

    assert page.status == 410
    assert other.request("GET", "/dashboard").status_code == 303


def test_the_old_email_can_undo_the_change_and_every_session_ends(ann: Visitor, shop: Shop) -> None:
    change(ann)
    path = link_to(ann, OLD, "/auth/email/undo/")
    owner = shop.visitor()

    assert OLD in owner.visit(path).text
    assert email_of(ann) == NEW  # opening the page changes nothing
    page = owner.submit(path)

    assert page.path == "/login"
    assert "Your email address has been restored" in page.text
    assert ann.request("GET", "/dashboard").status_code == 303
    assert owner.visit(path).status == 410
    owner.sign_in(OLD)
    assert email_of(owner) == OLD


def test_undoing_removes_the_passkeys_that_were_added_since_or_in_the_week_before(
    ann: Visitor, shop: Shop
) -> None:
    """An attacker adds a passkey first, and changes the email then."""
    _add_passkey(shop, OLD, "mine", days_ago=8)
    _add_passkey(shop, OLD, "theirs, prepared")
    change(ann)
    _add_passkey(shop, NEW, "theirs")
    path = link_to(ann, OLD, "/auth/email/undo/")
    owner = shop.visitor()
    owner.visit(path)
    owner.submit(path)

    with shop.app.app_context():
        assert [passkey.name for passkey in accounts.get_by_email(OLD).passkeys] == ["mine"]


def _add_passkey(shop: Shop, email: str, name: str, days_ago: int = 0) -> None:
    with shop.app.app_context(), database.write_transaction() as session:
        user = accounts.get_by_email(email)
        key = Passkey(
            user_id=user.id, name=name, credential_id=name.encode(), public_key=b"", sign_count=0,
            created_at=now() - timedelta(days=days_ago),
        )  # fmt: skip
        session.add(key)


def test_the_original_email_can_undo_several_changes(ann: Visitor, shop: Shop) -> None:
    change(ann)
    change(ann, "ann@example.net")
    theirs = link_to(ann, NEW, "/auth/email/undo/")
    owner = shop.visitor()
    path = link_to(ann, OLD, "/auth/email/undo/")
    owner.visit(path)
    owner.submit(path)

    assert owner.visit(theirs).status == 410
    owner.sign_in(OLD)
    assert email_of(owner) == OLD


def test_a_change_cannot_be_undone_after_a_week(ann: Visitor) -> None:
    change(ann)
    path = link_to(ann, OLD, "/auth/email/undo/")

    with time_machine.travel(now() + timedelta(days=6, hours=23)):
        assert ann.visit(path).status == 200
    with time_machine.travel(now() + timedelta(days=7, minutes=1)):
        assert ann.visit(path).status == 410


@both_databases
def test_a_change_can_be_undone_after_a_sign_in_with_the_old_email(
    ann: Visitor, shop: Shop
) -> None:
    """The sign-in created an account that holds only a name and sign-in methods."""
    change(ann)
    owner = shop.visitor()
    owner.sign_in(OLD)
    owner.visit("/dashboard/settings")
    owner.submit("/dashboard/settings/name", name="Ann")
    with shop.app.app_context(), database.write_transaction():
        younger = accounts.get_by_email(OLD)
        google = {"provider": "google", "issuer": "https://accounts.google.com", "subject": "1"}
        database.db.session.add(Identity(user_id=younger.id, email=OLD, **google))
    path = link_to(ann, OLD, "/auth/email/undo/")
    owner.visit(path)

    page = owner.submit(path)

    assert "Your email address has been restored" in page.text
    assert owner.visit("/dashboard").path == "/login"
    owner.sign_in(OLD)
    assert email_of(owner) == OLD
    with shop.app.app_context():
        assert [user.email for user in accounts.list_all()] == [OLD]


def test_an_older_or_used_account_keeps_its_email(ann: Visitor, shop: Shop) -> None:
    change(ann)
    newcomer = shop.visitor()
    newcomer.sign_in(OLD)
    newcomer.visit("/pricing")
    newcomer.submit("/billing/checkout", having={"plan": "solo"}, follow=False)
    path = link_to(ann, OLD, "/auth/email/undo/")
    newcomer.visit(path)

    page = newcomer.submit(path)

    assert page.status == 409
    assert "has an account" in page.text
    assert (email_of(ann), email_of(newcomer)) == (NEW, OLD)


def test_old_emails_are_deleted_when_the_change_cannot_be_undone(ann: Visitor, shop: Shop) -> None:
    change(ann)

    with shop.app.app_context(), time_machine.travel(now() + timedelta(days=9)):
        email_changes.delete_old_changes()

    assert ann.visit(link_to(ann, OLD, "/auth/email/undo/")).status == 410


def test_the_new_email_is_sent_to_stripe(visitor: Visitor, shop: Shop) -> None:
    user, _ = stripe_account.subscriber(shop, OLD)
    visitor.sign_in(OLD)

    change(visitor)

    at_stripe = stripe_account.client(shop).v1.customers.retrieve(str(user.stripe_customer_id))
    assert at_stripe.email == NEW


@both_databases
def test_concurrent_confirmations_change_the_email_once(ann: Visitor, shop: Shop) -> None:
    ask(ann)
    token = link_to(ann, NEW).rpartition("/")[2]
    together = Barrier(8)

    def confirm(_: int) -> str:
        with shop.app.app_context():
            user = accounts.get_by_email(OLD)
            together.wait()
            try:
                return email_changes.confirm(token, user)
            except email_changes.InvalidChange as error:
                return error.reason

    with ThreadPoolExecutor(8) as pool:
        responses = sorted(pool.map(confirm, range(8)))

    assert responses == [NEW, *["used"] * 7]


@both_databases
def test_of_two_users_who_confirm_the_same_email_at_once_one_gets_it(
    ann: Visitor, shop: Shop
) -> None:
    bob = shop.visitor()
    bob.sign_in("bob@example.com")
    ask(ann)
    first = link_to(ann, NEW)
    ask(bob)
    tokens = [first, eventually(lambda: newer(bob, first))]
    together = Barrier(2)

    def confirm(email: str, path: str) -> str:
        with shop.app.app_context():
            user = accounts.get_by_email(email)
            together.wait()
            try:
                return email_changes.confirm(path.rpartition("/")[2], user)
            except email_changes.InvalidChange as error:
                return error.reason

    with ThreadPoolExecutor(2) as pool:
        responses = sorted(pool.map(confirm, (OLD, "bob@example.com"), tokens))

    assert responses == [NEW, "taken"]


def newer(visitor: Visitor, older: str) -> str | None:
    path = link_to(visitor, NEW)
    return path if path != older else None

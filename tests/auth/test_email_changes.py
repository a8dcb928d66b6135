"""A change of address: confirmed at the new one, announced at the old one, which can undo it."""

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
from tests.harness.shop import Shop
from tests.harness.visitor import Visitor
from tests.harness.waiting import eventually

OLD, NEW = "ann@example.com", "ann@example.org"


@pytest.fixture
def ann(visitor: Visitor) -> Visitor:
    visitor.sign_in(OLD)
    return visitor


def ask(who: Visitor, email: str = NEW) -> str:
    """Ask for another address on the settings page; what the page says."""
    who.visit("/dashboard/settings")
    return who.submit("/dashboard/settings/email", email=email).text


def link_to(who: Visitor, email: str, kind: str = "/auth/email/") -> str:
    """The path of the newest link of this kind in the mails to an address."""

    def newest() -> str | None:
        links = (link for mail in who.mails_to(email) for link in mail["links"])
        return next((urlsplit(link).path for link in links if kind in link), None)

    return str(eventually(newest))


def change(who: Visitor, email: str = NEW) -> None:
    """The whole way to a new address."""
    ask(who, email)
    path = link_to(who, email)
    who.visit(path)
    who.submit(path)


def address_of(who: Visitor) -> str:
    return str(who.request("GET", "/api/user").json()["user"]["email"])


def test_a_new_address_holds_once_it_is_confirmed(ann: Visitor, shop: Shop) -> None:
    assert f"We sent an email to {NEW}" in ask(ann)
    assert address_of(ann) == OLD

    path = link_to(ann, NEW)
    page = ann.visit(path)
    assert NEW in page.text
    assert page.response.headers["Referrer-Policy"] == "strict-origin"
    assert address_of(ann) == OLD  # looking changes nothing
    page = ann.submit(path)

    assert page.path == "/dashboard/settings"
    assert f"Your email address is now {NEW}" in page.text
    assert address_of(ann) == NEW
    other = shop.visitor()
    assert other.sign_in(NEW).path == "/dashboard"
    assert address_of(other) == NEW


def test_the_link_works_once(ann: Visitor) -> None:
    change(ann)

    page = ann.visit(link_to(ann, NEW))

    assert page.status == 410
    assert "used or replaced" in page.text


def test_a_newer_request_ends_the_older_one(ann: Visitor) -> None:
    ask(ann, "first@example.org")
    first = link_to(ann, "first@example.org")
    ask(ann)

    assert ann.visit(first).status == 410
    assert ann.visit(link_to(ann, NEW)).status == 200


def test_the_link_lasts_an_hour(ann: Visitor) -> None:
    ask(ann)
    path = link_to(ann, NEW)

    with time_machine.travel(now() + timedelta(minutes=61)):
        page = ann.visit(path)

    assert page.status == 410
    assert "expired" in page.text
    assert address_of(ann) == OLD


def test_only_who_asked_can_confirm(ann: Visitor, shop: Shop) -> None:
    ask(ann)
    path = link_to(ann, NEW)
    stranger = shop.visitor()

    assert stranger.request("GET", path).headers["Location"].startswith("/login")
    stranger.sign_in("eve@example.com")
    page = stranger.visit(path)

    assert page.status == 403
    assert "for another account" in page.text
    assert address_of(ann) == OLD


@pytest.mark.parametrize("path", ["/auth/email/nonsense", "/auth/email/undo/nonsense"])
def test_a_token_that_we_did_not_make_is_404(path: str, ann: Visitor) -> None:
    assert ann.visit(path).status == 404


def test_a_token_for_one_mail_is_none_for_the_other(ann: Visitor) -> None:
    ask(ann)
    token = link_to(ann, NEW).rpartition("/")[2]

    assert ann.visit(f"/auth/email/undo/{token}").status == 404
    assert ann.visit(f"/auth/link/{token}").status == 404


def test_asking_for_an_address_that_has_an_account_looks_the_same(ann: Visitor, shop: Shop) -> None:
    with shop.app.app_context():
        accounts.get_or_create("bob@example.com")

    taken, free = ask(ann, "bob@example.com"), ask(ann, "bot@example.com")

    assert taken.replace("bob@", "bot@") == free
    (mail,) = eventually(lambda: taken_mails(ann))
    assert "nothing was changed" in mail["text"]
    assert "/auth/email/" not in mail["text"]


def taken_mails(who: Visitor) -> list[dict[str, str]]:
    """The mailbox is shared and this mail has no link: the newest one is this test's."""
    box = f"{who.sandbox}/mail.json"
    response = who.browser.get(box, params={"to": "bob@example.com"}, timeout=30)
    return [mail for mail in response.json()["messages"] if "has an account" in mail["subject"]][:1]


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("", "Enter your email"),
        ("ann", "Enter a valid email address"),
        ("Ann@Example.com ", "already"),
    ],
)
def test_what_cannot_be_an_address_is_explained(typed: str, message: str, ann: Visitor) -> None:
    text = ask(ann, typed)

    assert ann.page.status == 422
    assert message in text


def test_asking_needs_a_fresh_sign_in(ann: Visitor) -> None:
    with time_machine.travel(now() + timedelta(minutes=11)):
        ask(ann)

    assert ann.page.path == "/auth/confirm"
    assert ann.mails_to(NEW) == []


def test_mails_that_the_old_address_asked_for_sign_nobody_in_afterwards(
    ann: Visitor, shop: Shop
) -> None:
    other = shop.visitor()
    other.visit("/login")
    other.submit("/login", email=OLD)
    link = urlsplit(other.link_from_mail(OLD)).path
    other.visit(link)
    change(ann)

    page = other.submit(link)

    assert page.status == 410
    assert other.request("GET", "/dashboard").status_code == 303


def test_the_old_address_takes_it_back_and_ends_every_session(ann: Visitor, shop: Shop) -> None:
    change(ann)
    path = link_to(ann, OLD, "/auth/email/undo/")
    owner = shop.visitor()

    assert OLD in owner.visit(path).text
    assert address_of(ann) == NEW  # looking changes nothing
    page = owner.submit(path)

    assert page.path == "/login"
    assert "Your email address is restored" in page.text
    assert ann.request("GET", "/dashboard").status_code == 303
    assert owner.visit(path).status == 410
    owner.sign_in(OLD)
    assert address_of(owner) == OLD


def test_taking_it_back_removes_the_passkeys_that_were_added_since_or_in_the_week_before(
    ann: Visitor, shop: Shop
) -> None:
    """Whoever means to stay adds a passkey first, and changes the address then."""
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


def test_the_first_address_wins_over_whoever_changed_it_again(ann: Visitor, shop: Shop) -> None:
    change(ann)
    change(ann, "ann@example.net")
    theirs = link_to(ann, NEW, "/auth/email/undo/")
    owner = shop.visitor()
    path = link_to(ann, OLD, "/auth/email/undo/")
    owner.visit(path)
    owner.submit(path)

    assert owner.visit(theirs).status == 410
    owner.sign_in(OLD)
    assert address_of(owner) == OLD


def test_after_a_week_it_cannot_be_taken_back(ann: Visitor) -> None:
    change(ann)
    path = link_to(ann, OLD, "/auth/email/undo/")

    with time_machine.travel(now() + timedelta(days=6, hours=23)):
        assert ann.visit(path).status == 200
    with time_machine.travel(now() + timedelta(days=7, minutes=1)):
        assert ann.visit(path).status == 410


@both_databases
def test_an_owner_who_signed_in_with_the_old_address_first_takes_it_back_all_the_same(
    ann: Visitor, shop: Shop
) -> None:
    """Signing in made an account for it, which holds nothing but a name and ways to sign in."""
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

    assert "Your email address is restored" in page.text
    assert owner.visit("/dashboard").path == "/login"
    owner.sign_in(OLD)
    assert address_of(owner) == OLD
    with shop.app.app_context():
        assert [user.email for user in accounts.list_all()] == [OLD]


def test_an_account_that_was_there_before_or_holds_something_keeps_its_address(
    ann: Visitor, shop: Shop
) -> None:
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
    assert (address_of(ann), address_of(newcomer)) == (NEW, OLD)


def test_addresses_are_forgotten_when_they_cannot_be_taken_back(ann: Visitor, shop: Shop) -> None:
    change(ann)

    with shop.app.app_context(), time_machine.travel(now() + timedelta(days=9)):
        email_changes.delete_old_changes()

    assert ann.visit(link_to(ann, OLD, "/auth/email/undo/")).status == 410


def test_stripe_learns_the_new_address(visitor: Visitor, shop: Shop) -> None:
    user, _ = stripe_account.subscriber(shop, OLD)
    visitor.sign_in(OLD)

    change(visitor)

    at_stripe = stripe_account.client(shop).v1.customers.retrieve(str(user.stripe_customer_id))
    assert at_stripe.email == NEW


@both_databases
def test_of_many_who_confirm_at_once_one_changes_it(ann: Visitor, shop: Shop) -> None:
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
def test_of_two_who_want_one_address_at_once_one_gets_it(ann: Visitor, shop: Shop) -> None:
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


def newer(who: Visitor, older: str) -> str | None:
    path = link_to(who, NEW)
    return path if path != older else None

"""Passkeys in a real browser with a virtual authenticator, and with requests of our own."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from playwright.sync_api import Browser, CDPSession, Page, expect
from sqlalchemy import select, update
from webauthn import base64url_to_bytes
from webauthn.helpers import bytes_to_base64url

from saas import database
from saas.auth.models import Passkey, Session, User
from saas.database import db, now
from tests.harness.apps import both_databases
from tests.harness.shop import Shop
from tests.harness.waiting import eventually

pytestmark = pytest.mark.browser


class Authenticator:
    """A browser with a virtual authenticator and a signed-in user."""

    def __init__(self, page: Page, shop: Shop) -> None:
        self.page, self.shop = page, shop
        self.wire: CDPSession = page.context.new_cdp_session(page)
        self.wire.send("WebAuthn.enable")
        self.authenticator = self.plug_in()

    def plug_in(self, **changes: Any) -> str:
        options = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": True,
            **changes,
        }
        return self.wire.send("WebAuthn.addVirtualAuthenticator", {"options": options})[
            "authenticatorId"
        ]

    def plug_out(self) -> None:
        self.wire.send(
            "WebAuthn.removeVirtualAuthenticator", {"authenticatorId": self.authenticator}
        )

    def credentials(self) -> list[dict[str, Any]]:
        response = self.wire.send(
            "WebAuthn.getCredentials", {"authenticatorId": self.authenticator}
        )
        return list(response["credentials"])

    def sign_in_by_mail(self, email: str) -> None:
        visitor = self.shop.visitor()
        visitor.sign_in(email)
        self.page.context.add_cookies(
            [{"name": "session", "value": visitor.cookie, "url": self.shop.url}]
        )

    def add(self, name: str) -> None:
        self.page.goto(f"{self.shop.url}/dashboard/settings")
        self.page.get_by_role("link", name="Add a passkey").click()
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_role("button", name="Create passkey").click()

    def use(self, start: str = "/login") -> None:
        self.page.goto(self.shop.url + start)
        self.page.get_by_role("button", name="Use a passkey").click()

    def sign_out(self) -> None:
        self.page.context.clear_cookies()

    def post(self, path: str, body: Any) -> tuple[int, Any]:
        """Send a request as the page's script does."""
        message = self.page.evaluate(
            """async ([path, body]) => {
              const token = document.querySelector('[name=csrf_token]').value;
              const answer = await fetch(path, {method: 'POST', body,
                headers: {'Content-Type': 'application/json', 'X-CSRFToken': token}});
              return [answer.status, await answer.text()];
            }""",
            [path, body if isinstance(body, str) else json.dumps(body)],
        )
        return message[0], json.loads(message[1])

    def sign_challenge(self, options: dict[str, Any]) -> Any:
        return self.page.evaluate(
            """async (options) => (await navigator.credentials.get({publicKey:
              PublicKeyCredential.parseRequestOptionsFromJSON(options)})).toJSON()""",
            options,
        )


@pytest.fixture
def key(chromium: Browser, shop: Shop) -> Iterator[Authenticator]:
    context = chromium.new_context()
    context.set_default_timeout(15_000)
    yield Authenticator(context.new_page(), shop)
    context.close()


@pytest.fixture
def ann(key: Authenticator) -> Authenticator:
    """Return a browser in which Ann is signed in and has a passkey."""
    key.sign_in_by_mail("ann@example.com")
    key.add("My laptop")
    expect(key.page.get_by_text("My laptop", exact=True)).to_be_visible()
    return key


def rows(shop: Shop, model: Any) -> list[Any]:
    with shop.app.app_context():
        return list(db.session.scalars(select(model)))


@both_databases
def test_a_passkey_signs_in_without_an_email(ann: Authenticator, shop: Shop) -> None:
    ann.sign_out()

    ann.use("/login?next=/dashboard/billing")

    ann.page.wait_for_url(f"{shop.url}/dashboard/billing")
    (passkey,) = rows(shop, Passkey)
    assert passkey.last_used_at
    assert passkey.sign_count == ann.credentials()[0]["signCount"] > 0
    assert len(rows(shop, Session)) == 2


@both_databases
def test_several_passkeys_are_added_renamed_and_removed(ann: Authenticator, shop: Shop) -> None:
    ann.plug_out()
    ann.authenticator = ann.plug_in()
    ann.add("My phone")
    expect(ann.page.get_by_text("My phone", exact=True)).to_be_visible()

    row = ann.page.locator("li", has_text="My phone")
    row.get_by_text("Rename").click()
    row.get_by_role("textbox").fill("  Old   phone ")
    row.get_by_role("button", name="Save").click()
    expect(ann.page.get_by_text("Old phone", exact=True)).to_be_visible()
    ann.page.locator("li", has_text="My laptop").get_by_role("button", name="Remove").click()

    expect(ann.page.get_by_text("The passkey was removed")).to_be_visible()
    assert [passkey.name for passkey in rows(shop, Passkey)] == ["Old phone"]
    reader = shop.visitor()
    eventually(lambda: "no longer" in reader.emails_to("ann@example.com")[0]["subject"])
    assert [mail["subject"] for mail in reader.emails_to("ann@example.com")][:3] == [
        "A passkey can no longer sign in to Acme",
        "A passkey can sign in to Acme",
        "A passkey can sign in to Acme",
    ]


def test_a_removed_passkey_starts_no_session(ann: Authenticator, shop: Shop) -> None:
    with shop.app.app_context(), database.write_transaction():
        database.execute(Passkey.__table__.delete())  # type: ignore[attr-defined]
    ann.sign_out()

    ann.use()

    expect(ann.page.get_by_text("This passkey isn't linked")).to_be_visible()


def test_a_device_holds_one_passkey_per_user(ann: Authenticator) -> None:
    ann.add("Again")

    expect(ann.page.get_by_text("already have a passkey on this device")).to_be_visible()


def test_a_passkey_without_user_verification_is_refused(ann: Authenticator, shop: Shop) -> None:
    ann.sign_out()
    ann.wire.send(
        "WebAuthn.setUserVerified",
        {"authenticatorId": ann.authenticator, "isUserVerified": False},
    )

    ann.use()

    expect(ann.page.get_by_text("The passkey wasn't used")).to_be_visible()
    assert len(rows(shop, Session)) == 1


@pytest.mark.parametrize("column", ["disabled_at", "closing_at"])
def test_a_passkey_of_a_closing_account_starts_no_session(
    column: str, ann: Authenticator, shop: Shop
) -> None:
    with shop.app.app_context(), database.write_transaction():
        database.execute(update(User).values({column: now()}))
    ann.sign_out()

    ann.use()

    expect(ann.page.get_by_role("alert")).to_contain_text("This account is")
    assert len(rows(shop, Session)) == 1


def test_an_assertion_works_once_and_for_its_own_challenge(ann: Authenticator, shop: Shop) -> None:
    ann.sign_out()
    ann.page.goto(f"{shop.url}/login")
    _, first = ann.post("/auth/passkey/options", {})
    old = {"credential": ann.sign_challenge(first["options"])}
    ann.post("/auth/passkey/options", {})

    status, response = ann.post("/auth/passkey", old)
    assert (status, response["error"]["code"]) == (502, "untrusted")

    ann.page.context.clear_cookies()
    ann.page.goto(f"{shop.url}/login")
    _, asked = ann.post("/auth/passkey/options", {})
    good = {"credential": ann.sign_challenge(asked["options"])}
    cookies = ann.page.context.cookies()
    assert ann.post("/auth/passkey", good)[0] == 200
    ann.page.context.clear_cookies()
    ann.page.context.add_cookies(cookies)
    status, response = ann.post("/auth/passkey", good)
    assert (status, response["error"]["code"]) == (400, "state")
    assert len(rows(shop, Session)) == 2


def test_an_assertion_from_a_frame_of_another_site_is_refused(
    ann: Authenticator, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    ann.sign_out()
    ann.page.goto(f"{shop.url}/login")
    _, asked = ann.post("/auth/passkey/options", {})
    response = ann.sign_challenge(asked["options"])
    signed = json.loads(base64url_to_bytes(response["response"]["clientDataJSON"]))
    framed = json.dumps({**signed, "crossOrigin": True}).encode()
    response["response"]["clientDataJSON"] = bytes_to_base64url(framed)

    with caplog.at_level(logging.INFO, "saas.auth"):
        status, text = ann.post("/auth/passkey", {"credential": response})

    assert (status, text["error"]["code"]) == (502, "untrusted")
    assert "passkey refused: untrusted crossOrigin" in caplog.text
    assert len(rows(shop, Session)) == 1


def test_an_assertion_of_another_browser_or_an_expired_challenge_is_refused(
    ann: Authenticator, shop: Shop
) -> None:
    ann.sign_out()
    ann.page.goto(f"{shop.url}/login")
    _, asked = ann.post("/auth/passkey/options", {})
    response = {"credential": ann.sign_challenge(asked["options"])}
    mine = ann.page.context.cookies()

    ann.page.context.clear_cookies()
    ann.page.goto(f"{shop.url}/login")
    assert ann.post("/auth/passkey", response)[0] == 400

    ann.page.context.clear_cookies()
    ann.page.context.add_cookies(mine)
    ann.page.goto(f"{shop.url}/login")
    with time_machine.travel(now() + timedelta(minutes=10, seconds=1), tick=True):
        assert ann.post("/auth/passkey", response)[0] == 400
    assert len(rows(shop, Session)) == 1


@both_databases
def test_a_cloned_passkey_is_detected_by_its_counter(ann: Authenticator, shop: Shop) -> None:
    with shop.app.app_context(), database.write_transaction():
        database.execute(update(Passkey).values(sign_count=1000))
    ann.sign_out()

    ann.use()

    expect(ann.page.get_by_role("alert")).to_contain_text("couldn't verify")


@pytest.mark.parametrize(
    "body",
    [
        "[]",
        "{}",
        "null",
        '{"credential": 1}',
        '{"credential": {}}',
        '{"credential": {"rawId": "\\ud800"}}',
        '{"credential": {"rawId": 5, "id": []}}',
        '{"credential": {"rawId": "AAAA", "id": "AAAA", "type": "x", "response": {}}}',
        '{"a":' * 100_000,
        "[" * 100_000,
    ],
    ids=range(10),
)
def test_malformed_requests_get_errors_in_json(body: str, key: Authenticator, shop: Shop) -> None:
    key.page.goto(f"{shop.url}/login")
    key.post("/auth/passkey/options", {})

    status, response = key.post("/auth/passkey", body)

    assert 400 <= status < 500 or (status, response["error"]["code"]) == (502, "untrusted")
    assert rows(shop, Session) == []


def test_adding_a_passkey_requires_a_recent_sign_in_which_a_passkey_provides(
    ann: Authenticator, shop: Shop
) -> None:
    with shop.app.app_context(), database.write_transaction():
        database.execute(update(Session).values(created_at=now() - timedelta(minutes=11)))

    ann.page.goto(f"{shop.url}/dashboard/settings")
    ann.page.get_by_role("link", name="Add a passkey").click()
    ann.page.wait_for_url("**/auth/confirm**")
    ann.page.get_by_role("button", name="Use a passkey").click()

    ann.page.wait_for_url(f"{shop.url}/dashboard/settings/passkeys/new")
    assert len(rows(shop, Session)) == 1


def test_a_browser_without_passkeys_shows_no_button(chromium: Browser, shop: Shop) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()

    page.goto(f"{shop.url}/login")

    expect(page.get_by_role("button", name="Continue with Google")).to_be_visible()
    expect(page.get_by_role("button", name="Use a passkey")).to_have_count(0)
    context.close()

"""Roles and disabled accounts. Users cannot promote themselves; the last administrator stays."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask
from sqlalchemy import update

from saas import database
from saas.auth import accounts, roles
from saas.auth.audit import OPERATOR
from saas.auth.models import User
from saas.database import now
from saas.users import account_deletion
from tests.harness.apps import both_databases
from tests.harness.clients import client_for
from tests.harness.shop import Shop
from tests.harness.visitor import Visitor

PAIR = ("ann@example.com", "bob@example.com")


@pytest.fixture
def admins(shop: Shop) -> Shop:
    with shop.app.app_context():
        for email in PAIR:
            accounts.get_or_create(email, role="admin")
    return shop


def role_of(visitor: Visitor) -> str:
    return str(visitor.request("GET", "/api/user").json()["user"]["role"])


def test_an_administrator_steps_down(admins: Shop, visitor: Visitor) -> None:
    elsewhere = admins.visitor()
    elsewhere.sign_in("ann@example.com")
    visitor.sign_in("ann@example.com")
    before = visitor.cookie
    visitor.visit("/dashboard/settings")

    page = visitor.submit("/dashboard/settings/role")

    assert "You are no longer an administrator." in page.text
    assert role_of(visitor) == "user"
    assert visitor.cookie != before, "no session outlives its role"
    assert elsewhere.visit("/dashboard").path == "/login"
    assert "Step down" not in page.text


def test_a_promoted_user_has_to_sign_in_again(shop: Shop, visitor: Visitor) -> None:
    visitor.sign_in("ann@example.com")

    shop.app.test_cli_runner().invoke(args=["users", "promote", "ann@example.com"])

    assert visitor.visit("/dashboard").path == "/login"
    visitor.sign_in("ann@example.com")
    assert role_of(visitor) == "admin"


def test_the_last_administrator_cannot_step_down(shop: Shop, visitor: Visitor) -> None:
    with shop.app.app_context():
        accounts.get_or_create("ann@example.com", role="admin")
    visitor.sign_in("ann@example.com")
    visitor.visit("/dashboard/settings")

    page = visitor.submit("/dashboard/settings/role")

    assert page.status == 409
    assert "last administrator" in page.text
    assert role_of(visitor) == "admin"


def test_users_cannot_raise_their_own_role(admins: Shop, visitor: Visitor) -> None:
    visitor.sign_in("eve@example.com")
    visitor.visit("/dashboard/settings")
    token = visitor.page.forms[0].fields["csrf_token"]

    response = visitor.request(
        "POST", "/dashboard/settings/role", data={"role": "admin", "csrf_token": token}
    )

    assert response.status_code == 403
    assert "Access denied" in response.text
    assert role_of(visitor) == "user"


def test_a_role_that_is_not_lower_is_refused(admins: Shop, visitor: Visitor) -> None:
    visitor.sign_in("ann@example.com")
    visitor.visit("/dashboard/settings")

    page = visitor.submit("/dashboard/settings/role", role="owner")

    assert page.status == 422
    assert "higher role" in page.text
    assert role_of(visitor) == "admin"


LEAVING: dict[str, Callable[[Any], None]] = {
    "step down": roles.step_down,
    "demote": lambda user: roles.demote(user, by=OPERATOR),
    "disable": lambda user: roles.disable(user, by=OPERATOR),
    "delete": account_deletion.delete_account,
}
TOGETHER = [("step down", "step down"), ("demote", "disable"), ("delete", "step down")]


@both_databases
@pytest.mark.parametrize("ways", TOGETHER, ids=" and ".join)
def test_of_two_administrators_who_step_down_at_once_one_stays(
    ways: tuple[str, str], admins: Shop
) -> None:
    together = Barrier(2)

    def go(email: str, way: str) -> bool:
        with admins.app.app_context():
            user = accounts.get_by_email(email)
            together.wait()
            try:
                LEAVING[way](user)
            except (accounts.AccountError, account_deletion.DeletionFailed):
                return False
        return True

    for _ in range(5):
        with ThreadPoolExecutor(2) as pool:
            gone = list(pool.map(go, PAIR, ways))

        assert sorted(gone) == [False, True]
        with admins.app.app_context():
            for email in PAIR:
                user = accounts.get_or_create(email)
                if user.disabled_at:
                    roles.enable(user, by=OPERATOR)
                roles.promote(user, by=OPERATOR)


@both_databases
def test_disabling_a_user_ends_all_sessions_at_once(
    shop: Shop, visitor: Visitor, make_app: Callable[..., Flask]
) -> None:
    visitor.sign_in("ann@example.com")
    shop_runner = make_app().test_cli_runner()  # in another process than the one that serves

    result = shop_runner.invoke(args=["users", "disable", "ann@example.com"])

    assert result.output.startswith("ann@example.com is disabled")
    assert visitor.request("GET", "/dashboard").status_code == 303
    before = len(visitor.emails_to("ann@example.com"))
    visitor.visit("/login")
    assert visitor.submit("/login", email="ann@example.com").path == "/auth/check-inbox"
    assert len(visitor.emails_to("ann@example.com")) == before

    assert shop_runner.invoke(args=["users", "enable", "ann@example.com"]).exit_code == 0
    assert visitor.sign_in("ann@example.com").path == "/dashboard"


def test_a_session_that_starts_while_the_user_is_disabled_gives_no_access(app: Flask) -> None:
    client = client_for(app, "user")
    assert client.get("/dashboard").status_code == 200

    with app.app_context(), database.write_transaction():
        # The session's row stays: it was written after the others were deleted.
        database.execute(update(User).values(disabled_at=now()))

    assert client.get("/dashboard").status_code == 303


def test_earlier_emails_do_not_sign_in_a_disabled_user(shop: Shop, visitor: Visitor) -> None:
    with shop.app.app_context():
        accounts.get_or_create("ann@example.com")
    visitor.visit("/login")
    visitor.submit("/login", email="ann@example.com")
    link = visitor.link_from_email("ann@example.com")
    visitor.visit(link)
    shop.app.test_cli_runner().invoke(args=["users", "disable", "ann@example.com"])

    page = visitor.submit(urlsplit(link).path)

    assert page.status == 410
    assert "This account is disabled" in page.text
    assert visitor.request("GET", "/dashboard").status_code == 303


def test_actions_on_a_user_are_listed_with_author_and_time(admins: Shop, visitor: Visitor) -> None:
    run = admins.app.test_cli_runner().invoke
    for command in ("disable", "enable", "demote", "promote"):
        assert run(args=["users", command, "bob@example.com"]).exit_code == 0
    visitor.sign_in("bob@example.com")
    visitor.visit("/dashboard/settings")
    visitor.submit("/dashboard/settings/role")

    output = run(args=["users", "history", "bob@example.com", "--json"]).output.splitlines()
    in_words = run(args=["users", "history", "bob@example.com"]).output.splitlines()

    entries = [json.loads(line) for line in output]
    did = [entry["action"] for entry in entries]
    assert did == ["disable", "enable", "demote", "promote", "step down"]
    assert [entry["actor"] for entry in entries[:4]] == [OPERATOR] * 4
    assert entries[4]["actor"] == entries[4]["subject_id"]
    assert in_words[4].split()[2:] == ["bob@example.com", "step", "down"]


def test_an_action_without_effect_is_not_recorded(runner: Any) -> None:
    run = runner.invoke
    run(args=["users", "create", "ann@example.com", "--admin"])
    run(args=["users", "create", "bob@example.com"])
    before = run(args=["users", "history", "bob@example.com"]).output

    for command in ("demote", "enable"):
        assert run(args=["users", command, "bob@example.com"]).exit_code == 0
    assert run(args=["users", "history", "bob@example.com"]).output == before

    for _ in range(2):
        run(args=["users", "disable", "bob@example.com"])
    assert run(args=["users", "history", "bob@example.com"]).output.count("disable") == 1

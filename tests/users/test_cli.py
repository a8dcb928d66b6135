"""`flask users …` for operators."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask

from saas.auth import accounts


def test_users_are_created_promoted_demoted_and_listed(runner: Any) -> None:
    run = runner.invoke

    assert run(args=["users", "create", "Ann@Example.com", "--name", "Ann Lee"]).exit_code == 0
    assert run(args=["users", "create", "bob@example.com", "--admin"]).exit_code == 0
    assert "is now an administrator" in run(args=["users", "promote", "ann@example.com"]).output
    assert run(args=["users", "demote", "bob@example.com"]).exit_code == 0

    listed = run(args=["users", "list"]).output.splitlines()
    assert [line.split()[:2] for line in listed] == [
        ["ann@example.com", "admin"],
        ["bob@example.com", "user"],
    ]
    as_json = [
        json.loads(line) for line in run(args=["users", "list", "--json"]).output.splitlines()
    ]
    assert as_json[0]["name"] == "Ann Lee"
    assert as_json[1]["subscription"]["plan"] == "hobby"


def test_a_long_list_comes_in_parts(runner: Any) -> None:
    emails = [f"{name}@example.com" for name in ("ann", "bob", "cat")]
    for email in emails:
        runner.invoke(args=["users", "create", email])

    first = runner.invoke(args=["users", "list", "--limit", "2"])
    rest = runner.invoke(args=["users", "list", "--limit", "2", "--after", emails[1]])

    assert [line.split()[0] for line in first.stdout.splitlines()] == emails[:2]
    assert first.stderr == "There are more users. To continue: --after bob@example.com\n"
    assert [line.split()[0] for line in rest.stdout.splitlines()] == emails[2:]
    assert rest.stderr == ""


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["create", "ann"], "Error: "),
        (["create", "ann@example.com", "--name", "\u200b"], "Enter your name"),
        (["promote", "nobody@example.com"], "No account has the email nobody@example.com"),
        (["demote", "not an address"], "is not a valid email address"),
        (["delete", "nobody@example.com", "--yes"], "No account has the email"),
        (["disable", "nobody@example.com"], "No account has the email"),
        (["enable", ""], "is not a valid email address"),
        (["history", "nobody@example.com"], "No account has the email"),
    ],
)
def test_invalid_arguments_are_explained_in_a_line_and_exit_with_1(
    args: list[str], message: str, runner: Any
) -> None:
    result = runner.invoke(args=["users", *args])

    assert result.exit_code == 1
    assert message in result.output
    assert "Traceback" not in result.output


def test_an_email_has_one_account(runner: Any) -> None:
    runner.invoke(args=["users", "create", "ann@example.com"])

    result = runner.invoke(args=["users", "create", "ANN@example.com"])

    assert result.exit_code == 1
    assert "already has an account" in result.output


def test_the_last_administrator_cannot_be_demoted(runner: Any, app: Flask) -> None:
    runner.invoke(args=["users", "create", "ann@example.com", "--admin"])

    demoted = runner.invoke(args=["users", "demote", "ann@example.com"])
    disabled = runner.invoke(args=["users", "disable", "ann@example.com"])
    deleted = runner.invoke(args=["users", "delete", "ann@example.com", "--yes"])

    assert demoted.exit_code == 1
    assert "last administrator" in demoted.output
    assert disabled.exit_code == 1
    assert "last administrator" in disabled.output
    assert deleted.exit_code == 1
    assert "last administrator" in deleted.output
    with app.app_context():
        user = accounts.get_by_email("ann@example.com")
        assert user.is_admin
        assert not user.is_closing


def test_the_list_marks_disabled_users(runner: Any) -> None:
    runner.invoke(args=["users", "create", "ann@example.com"])
    runner.invoke(args=["users", "disable", "ann@example.com"])

    (line,) = runner.invoke(args=["users", "list"]).output.splitlines()
    (as_json,) = runner.invoke(args=["users", "list", "--json"]).output.splitlines()

    assert line.endswith("disabled")
    assert json.loads(as_json)["disabled_at"]


def test_deletion_requires_confirmation(runner: Any, app: Flask) -> None:
    runner.invoke(args=["users", "create", "ann@example.com"])

    assert runner.invoke(args=["users", "delete", "ann@example.com"], input="n\n").exit_code == 1
    with app.app_context():
        assert accounts.find_by_email("ann@example.com")
    assert runner.invoke(args=["users", "delete", "ann@example.com"], input="y\n").exit_code == 0
    with app.app_context():
        assert accounts.find_by_email("ann@example.com") is None

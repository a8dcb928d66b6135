"""The app-wide commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.engine import make_url

from saas.auth.models import User
from saas.billing import subscriptions
from tests.harness import stripe_account
from tests.harness.apps import SECRET
from tests.harness.commands import flask
from tests.harness.production import PRODUCTION
from tests.harness.shop import Shop


@pytest.mark.parametrize("command", [("check",), ("users", "list"), ("worker",)])
def test_invalid_settings_are_reported_in_lines_without_a_traceback(
    command: tuple[str, ...],
) -> None:
    result = flask(*command, SECRET_KEY="short", PAST_DUE_GRACE_DAYS="soon", SMTP_URL="mail")

    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "The configuration is invalid.",
        "PAST_DUE_GRACE_DAYS: must be a whole number of days.",
        "SECRET_KEY: must have at least 32 characters.",
        "SMTP_URL: must start with smtp://, smtps:// or smtp+starttls://.",
    ]


def test_an_incomplete_production_does_not_start_and_prints_no_value() -> None:
    half = {name: value for name, value in PRODUCTION.items() if name != "STRIPE_WEBHOOK_SECRET"}
    changed = {"APP_URL": "http://hidden.example", "GOOGLE_CLIENT_ID": "hidden-client"}

    for command in (("check",), ("users", "list")):
        result = flask(*command, **{**half, **changed, "SECRET_KEY": "hidden"})
        assert result.returncode == 1
        assert [line.partition(":")[0] for line in result.stderr.splitlines()[1:]] == [
            "APP_URL", "GOOGLE_CLIENT_SECRET", "SECRET_KEY", "STRIPE_WEBHOOK_SECRET",
        ]  # fmt: skip
        assert "hidden" not in result.stderr + result.stdout
        assert "Traceback" not in result.stderr


def test_a_test_key_in_production_is_only_a_warning(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/app.db"
    production = {**PRODUCTION, "STRIPE_API_KEY": "sk_test_hidden", "DATABASE_URL": url}
    flask("db", "upgrade", **production)

    result = flask("check", **production)

    assert result.stdout == "No problems found.\n"
    assert result.returncode == 0
    assert (
        "Warning: STRIPE_API_KEY is a test key, so no real payments are possible."
        in result.stderr.splitlines()
    )
    assert "hidden" not in result.stderr


def test_flask_check_passes_on_a_correct_set_up(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", SECRET)
    result = shop.app.test_cli_runner().invoke(args=["check"])

    assert result.output == "No problems found.\n"
    assert result.exit_code == 0


def test_flask_check_names_the_command_to_run(
    make_app: Callable[..., Flask], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", SECRET)
    app = make_app(DATABASE_URL=f"sqlite:///{tmp_path}/new.db")

    result = app.test_cli_runner().invoke(args=["check"])

    assert result.exit_code == 1
    assert "The database is empty. Run: flask db upgrade" in result.output
    assert "The sandbox is not set up yet. Run: flask seed" in result.output


def test_flask_check_reports_an_unreachable_database(
    make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", SECRET)
    app = make_app(DATABASE_URL="postgresql://nobody:hidden@127.0.0.1:1/nothing")

    result = app.test_cli_runner().invoke(args=["check"])

    assert result.exit_code == 1
    assert "DATABASE_URL: the database cannot be used: " in result.output
    assert "Connection refused" in result.output
    assert "hidden" not in result.output


def test_the_folder_of_a_new_database_is_created(
    make_app: Callable[..., Flask], tmp_path: Path
) -> None:
    app = make_app(DATABASE_URL=f"sqlite:///{tmp_path}/data/deep/app.db")

    result = app.test_cli_runner().invoke(args=["users", "list"])

    assert "The database is empty. Run: flask db upgrade" in result.output
    assert (tmp_path / "data" / "deep").is_dir()


def test_an_unusable_database_file_is_reported_with_its_cause(
    make_app: Callable[..., Flask], tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("this is no database, and long enough to be read as one")
    (tmp_path / "folder").mkdir()
    causes = {
        "notes.txt": f"the file {tmp_path}/notes.txt is not an SQLite database",
        "folder": f"the file {tmp_path}/folder cannot be opened: it is a folder",
        "notes.txt/app.db": f"{tmp_path}/notes.txt is a file, not a folder",
    }

    for name, cause in causes.items():
        app = make_app(DATABASE_URL=f"sqlite:///{tmp_path}/{name}")
        result = app.test_cli_runner().invoke(args=["users", "list"])
        assert result.exit_code == 1
        assert cause in result.output


@pytest.mark.postgres
def test_errors_of_postgresql_are_reported_with_its_message(
    make_app: Callable[..., Flask], postgres_server: str
) -> None:
    url = make_url(postgres_server)
    for wrong, cause in (
        (url.set(database="missing"), 'database "missing" does not exist'),
        (url.set(database="x", host="nowhere.invalid"), "nowhere.invalid"),
    ):
        app = make_app(DATABASE_URL=wrong.render_as_string(hide_password=False))
        result = app.test_cli_runner().invoke(args=["users", "list"])
        assert result.exit_code == 1
        assert cause in result.output
        assert "Traceback" not in result.output


@pytest.mark.parametrize("command", [("users", "list"), ("billing", "sync", "--all")])
def test_a_database_that_is_not_ready_is_explained_in_a_sentence(
    command: tuple[str, ...], make_app: Callable[..., Flask], tmp_path: Path
) -> None:
    empty = make_app(DATABASE_URL=f"sqlite:///{tmp_path}/new.db")
    away = make_app(DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing")

    for app, message in ((empty, "Run: flask db upgrade"), (away, "The database cannot be used: ")):
        result = app.test_cli_runner().invoke(args=command)
        assert result.exit_code == 1
        assert message in result.output


@pytest.fixture
def seed(shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], str]:
    """Run `flask seed` for a shop, in its environment."""
    shop.app.instance_path = str(tmp_path)
    env = {name: shop.app.config[name] for name in ("APP_URL", "SANDBOX_URL", "DATABASE_URL")}
    account = {"SANDBOX_STRIPE_API_KEY": shop.key, **shop.price_variables}
    for name, value in {**env, **account, "SECRET_KEY": SECRET, "SAAS_ENV": "test"}.items():
        monkeypatch.setenv(name, value)

    def run() -> str:
        result = shop.app.test_cli_runner().invoke(args=["seed"])
        assert result.exit_code == 0, result.output
        return result.output

    return run


def test_seeding_again_completes_an_interrupted_run(shop: Shop, seed: Callable[[], str]) -> None:
    shop.app.test_cli_runner().invoke(args=["users", "create", "solo@example.com"])

    assert "solo@example.com       user   Solo" in seed()


def test_seeding_again_restores_plans_that_ended_or_changed_their_price(
    shop: Shop, seed: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def cancel_and_seed() -> User:
        subscription = shop.user("solo@example.com").stripe_subscription_id
        at_stripe.subscriptions.cancel(str(subscription))
        with shop.app.app_context():
            subscriptions.sync(shop.user("solo@example.com").id, cause="test")
        seed()
        return shop.user("solo@example.com")

    at_stripe = stripe_account.client(shop).v1
    seed()
    first = shop.user("solo@example.com")
    seed()
    assert shop.user("solo@example.com").stripe_subscription_id == first.stripe_subscription_id

    second = cancel_and_seed()
    assert second.stripe_subscription_status == "active"
    assert second.stripe_subscription_id != first.stripe_subscription_id

    old = at_stripe.prices.retrieve(shop.price["solo", "monthly"])
    raised = at_stripe.prices.create(
        {
            "product": str(old.product), "currency": "eur", "unit_amount": 1900,
            "recurring": {"interval": "month"},
        }
    ).id  # fmt: skip
    monkeypatch.setenv("SANDBOX_STRIPE_SOLO_MONTHLY_PRICE_ID", raised)
    assert cancel_and_seed().stripe_price_id == raised


def test_demo_data_is_never_sent_to_a_real_stripe(tmp_path: Path) -> None:
    live = {name: value for name, value in PRODUCTION.items() if name.startswith("STRIPE_")}

    result = flask("seed", DATABASE_URL=f"sqlite:///{tmp_path}/a.db", **live)

    assert result.returncode == 1
    assert "STRIPE_API_KEY is a live key" in result.stderr


def test_demo_data_is_refused_in_production() -> None:
    result = flask("seed", **PRODUCTION)

    assert result.returncode == 1
    assert result.stderr == "Error: Demo data is for development only. SAAS_ENV is production.\n"


def test_the_sandbox_does_not_run_in_production() -> None:
    result = flask("sandbox", **PRODUCTION)

    assert result.returncode == 2
    assert "No such command 'sandbox'" in result.stderr


@pytest.mark.parametrize("command", ["check", "seed", "worker", "sandbox", "users", "billing"])
def test_every_command_has_help(command: str, runner: Any) -> None:
    result = runner.invoke(args=[command, "--help"])

    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 4

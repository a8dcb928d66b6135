"""The app-wide commands: check, seed, worker, sandbox."""

from __future__ import annotations

import os
import secrets
import warnings
from pathlib import Path

import click
from flask import Flask, current_app
from flask.cli import with_appcontext

from saas import config, jobs, migrations, outside
from saas.auth import accounts
from saas.billing import gateway, setup, subscriptions


def init_app(app: Flask) -> None:
    """Register the commands."""
    for command in (check, seed, worker):
        app.cli.add_command(command)
    if app.config["SAAS_ENV"] != "production":
        from saas.sandbox.cli import sandbox

        app.cli.add_command(sandbox)


@click.command("check")
@with_appcontext
def check() -> None:
    """Look over settings, migrations, secrets and price ids.

    Prints a line for each problem, never a secret, and exits with 1 when there is one. (With
    settings that cannot be used the application does not start, and says the same.)
    """
    problems = [*_settings_problems(), *_database_problems(), *_stripe_problems()]
    for problem in problems:
        click.echo(problem, err=True)
    if problems:
        raise SystemExit(1)
    click.echo("Everything is in order.")


def _settings_problems() -> list[str]:
    with warnings.catch_warnings(record=True) as doubts:
        warnings.simplefilter("always")
        try:
            config.from_env(config.environment())
        except config.ConfigError as error:
            return [f"{name}: {' '.join(said)}" for name, said in error.problems.items()]
    return [str(doubt.message) for doubt in doubts]


def _database_problems() -> list[str]:
    from sqlalchemy.exc import SQLAlchemyError

    advice = {
        "empty": "The database is empty. Run: flask db upgrade",
        "behind": "The database is older than the code. Run: flask db upgrade",
        "newer": "The database is newer than the code. Check out the code that migrated it.",
    }
    try:
        state = migrations.state()
    except SQLAlchemyError as error:
        return [f"DATABASE_URL: the database does not answer ({type(error).__name__})."]
    return [advice[state]] if state in advice else []


def _stripe_problems() -> list[str]:
    settings = current_app.config
    missing = [
        name for key, name in config.PRICE_VARIABLES.items() if key not in settings["STRIPE_PRICES"]
    ]
    if not settings["STRIPE_API_KEY"]:
        return ["The sandbox is not set up yet. Run: flask seed"]
    if not settings["STRIPE_WEBHOOK_SECRETS"]:
        missing.append("STRIPE_WEBHOOK_SECRET")
    return [f"{name} is missing." for name in missing]


@click.command("seed")
@with_appcontext
def seed() -> None:
    """Fill the sandbox with the catalogue, and the database with demo people. Development only.

    Writes the ids that the sandbox gave to instance/sandbox.env. Running it again adds nothing.
    """
    if current_app.config["SAAS_ENV"] == "production":
        raise click.ClickException("Demo data is for development, and this is production.")
    if current_app.config["STRIPE_IS_SANDBOX"]:
        _use_sandbox_key()
    with outside.sandbox():
        if current_app.config["STRIPE_IS_SANDBOX"]:
            _set_up_sandbox()
        for email, name, role, sold in _DEMO:
            _seed_person(email, name, role, sold)
    click.echo("The sandbox has the catalogue, the database the demo people:")
    for email, name, role, sold in _DEMO:
        bought = f"{sold[0]}, {sold[1]}" if sold else "no plan"
        click.echo(f"  {email:<22} {name:<14} {role:<6} {bought}")


_DEMO: tuple[tuple[str, str, str, tuple[str, str] | None], ...] = (
    ("admin@example.com", "Ada Admin", "admin", None),
    ("free@example.com", "Fay Free", "user", None),
    ("pro@example.com", "Pia Pro", "user", ("pro", "monthly")),
    ("business@example.com", "Ben Business", "user", ("business", "yearly")),
)


def _sandbox_env() -> Path:
    return Path(current_app.instance_path) / "sandbox.env"


def _use_sandbox_key() -> None:
    """A key of our own is an account of our own at the sandbox."""
    if not current_app.config["STRIPE_API_KEY"]:
        key = f"sk_test_{secrets.token_hex(16)}"
        setup.write_env(_sandbox_env(), {"SANDBOX_STRIPE_API_KEY": key})
        _reload_settings()


def _set_up_sandbox() -> None:
    from saas import security

    gateway.move_webhook_endpoints("/api/webhooks/stripe", security.public_url("billing.webhook"))
    setup.write_env(_sandbox_env(), setup.set_up(prefix="SANDBOX_"))
    _reload_settings()


def _reload_settings() -> None:
    current_app.config.update(config.from_env(config.environment()))


def _seed_person(email: str, name: str, role: str, sold: tuple[str, str] | None) -> None:
    if accounts.find(email):
        return
    person = accounts.sign_up(email, name=name, role=role)
    if sold:
        customer = subscriptions.ensure_customer(person)
        gateway.attach_card(customer, "pm_card_visa")
        gateway.subscribe(
            customer,
            subscriptions.price_for(*sold),
            subscriptions.metadata_of(person),
            key=f"seed:{person.id}",
        )
        subscriptions.sync(person.id, cause="flask seed")


@click.command("worker")
@click.option(
    "--workers", default=2, show_default=True, type=click.IntRange(1, 64), help="Threads."
)
@with_appcontext
def worker(workers: int) -> None:
    """Run the jobs: hand over mails, and sweep up what was left behind. Stop it with SIGTERM."""
    if current_app.config["JOBS_URL"] == "inline:":
        raise click.ClickException("JOBS_URL is inline: nothing is queued.")
    application = current_app._get_current_object()  # type: ignore[attr-defined]  # the app itself
    click.echo(f"Worker {os.getpid()} is ready.", err=True)
    jobs.work(application, workers)

"""The app-wide commands: check, seed, worker, sandbox."""

from __future__ import annotations

import os
import secrets
import warnings
from collections.abc import Callable, Iterator
from functools import wraps
from itertools import cycle
from pathlib import Path
from typing import Any

import click
from flask import Flask, current_app
from flask.cli import with_appcontext
from sqlalchemy.exc import SQLAlchemyError

from saas import config, jobs, products, sandbox_process, schema_state
from saas.auth import accounts
from saas.auth.models import User
from saas.billing import checkout, customers, gateway, subscriptions
from saas.billing.operator import provisioning
from saas.database_errors import describe
from saas.mail.cli import mail
from saas.plans import Interval, Plan


def init_app(app: Flask) -> None:
    """Register the commands."""
    for command in (check, seed, worker, mail):
        app.cli.add_command(command)
    if app.config["SAAS_ENV"] != "production":
        app.cli.add_command(sandbox)
    for command in app.cli.commands.values():
        _explain(command)


def _explain(command: click.Command) -> None:
    """Let a command that meets a database or a Stripe that is away say so in a sentence."""
    if isinstance(command, click.Group):
        for subcommand in command.commands.values():
            _explain(subcommand)
    elif command.callback is not None and not hasattr(command.callback, "explained"):
        command.callback = _explained(command.callback)


def _explained(run: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(run)
    def explained(*args: Any, **kwargs: Any) -> Any:
        try:
            return run(*args, **kwargs)
        except gateway.StripeError as error:
            raise click.ClickException(f"{gateway.describe(error)}.") from None
        except SQLAlchemyError as error:
            raise click.ClickException(_advice(error)) from None

    explained.explained = True  # type: ignore[attr-defined]  # a mark against doing it twice
    return explained


def _advice(error: SQLAlchemyError) -> str:
    try:
        state = schema_state.state()
    except SQLAlchemyError:
        return f"The database cannot be used: {describe(error)}. See DATABASE_URL."
    reason = f"The database refused: {describe(error)}."
    return f"{reason} {_MIGRATION_ADVICE[state]}" if state in _MIGRATION_ADVICE else reason


@click.command("check")
@with_appcontext
def check() -> None:
    """Look over settings, migrations, secrets and price ids.

    Prints a line for each problem, never a secret, and exits with 1 when there is one; what is
    merely doubtful is a warning. (With settings that cannot be used the application does not
    start, and says the same.)
    """
    for doubt in _warnings():
        click.echo(f"Warning: {doubt}", err=True)
    problems = [*_database_problems(), *_stripe_problems()]
    for problem in problems:
        click.echo(problem, err=True)
    if problems:
        raise SystemExit(1)
    click.echo("Everything is in order.")


def _warnings() -> list[str]:
    """What can be used, and is perhaps not meant."""
    with warnings.catch_warnings(record=True) as doubts:
        warnings.simplefilter("always")
        try:
            config.from_env(config.environment(), products.current())
        except config.ConfigError as error:  # changed since the application has started
            raise click.ClickException(str(error)) from None
    return [str(doubt.message) for doubt in doubts]


def _database_problems() -> list[str]:
    try:
        state = schema_state.state()
    except SQLAlchemyError as error:
        return [f"DATABASE_URL: the database cannot be used: {describe(error)}."]
    return [_MIGRATION_ADVICE[state]] if state in _MIGRATION_ADVICE else []


_MIGRATION_ADVICE = {
    "empty": "The database is empty. Run: flask db upgrade",
    "behind": "The database is older than the code. Run: flask db upgrade",
    "newer": "The database is newer than the code. Check out the code that migrated it.",
}


def _stripe_problems() -> list[str]:
    settings = current_app.config
    missing = [
        name
        for key, name in products.catalogue().price_variables.items()
        if key not in settings["STRIPE_PRICES"]
    ]
    if not settings["STRIPE_API_KEY"]:
        return ["The sandbox is not set up yet. Run: flask seed"]
    if not settings["STRIPE_WEBHOOK_SECRETS"]:
        missing.append("STRIPE_WEBHOOK_SECRET")
    advice = "flask seed" if settings["STRIPE_IS_SANDBOX"] else "flask billing setup"
    return [f"{name} is missing. Run: {advice}" for name in missing]


@click.command("seed")
@with_appcontext
def seed() -> None:
    """Fill the sandbox with the catalogue, and the database with demo people. Development only.

    Writes the ids that the sandbox gave to instance/sandbox.env. Running it again adds nothing.
    With a Stripe test key of your own the people are made without plans, and Stripe is not asked.
    """
    if current_app.config["SAAS_ENV"] == "production":
        raise click.ClickException("Demo data is for development, and this is production.")
    if gateway.is_live():
        raise click.ClickException("STRIPE_API_KEY is a live key: demo people would cost money.")
    if current_app.config["STRIPE_IS_SANDBOX"]:
        _use_sandbox_key()
    with sandbox_process.sandbox():
        if current_app.config["STRIPE_IS_SANDBOX"]:
            _set_up_sandbox()
        users = [_seed_user(*person) for person in _demo_users()]
    click.echo("The database has the demo people:")
    for user in users:
        click.echo(f"  {user.email:<22} {user.role:<6} {user.plan.name}")


def _demo_users() -> Iterator[tuple[str, str, str, tuple[Plan, Interval] | None]]:
    """An administrator, one without a plan, and one for each plan, such as pro@example.com."""
    yield "admin@example.com", "Ada Admin", "admin", None
    yield "free@example.com", "Fay Free", "user", None
    names = cycle(("Pia", "Ben", "Mia", "Leo", "Zoe"))
    for number, plan in enumerate(products.catalogue().for_sale):
        interval = plan.intervals[min(number, len(plan.intervals) - 1)]
        yield f"{plan.id}@example.com", f"{next(names)} {plan.name}", "user", (plan, interval)


def _sandbox_env() -> Path:
    return Path(current_app.instance_path) / "sandbox.env"


def _use_sandbox_key() -> None:
    """A key of our own is an account of our own at the sandbox."""
    if not current_app.config["STRIPE_API_KEY"]:
        key = f"sk_test_{secrets.token_hex(16)}"
        provisioning.write_env(_sandbox_env(), {"SANDBOX_STRIPE_API_KEY": key})
        _reload_settings()


def _set_up_sandbox() -> None:
    from saas import security

    gateway.move_webhook_endpoints("/api/webhooks/stripe", security.public_url("billing.webhook"))
    provisioning.write_env(_sandbox_env(), provisioning.set_up(prefix="SANDBOX_"))
    _reload_settings()


def _reload_settings() -> None:
    settings = config.from_env(config.environment(), products.current())
    current_app.config.update(settings)


def _seed_user(email: str, name: str, role: str, sold: tuple[Plan, Interval] | None) -> User:
    """The person, made now or completed; with a plan only where the sandbox plays Stripe."""
    user = accounts.get_or_create(email, name=name, role=role)
    if sold and current_app.config["STRIPE_IS_SANDBOX"] and not user.is_subscribed:
        plan, interval = sold
        customer, price = customers.ensure_customer(user), checkout.price_for(plan.id, interval)
        gateway.attach_card(customer, "pm_card_visa")
        # Another one when the last has ended, or is sold at another price now.
        counter = accounts.get_by_email(email).stripe_sync_counter
        gateway.subscribe(
            customer,
            price,
            customers.metadata_for(user),
            key=f"seed:{user.id}:{price}:{counter}",
        )
        user = subscriptions.sync(user.id, cause="flask seed") or user
    return user


@click.command("sandbox", context_settings={"ignore_unknown_options": True})
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
@with_appcontext
def sandbox(options: tuple[str, ...]) -> None:
    """Serve the stand-ins for Stripe, the mailbox, Google and GitHub.

    Options are --port (5001) and --data (instance/sandbox.db). See sandbox/README.md.
    """
    data = Path(current_app.instance_path) / "sandbox.db"
    command = [*sandbox_process.command(), "--data", str(data)]  # of two, the later one counts
    os.execv(command[0], [*command, *options])  # noqa: S606 - our own command, no shell


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
    try:
        application.extensions["queue"].ping()
    except Exception as error:  # each storage has its own kinds
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise click.ClickException(f"JOBS_URL: the queue does not answer: {reason}") from None
    click.echo(f"Worker {os.getpid()} is ready.", err=True)
    jobs.run_worker(application, workers)

"""Application-wide commands: check, seed, worker, sandbox."""

from __future__ import annotations

import os
import secrets
import warnings
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import wraps
from itertools import cycle
from pathlib import Path
from typing import Any

import click
from flask import Flask, current_app
from flask.cli import with_appcontext
from sqlalchemy.exc import SQLAlchemyError

from saas import config, jobs, metrics, products, sandbox_process, schema_state
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
    """Make a command report database and Stripe errors in one sentence."""
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

    explained.explained = True  # type: ignore[attr-defined]  # prevents wrapping it twice
    return explained


def _advice(error: SQLAlchemyError) -> str:
    try:
        state = schema_state.state()
    except SQLAlchemyError:
        return f"The database cannot be used: {describe(error)}. See DATABASE_URL."
    reason = f"Database error: {describe(error)}."
    return f"{reason} {_MIGRATION_ADVICE[state]}" if state in _MIGRATION_ADVICE else reason


@click.command("check")
@with_appcontext
def check() -> None:
    """Check settings, migrations, secrets and price ids.

    Prints a line for each problem, never a secret, and exits with 1 if there are any. Settings that
    are valid but probably unintended cause a warning. With invalid settings the application does
    not start, and prints the same errors.
    """
    for doubt in (*_warnings(), *_worker_warnings()):
        click.echo(f"Warning: {doubt}", err=True)
    problems = [*_database_problems(), *_stripe_problems()]
    for problem in problems:
        click.echo(problem, err=True)
    if problems:
        raise SystemExit(1)
    click.echo("No problems found.")


def _warnings() -> list[str]:
    """Return warnings about settings that are valid but probably unintended."""
    with warnings.catch_warnings(record=True) as doubts:
        warnings.simplefilter("always")
        try:
            config.from_env(config.environment(), products.current())
        except config.ConfigError as error:  # the environment has changed since startup
            raise click.ClickException(str(error)) from None
    return [str(doubt.message) for doubt in doubts]


def _worker_warnings() -> list[str]:
    """Return warnings about the worker and its queue. Without them, emails wait."""
    if current_app.config["JOBS_URL"] == "inline:":
        return []
    doubts = []
    try:
        current_app.extensions["queue"].ping()
    except Exception as error:  # each storage raises its own exceptions
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        doubts.append(f"JOBS_URL: the queue is unreachable: {reason}.")
    try:
        overdue = jobs.overdue()
    except SQLAlchemyError:
        return doubts  # reported with the database
    if overdue is None:
        doubts.append("No worker has run yet. Start one: flask worker")
    elif overdue > jobs.MAX_OVERDUE:
        minutes = overdue // timedelta(minutes=1)
        doubts.append(f"No worker has run for {minutes} minutes. Start one: flask worker")
    return doubts


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
    """Create demo users and the sandbox's prices.

    For development only. Creates the catalogue in the sandbox and demo users in the database.
    Writes the ids from the sandbox to instance/sandbox.env. Running it again adds nothing. With
    your own Stripe test key, the demo users have no plans, and Stripe is not called.
    """
    if current_app.config["SAAS_ENV"] == "production":
        raise click.ClickException("Demo data is for development only. SAAS_ENV is production.")
    if gateway.is_live():
        raise click.ClickException(
            "STRIPE_API_KEY is a live key. Demo data needs a test key or the sandbox."
        )
    if current_app.config["STRIPE_IS_SANDBOX"]:
        _use_sandbox_key()
    with sandbox_process.sandbox():
        if current_app.config["STRIPE_IS_SANDBOX"]:
            _set_up_sandbox()
        users = [_seed_user(*demo_user) for demo_user in _demo_users()]
    click.echo("Demo users in the database:")
    for user in users:
        click.echo(f"  {user.email:<22} {user.role:<6} {user.plan.name}")


def _demo_users() -> Iterator[tuple[str, str, str, tuple[Plan, Interval] | None]]:
    """Yield an administrator, a free user, and a subscriber of each plan, such as pro@example.com.

    One-time plans are bought on a page, so that they have none.
    """
    yield "admin@example.com", "Ada Admin", "admin", None
    yield "free@example.com", "Fay Free", "user", None
    names = cycle(("Pia", "Ben", "Mia", "Leo", "Zoe"))
    subscribed = [plan for plan in products.catalogue().for_sale if not plan.is_one_time]
    for number, plan in enumerate(subscribed):
        interval = plan.intervals[min(number, len(plan.intervals) - 1)]
        yield f"{plan.id}@example.com", f"{next(names)} {plan.name}", "user", (plan, interval)


def _sandbox_env() -> Path:
    return Path(current_app.instance_path) / "sandbox.env"


def _use_sandbox_key() -> None:
    """Create a key if there is none: each key is a separate account in the sandbox."""
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
    """Return the user, created or completed; with a plan only when the sandbox is used."""
    user = accounts.get_or_create(email, name=name, role=role)
    if sold and current_app.config["STRIPE_IS_SANDBOX"] and not user.is_subscribed:
        plan, interval = sold
        customer, price = customers.ensure_customer(user), checkout.price_for(plan.id, interval)
        gateway.attach_card(customer, "pm_card_visa")
        # The key changes when the previous subscription has ended or the price has changed.
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
    """Serve local stand-ins for Stripe, a mailbox, Google and GitHub.

    Options: --port (default 5001) and --data (default instance/sandbox.db). See sandbox/README.md.
    """
    data = Path(current_app.instance_path) / "sandbox.db"
    command = [*sandbox_process.command(), "--data", str(data)]  # a later --data overrides it
    os.execv(command[0], [*command, *options])  # noqa: S606 - our own command, no shell


_OTHER_THREADS = 4  # of a worker that use the database: two for the schedule, and their leases


@click.command("worker")
@click.option(
    "--workers", default=2, show_default=True, type=click.IntRange(1, 64), help="Number of threads."
)
@with_appcontext
def worker(workers: int) -> None:
    """Send emails and run background and periodic tasks. Stop it with SIGTERM."""
    if current_app.config["JOBS_URL"] == "inline:":
        raise click.ClickException(
            "JOBS_URL is inline:, so jobs run immediately and no worker is needed."
        )
    needed, size = workers + _OTHER_THREADS, current_app.config["DATABASE_POOL_SIZE"]
    if needed > size:
        raise click.ClickException(
            f"{workers} threads need DATABASE_POOL_SIZE={needed}, which is {size}."
        )
    application = current_app._get_current_object()  # type: ignore[attr-defined]  # the app itself
    if port := current_app.config["METRICS_PORT"]:
        metrics.serve(application, current_app.config["METRICS_HOST"], port + 1)
    click.echo(f"Worker {os.getpid()} is ready.", err=True)
    jobs.run_worker(application, workers)

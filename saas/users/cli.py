"""`flask users …`: people and roles."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import click

from saas import sandbox_process
from saas.auth import accounts, audit, roles
from saas.auth.audit import OPERATOR
from saas.auth.models import User
from saas.users import account_deletion, bp
from saas.users.export import export_user
from saas.users.schemas import AuditEntrySchema, OperatorsUserSchema

bp.cli.short_help = "People: make, list, promote, demote, disable, delete, export."

Args = ParamSpec("Args")


def explained(command: Callable[Args, None]) -> Callable[Args, None]:
    """One sentence and exit code 1 for what cannot be done."""

    @wraps(command)
    def answered(*args: Args.args, **kwargs: Args.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except (accounts.AccountError, account_deletion.DeletionFailed, ValueError) as error:
            raise click.ClickException(str(error)) from None

    return answered


@bp.cli.command("create")
@click.argument("email")
@click.option("--name", help="1 to 100 characters.")
@click.option("--admin", is_flag=True, help="As an administrator.")
@explained
def create(email: str, name: str | None, admin: bool) -> None:
    """Make an account for EMAIL; its owner signs in with a mailed link as everybody does."""
    address = accounts.clean_email(email)
    name = accounts.clean_name(name) if name is not None else None
    accounts.create(address, name=name, role="admin" if admin else "user", by=OPERATOR)
    click.echo(f"Created {address}{' as an administrator' if admin else ''}.")


@bp.cli.command("promote")
@click.argument("email")
@explained
def promote(email: str) -> None:
    """Make EMAIL an administrator. Only here: nobody raises their own role."""
    user = accounts.get_by_email(email)
    roles.promote(user, by=OPERATOR)
    click.echo(f"{user.email} is an administrator.")


@bp.cli.command("demote")
@click.argument("email")
@explained
def demote(email: str) -> None:
    """Make EMAIL a user again. The last administrator stays one."""
    user = accounts.get_by_email(email)
    roles.demote(user, by=OPERATOR)
    click.echo(f"{user.email} is a user.")


@bp.cli.command("disable")
@click.argument("email")
@explained
def disable(email: str) -> None:
    """Sign EMAIL out everywhere and let them in no more, by any way.

    Nothing is deleted, and a subscription goes on: end it at Stripe. The last administrator who
    can sign in cannot be disabled.
    """
    user = accounts.get_by_email(email)
    roles.disable(user, by=OPERATOR)
    click.echo(f"{user.email} is disabled and signed out everywhere.")
    if user.is_subscribed:
        click.echo("Their subscription continues. Cancel it at Stripe if it shouldn't.")


@bp.cli.command("enable")
@click.argument("email")
@explained
def enable(email: str) -> None:
    """Let a disabled EMAIL sign in again."""
    user = accounts.get_by_email(email)
    roles.enable(user, by=OPERATOR)
    click.echo(f"{user.email} can sign in again.")


@bp.cli.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_users(as_json: bool) -> None:
    """Everybody, by address: role, plan, status, and who is disabled."""
    for user in accounts.list_all():
        click.echo(json.dumps(OperatorsUserSchema().dump(user)) if as_json else _format(user))


@bp.cli.command("history")
@click.argument("email")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@explained
def history(email: str, as_json: bool) -> None:
    """What administrators and operators did to EMAIL: when, who, what."""
    for entry in audit.history(accounts.get_by_email(email).id):
        if as_json:
            click.echo(json.dumps(AuditEntrySchema().dump(entry)))
        else:
            click.echo(f"{entry.at:%Y-%m-%d %H:%M:%S}Z  {audit.name_of(entry):<40} {entry.action}")


@bp.cli.command("export")
@click.argument("email")
@explained
def export(email: str) -> None:
    """Write everything that we hold about EMAIL to standard output, as JSON without secrets.

    The same as the download in the settings. What Stripe holds is with Stripe.
    """
    user = accounts.get_by_email(email)
    everything = export_user(user)
    audit.note("export", user.id, by=OPERATOR)
    click.echo(json.dumps(everything, indent=2, ensure_ascii=False))


@bp.cli.command("delete")
@click.argument("email")
@click.option("--yes", is_flag=True, help="Do not ask.")
@sandbox_process.requires_sandbox
@explained
def delete(email: str, yes: bool) -> None:
    """Close the account of EMAIL: cancel at Stripe first, then delete every row of theirs.

    The last administrator cannot be deleted.
    """
    user = accounts.get_by_email(email)
    if not yes:
        click.confirm(f"Delete {user.email} and cancel what they pay for?", abort=True)
    account_deletion.delete_account(user, by=OPERATOR)
    click.echo(f"Deleted {user.email}.")


def _format(user: User) -> str:
    status = user.stripe_subscription_status or "-"
    disabled = "  disabled" if user.disabled_at else ""
    return f"{user.email:<40} {user.role:<6} {user.plan.name:<10} {status}{disabled}"

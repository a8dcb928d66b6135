"""`flask users …`: manage users and roles."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import ParamSpec

import click

from saas import sandbox_process
from saas.auth import accounts, audit, roles, sessions
from saas.auth.audit import OPERATOR
from saas.auth.models import User
from saas.billing import grants
from saas.users import account_deletion, bp
from saas.users.export import export_user
from saas.users.schemas import AuditEntrySchema, OperatorsUserSchema

bp.cli.short_help = "Create, list, promote, disable, export and delete users, and grant plans."

Args = ParamSpec("Args")

_EXPLAINED = (
    accounts.AccountError,
    account_deletion.DeletionFailed,
    grants.GrantError,
    ValueError,
)


def explained(command: Callable[Args, None]) -> Callable[Args, None]:
    """Turn domain errors into one sentence and exit code 1."""

    @wraps(command)
    def answered(*args: Args.args, **kwargs: Args.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except _EXPLAINED as error:
            raise click.ClickException(str(error)) from None

    return answered


@bp.cli.command("create")
@click.argument("email")
@click.option("--name", help="The user's name, 1 to 100 characters.")
@click.option("--admin", is_flag=True, help="Make the user an administrator.")
@explained
def create(email: str, name: str | None, admin: bool) -> None:
    """Create an account for EMAIL. The user signs in with an emailed link."""
    clean = accounts.clean_email(email)
    name = accounts.clean_name(name) if name is not None else None
    accounts.create(clean, name=name, role="admin" if admin else "user", by=OPERATOR)
    click.echo(f"Created {clean}{' as an administrator' if admin else ''}.")


@bp.cli.command("promote")
@click.argument("email")
@click.option("--reason", help="Why, in up to 200 characters, for the audit log.")
@explained
def promote(email: str, reason: str | None) -> None:
    """Make EMAIL an administrator. The admin pages can do this too."""
    user = accounts.get_by_email(email)
    roles.promote(user, by=OPERATOR, reason=_clean(reason))
    click.echo(f"{user.email} is now an administrator.")


@bp.cli.command("demote")
@click.argument("email")
@click.option("--reason", help="Why, in up to 200 characters, for the audit log.")
@explained
def demote(email: str, reason: str | None) -> None:
    """Make EMAIL an ordinary user. The last administrator cannot be demoted."""
    user = accounts.get_by_email(email)
    roles.demote(user, by=OPERATOR, reason=_clean(reason))
    click.echo(f"{user.email} is now an ordinary user.")


@bp.cli.command("disable")
@click.argument("email")
@click.option("--reason", help="Why, in up to 200 characters, for the audit log.")
@explained
def disable(email: str, reason: str | None) -> None:
    """Sign EMAIL out everywhere and block every sign-in method.

    Nothing is deleted, and a subscription continues: cancel it in Stripe. The last administrator
    who can sign in cannot be disabled.
    """
    user = accounts.get_by_email(email)
    roles.disable(user, by=OPERATOR, reason=_clean(reason))
    click.echo(f"{user.email} is disabled and signed out everywhere.")
    if user.is_subscribed:
        click.echo("Their subscription continues. Cancel it in Stripe if it shouldn't.")


@bp.cli.command("enable")
@click.argument("email")
@click.option("--reason", help="Why, in up to 200 characters, for the audit log.")
@explained
def enable(email: str, reason: str | None) -> None:
    """Let a disabled EMAIL sign in again."""
    user = accounts.get_by_email(email)
    roles.enable(user, by=OPERATOR, reason=_clean(reason))
    click.echo(f"{user.email} can sign in again.")


@bp.cli.command("grant")
@click.argument("email")
@click.argument("plan")
@click.option("--reason", required=True, help="Why, in up to 200 characters. It is in the export.")
@click.option(
    "--until",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DATE",
    help="The last day (UTC), such as 2027-03-31. Without it, the plan stays.",
)
@explained
def grant(email: str, plan: str, reason: str, until: datetime | None) -> None:
    """Give EMAIL a PLAN free of charge. It replaces an earlier grant.

    A subscription continues, and the higher plan counts.
    """
    user = accounts.get_by_email(email)
    end = until.replace(hour=23, minute=59, second=59, tzinfo=UTC) if until else None
    grants.grant(user, plan, reason=reason, until=end, by=OPERATOR)
    lasts = f"until the end of {until:%Y-%m-%d} (UTC)" if until else "for good"
    click.echo(f"{user.email} has {plan} {lasts}.")


@bp.cli.command("revoke-grant")
@click.argument("email")
@click.option("--reason", required=True, help="Why, in up to 200 characters. It is in the export.")
@explained
def revoke_grant(email: str, reason: str) -> None:
    """Take the granted plan of EMAIL away. A subscription stays."""
    user = accounts.get_by_email(email)
    grants.revoke(user, reason=reason, by=OPERATOR)
    click.echo(f"{user.email} is now on {user.plan.name}.")


@bp.cli.command("sign-out")
@click.argument("email")
@click.option("--reason", help="Why, in up to 200 characters, for the audit log.")
@explained
def sign_out(email: str, reason: str | None) -> None:
    """Sign EMAIL out of all browsers. They can sign in again. API tokens stay valid."""
    user = accounts.get_by_email(email)
    why = _clean(reason)
    count = sessions.revoke_others(user)
    audit.note("end sessions", user.id, by=OPERATOR, reason=why)
    click.echo(f"Ended {count} session{'s'[: count != 1]} of {user.email}.")


@bp.cli.command("sign-out-all")
def sign_out_all() -> None:
    """Sign out all users, and invalidate sign-in links. Do this after restoring a backup.

    Users sign in again as before. API tokens stay valid.
    """
    count = sessions.revoke_all()
    click.echo(
        f"Ended {count} session{'s'[: count != 1]}. Sign-in links of earlier emails are invalid."
    )


@bp.cli.command("list")
@click.option(
    "--limit", default=1000, show_default=True, type=click.IntRange(1), help="Number of users."
)
@click.option("--after", default="", metavar="EMAIL", help="Start after this email.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def list_users(limit: int, after: str, as_json: bool) -> None:
    """List users by email.

    Shows role, plan, subscription status, and whether the user is disabled.
    """
    last = ""
    for number, user in enumerate(accounts.list_all(after)):
        if number == limit:
            click.echo(f"There are more users. To continue: --after {last}", err=True)
            return
        click.echo(json.dumps(OperatorsUserSchema().dump(user)) if as_json else _format(user))
        last = user.email


@bp.cli.command("history")
@click.argument("email")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@explained
def history(email: str, as_json: bool) -> None:
    """Show the audit log of EMAIL.

    It contains the time, actor, name and reason of each action by an administrator or operator.
    """
    for entry in audit.history(accounts.get_by_email(email).id):
        if as_json:
            click.echo(json.dumps(AuditEntrySchema().dump(entry)))
        else:
            why = f": {entry.reason}" if entry.reason else ""
            actor = f"{audit.name_of(entry):<40}"
            click.echo(f"{entry.at:%Y-%m-%d %H:%M:%S}Z  {actor} {entry.action}{why}")


@bp.cli.command("export")
@click.argument("email")
@explained
def export(email: str) -> None:
    """Print all stored data about EMAIL as JSON.

    Secrets are left out. The output is the same as the download in the settings. Data stored in
    Stripe is not included.
    """
    user = accounts.get_by_email(email)
    everything = export_user(user)
    audit.note("export", user.id, by=OPERATOR)
    click.echo(json.dumps(everything, indent=2, ensure_ascii=False))


@bp.cli.command("delete")
@click.argument("email")
@click.option("--yes", is_flag=True, help="Skip the confirmation.")
@click.option("--reason", help="Why, for the audit log, which keeps it. Do not name the user.")
@sandbox_process.requires_sandbox
@explained
def delete(email: str, yes: bool, reason: str | None) -> None:
    """Delete the account of EMAIL.

    Cancels the subscription in Stripe first, then deletes all rows of the account. The last
    administrator cannot be deleted.
    """
    user = accounts.get_by_email(email)
    if not yes:
        click.confirm(f"Delete {user.email} and cancel their subscription?", abort=True)
    account_deletion.delete_account(user, by=OPERATOR, reason=_clean(reason))
    click.echo(f"Deleted {user.email}.")


def _clean(reason: str | None) -> str | None:
    return audit.clean_reason(reason) if reason is not None else None


def _format(user: User) -> str:
    status = user.stripe_subscription_status or "-"
    disabled = "  disabled" if user.disabled_at else ""
    return f"{user.email:<40} {user.role:<6} {user.plan.name:<10} {status}{disabled}"

"""`flask users …`: people and roles."""

from __future__ import annotations

import json

import click

from saas import outside
from saas.auth import accounts
from saas.auth.models import User
from saas.users import bp, closing
from saas.users.schemas import UserSchema

bp.cli.short_help = "People: make, list, promote, demote, delete."


def _get(email: str) -> User:
    try:
        return accounts.get(email)
    except accounts.NotPossible as error:
        raise click.ClickException(str(error)) from None


@bp.cli.command("create")
@click.argument("email")
@click.option("--name", help="3 to 32 characters.")
@click.option("--admin", is_flag=True, help="As an administrator.")
def create(email: str, name: str | None, admin: bool) -> None:
    """Make an account for EMAIL; its owner signs in with a mailed link as everybody does."""
    try:
        address = accounts.clean_address(email)
        name = accounts.clean_name(name) if name is not None else None
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    if accounts.find(address):
        raise click.ClickException(f"{address} has an account already.")
    accounts.sign_up(address, name=name, role="admin" if admin else "user")
    click.echo(f"Created {address}{' as an administrator' if admin else ''}.")


@bp.cli.command("promote")
@click.argument("email")
def promote(email: str) -> None:
    """Make EMAIL an administrator."""
    person = _get(email)
    accounts.promote(person)
    click.echo(f"{person.email} is an administrator.")


@bp.cli.command("demote")
@click.argument("email")
def demote(email: str) -> None:
    """Make EMAIL a user again. The last administrator stays one."""
    person = _get(email)
    try:
        accounts.demote(person)
    except accounts.NotPossible as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{person.email} is a user.")


@bp.cli.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_people(as_json: bool) -> None:
    """Everybody, by address: role, plan, status."""
    for person in accounts.everybody():
        if as_json:
            click.echo(json.dumps(UserSchema().dump(person)))
        else:
            status = person.stripe_subscription_status or "-"
            click.echo(f"{person.email:<40} {person.role:<6} {person.plan.name:<10} {status}")


@bp.cli.command("delete")
@click.argument("email")
@click.option("--yes", is_flag=True, help="Do not ask.")
@outside.needed
def delete(email: str, yes: bool) -> None:
    """Close the account of EMAIL: cancel at Stripe first, then delete every row of theirs."""
    person = _get(email)
    if not yes:
        click.confirm(f"Delete {person.email} and cancel what they pay for?", abort=True)
    try:
        closing.close_account(person)
    except closing.CannotClose as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"Deleted {person.email}.")

"""`flask billing …`: thin views for operators over the same verbs."""

from __future__ import annotations

import click

from saas import outside
from saas.auth import accounts
from saas.auth.models import User
from saas.billing import bp, gateway, subscriptions

bp.cli.short_help = "Subscriptions: our copy, and the truth at Stripe."


@bp.cli.command("sync")
@click.argument("email", required=False)
@click.option("--all", "everybody", is_flag=True, help="Everybody, one after the other.")
@click.option("--dry-run", is_flag=True, help="Show what would change and write nothing.")
@outside.needed
def sync(email: str | None, everybody: bool, dry_run: bool) -> None:
    """Copy the state at Stripe into our columns, for EMAIL or for everybody.

    Safe at any time, beside webhooks too. Prints a line for each person whose columns differ.
    Exit code 1 when Stripe did not answer for somebody.
    """
    if bool(email) == everybody:
        raise click.UsageError("Give an EMAIL, or --all.")
    try:
        people = [accounts.get(email)] if email else list(accounts.everybody())
    except accounts.NotPossible as error:
        raise click.ClickException(str(error)) from None
    failed = sum(not _sync_one(person, dry_run) for person in people)
    verb = "Compared" if dry_run else "Synced"
    click.echo(f"{verb} {len(people) - failed} of {len(people)}.")
    if failed:
        raise SystemExit(1)


def _sync_one(person: User, dry_run: bool) -> bool:
    if not person.stripe_customer_id:
        return True
    try:
        found = subscriptions.differences(person)
        if found and not dry_run:
            subscriptions.sync(person.id, cause="flask billing sync")
    except gateway.StripeError as error:
        click.echo(f"{person.email}: {type(error).__name__}: {error}", err=True)
        return False
    for name, (ours, theirs) in found.items():
        click.echo(f"{person.email}: {name.removeprefix('stripe_')}: {ours} -> {theirs}")
    return True

"""`flask admin …`: figures, the audit log, and emails. Users and events have their own commands."""

from __future__ import annotations

import json
import uuid

import click

from saas.admin import bp, figures, queries
from saas.auth import audit
from saas.mail import outbox
from saas.template_filters import exact_amount
from saas.users.schemas import AuditEntrySchema

bp.cli.short_help = "Print the figures and the audit log, and send an email again."


@bp.cli.command("figures")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def print_figures(as_json: bool) -> None:
    """Compute and print the figures of the overview, as of now."""
    latest = figures.refresh()
    if as_json:
        click.echo(json.dumps(latest.to_json()))
        return
    lines = {
        "Users": latest.users,
        "Active in 30 days": latest.active_users,
        "MRR": _amounts(latest.mrr),
        "Past due": f"{latest.past_due}, at risk: {_amounts(latest.at_risk)}",
        "Trials now": latest.trialing,
        "Trials of 90 days": f"{latest.trials_converted} converted, {latest.trials_ended} ended",
        "Granted plans": latest.granted,
        "One-time purchases": latest.purchased,
    }
    for plan, statuses in latest.plans.items():
        lines[f"Subscriptions to {plan or 'an unknown plan'}"] = sum(statuses.values())
    for name, value in lines.items():
        click.echo(f"{name:<28} {value}")


@bp.cli.command("audit")
@click.option("--action", default="", help="Only actions that begin with this, such as grant.")
@click.option("--by", "actor", default="", help="Only those of an email, an id or operator.")
@click.option("--to", "user", default="", help="Only those on the user with this email or id.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def print_audit_log(action: str, actor: str, user: str, limit: int, as_json: bool) -> None:
    """Print what administrators and operators did, newest first."""
    listing = queries.audit_entries({"action": action, "actor": actor, "user": user})
    rows = listing.page(size=limit).rows
    names = queries.names_in(rows)
    for row in rows:
        if as_json:
            click.echo(json.dumps(AuditEntrySchema().dump(row)))
            continue
        by, to = names.get(row.actor, row.actor), str(row.subject_id)
        why = f": {row.reason}" if row.reason else ""
        click.echo(f"{row.at:%Y-%m-%d %H:%M:%S}Z  {by}  {row.action}  {names.get(to, to)}{why}")


@bp.cli.command("send-again")
@click.argument("email_id", type=click.UUID)
def send_again(email_id: uuid.UUID) -> None:
    """Send the email with this id of the outbox again, or now if it is waiting."""
    message = queries.email(email_id)
    if message is None:
        raise click.ClickException(f"There is no email {email_id}. Their ids are in the log.")
    kind, subject_id = message.kind, message.subject_id
    if not outbox.send_again(message):
        raise click.ClickException("This email is not needed any more, so it is not sent.")
    audit.note(f"resend {kind}", subject_id, by=audit.OPERATOR)
    click.echo(f"The email {kind} is sent again.")


def _amounts(amounts: dict[str, int]) -> str:
    return ", ".join(exact_amount(units, currency) for currency, units in amounts.items()) or "0"

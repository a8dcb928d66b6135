"""`flask admin figures`. Users, events and emails have their own commands."""

from __future__ import annotations

import json

import click

from saas.admin import bp
from saas.billing.revenue import figures
from saas.template_filters import exact_amount

bp.cli.short_help = "Print the figures of the business."


@bp.cli.command("figures")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def print_figures(as_json: bool) -> None:
    """Compute and print the figures of the overview, as of now."""
    shown = figures.refresh()
    if as_json:
        click.echo(json.dumps(shown.to_json()))
        return
    lines = {
        "Users": shown.users,
        "Active in 30 days": shown.active_users,
        "MRR": _amounts(shown.mrr),
        "Past due": f"{shown.past_due}, at risk: {_amounts(shown.at_risk)}",
        "Trials now": shown.trialing,
        "Trials of 90 days": f"{shown.trials_converted} converted, {shown.trials_ended} ended",
        "Granted plans": shown.granted,
        "One-time purchases": shown.purchased,
    }
    for plan, statuses in shown.plans.items():
        lines[f"Subscriptions to {plan or 'an unknown plan'}"] = sum(statuses.values())
    for name, value in lines.items():
        click.echo(f"{name:<28} {value}")


def _amounts(amounts: dict[str, int]) -> str:
    return ", ".join(exact_amount(units, currency) for currency, units in amounts.items()) or "0"

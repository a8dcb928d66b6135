"""`flask billing adopt-orphans`: resolve what was sold to accounts that do not exist."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import click

from saas import sandbox_process, template_filters
from saas.billing import bp, gateway
from saas.billing.customers.orphans import Orphan
from saas.billing.operator import adoption
from saas.billing.operator.adoption import HasAccount, Unresolved
from saas.billing.operator.cli import output
from saas.billing.operator.cli.reconcile import json_option, rate_option

Choice = Literal["recreate", "refund", "skip"]


@bp.cli.command("adopt-orphans", short_help="Resolve what was sold to missing accounts.")
@click.option(
    "--recreate", "choice", flag_value="recreate", help="Create each account again, with its id."
)
@click.option(
    "--refund", "choice", flag_value="refund", help="Cancel each, and refund its last payment."
)
@click.option("--dry-run", is_flag=True, help="List them and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask for each; needs --recreate or --refund.")
@rate_option
@json_option
@sandbox_process.requires_sandbox
def adopt_orphans(
    choice: Choice | None, dry_run: bool, yes: bool, per_second: int, as_json: bool
) -> None:
    """Resolve live subscriptions and purchases with our metadata whose account does not exist.

    They were bought after the backup that was restored. Asks for each: create the account again
    with the id and email in Stripe, or cancel the subscription and refund the payment. A second run
    changes nothing. Exits with 1 if one could not be resolved.
    """
    if yes and not choice and not dry_run:
        raise click.UsageError("--yes needs --recreate or --refund.")
    outcomes: Counter[str] = Counter()
    try:
        with gateway.throttled(per_second):
            checked, orphans = _find()
            for orphan in orphans:
                if dry_run:
                    _preview(orphan, as_json=as_json)
                else:
                    outcomes[_resolve(orphan, choice, ask=not yes, as_json=as_json)] += 1
    except KeyboardInterrupt:
        output.note("Stopped. Run the command again to continue.")
        raise SystemExit(130) from None
    output.note(_summary(checked, len(orphans), outcomes))
    if outcomes["failed"]:
        raise SystemExit(1)


def _find() -> tuple[int, list[Orphan]]:
    checked, orphans = 0, []
    with output.progress("Reading subscriptions", 0) as advance:
        try:
            for count, on_page in adoption.find():
                checked += count
                orphans += on_page
                advance(count)
        except gateway.StripeError as error:
            raise click.ClickException(f"{gateway.describe(error)}.") from None
    return checked, orphans


def _preview(orphan: Orphan, *, as_json: bool) -> None:
    reason = adoption.obstacle(orphan)
    outcome = f"can only be refunded: {reason}" if reason else "can be recreated or refunded"
    _report(orphan, outcome, as_json=as_json)


def _resolve(orphan: Orphan, choice: Choice | None, *, ask: bool, as_json: bool) -> str:
    """Resolve an orphan, print the outcome and return it in a word: recreated, failed, …"""
    chosen = _ask(orphan, choice) if ask else choice
    try:
        outcome, details = _carry_out(orphan, chosen)
    except HasAccount:
        outcome, details = "has an account now", ""
    except Unresolved as error:
        outcome, details = "failed", f": {error}"
    except gateway.StripeError as error:
        outcome, details = "failed", f": {gateway.describe(error)}"
    _report(orphan, outcome + details, as_json=as_json)
    return outcome


def _carry_out(orphan: Orphan, chosen: Choice | None) -> tuple[str, str]:
    if chosen == "recreate":
        user = adoption.recreate(orphan)
        return "recreated", f" with the plan {user.plan.name}"
    if chosen == "refund":
        amount, currency = adoption.refund(orphan)
        given_back = _amount(amount, currency)
        if orphan.purchase:
            return "refunded", f": {given_back}"
        return "canceled", f", {given_back} refunded"
    return "skipped", ""


def _ask(orphan: Orphan, choice: Choice | None) -> Choice:
    """Ask for the choice, or whether to carry it out."""
    output.note(
        f"{orphan.id} ({orphan.status}) of {orphan.email or orphan.customer_id}, "
        f"user {orphan.user_id}"
    )
    if choice:
        return choice if click.confirm(f"{choice.capitalize()}?", err=True) else "skip"
    possible: list[Choice] = ["recreate", "refund", "skip"]
    if reason := adoption.obstacle(orphan):
        output.note(f"The account cannot be created again: {reason}.")
        possible.remove("recreate")
    chosen: Choice = click.prompt(
        "What to do?", type=click.Choice(possible), default="skip", err=True
    )
    return chosen


def _report(orphan: Orphan, outcome: str, *, as_json: bool) -> None:
    if as_json:
        output.line(
            **{orphan.kind: orphan.id},
            status=orphan.status,
            customer=orphan.customer_id,
            email=orphan.email,
            user=orphan.user_id,
            outcome=outcome,
        )
    else:
        click.echo(f"{orphan.id:<32}  {orphan.email or orphan.customer_id:<32}  {outcome}")


def _summary(checked: int, orphans: int, outcomes: Counter[str]) -> str:
    without = "1 has no account" if orphans == 1 else f"{orphans} have no account"
    counted = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items())
    return f"{checked} subscriptions in Stripe, {without}{f': {counted}' if counted else ''}."


def _amount(units: int, currency: str) -> str:
    return template_filters.exact_amount(units, currency) if units else "nothing"

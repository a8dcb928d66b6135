"""`flask billing verify` and `sync`: compare our columns with Stripe, and repair them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from saas import sandbox_process
from saas.auth import accounts
from saas.billing import bp, gateway, subscriptions
from saas.billing.customers.orphans import Orphan
from saas.billing.operator import reconciliation
from saas.billing.operator.cli import output
from saas.billing.operator.cli.comparison import Comparison
from saas.billing.operator.reconciliation import Drift

after_option = click.option(
    "--after",
    metavar="SUBSCRIPTION",
    help="Resume after this subscription; an interrupted run prints it.",
)
next_invoice_option = click.option(
    "--next-invoice",
    is_flag=True,
    help="Compare the next invoices too; takes another call per subscriber.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object per line."
)
rate_option = click.option(
    "--per-second",
    default=gateway.PER_SECOND,
    show_default=True,
    type=click.IntRange(1, 90),
    help="Maximum number of calls to Stripe per second.",
)


@bp.cli.command("verify", short_help="Compare all users with Stripe.")
@after_option
@rate_option
@json_option
@next_invoice_option
@sandbox_process.requires_sandbox
def verify(after: str | None, per_second: int, as_json: bool, next_invoice: bool) -> None:
    """Compare the columns of all users with Stripe. Writes nothing.

    Reads the list of subscriptions in Stripe, a hundred per call, and prints a line for each column
    that differs, and for each subscription whose account does not exist. Exits with 1 if there is
    any. The recurring amount is compared; the next invoice only with --next-invoice, which takes
    two calls per subscriber.
    """
    command = "verify --next-invoice" if next_invoice else "verify"
    comparison = Comparison(command, after, next_invoice)
    comparison.run(
        per_second,
        lambda drift: _show(drift, as_json=as_json, first=_is_first(comparison)),
        lambda orphan: _show_orphan(orphan, as_json=as_json, first=_is_first(comparison)),
    )
    calls = "1 call" if comparison.calls == 1 else f"{comparison.calls} calls"
    output.note(
        f"Compared {comparison.subscriptions} subscriptions in Stripe in {calls}: "
        f"{_drifted(comparison.drifts)}{_orphaned(comparison.orphans)}."
    )
    if comparison.drifts:
        more = " --next-invoice" if next_invoice else ""
        output.note(f"To repair: flask billing sync --all{more}")
    _advise_on_orphans(comparison)
    if comparison.drifts or comparison.orphans:
        raise SystemExit(1)


@bp.cli.command("sync", short_help="Copy Stripe's state into our columns.")
@click.argument("email", required=False)
@click.option("--all", "all_users", is_flag=True, help="All users whose columns differ.")
@click.option("--dry-run", is_flag=True, help="Show what would change without writing.")
@after_option
@rate_option
@json_option
@next_invoice_option
@sandbox_process.requires_sandbox
def sync(
    email: str | None,
    all_users: bool,
    dry_run: bool,
    after: str | None,
    per_second: int,
    as_json: bool,
    next_invoice: bool,
) -> None:
    """Copy Stripe's state into our columns, for EMAIL or for all users.

    Safe at any time, even while webhooks arrive. Prints a line for each column that differs. Exits
    with 1 if Stripe failed for any user.
    """
    if bool(email) == all_users:
        raise click.UsageError("Give an EMAIL or --all.")
    if email and after:
        raise click.UsageError("--after can only be used with --all.")
    if email and next_invoice:
        raise click.UsageError(
            "--next-invoice can only be used with --all; for one user it is always compared."
        )
    if email:
        _sync_one(email, dry_run=dry_run, as_json=as_json)
    else:
        _sync_all(after, per_second, dry_run=dry_run, as_json=as_json, next_invoice=next_invoice)


def _sync_one(email: str, *, dry_run: bool, as_json: bool) -> None:
    try:
        user = accounts.get_by_email(email)
    except accounts.AccountError as error:
        raise click.ClickException(str(error)) from None
    if not user.stripe_customer_id and not user.stripe_purchases:
        output.note(f"{user.email} has no customer in Stripe.")
        return
    drift = reconciliation.differences(user.id, next_invoice=True)
    if drift:
        _show(drift, as_json=as_json, first=True)
    if not dry_run:
        subscriptions.sync(user.id, cause="flask billing sync")
    count = len(drift.columns) if drift else 0
    columns = "1 column" if count == 1 else f"{count} columns"
    output.note(f"{columns} of {user.email} {'would change' if dry_run else 'changed'}.")


def _sync_all(
    after: str | None, per_second: int, *, dry_run: bool, as_json: bool, next_invoice: bool
) -> None:
    options = [" --dry-run"] * dry_run + [" --next-invoice"] * next_invoice
    comparison = Comparison("sync --all" + "".join(options), after, next_invoice)
    failed: list[Drift] = []

    def repair(drift: Drift) -> None:
        _show(drift, as_json=as_json, first=comparison.drifts == 1)
        if not dry_run and not _repair(drift):
            failed.append(drift)

    comparison.run(per_second, repair)
    output.note(
        f"{'Would repair' if dry_run else 'Repaired'} {_users(comparison.drifts - len(failed))} "
        f"of {comparison.subscriptions} subscriptions in Stripe{_orphaned(comparison.orphans)}."
    )
    _advise_on_orphans(comparison)
    if failed:
        raise SystemExit(1)


def _repair(drift: Drift) -> bool:
    try:
        reconciliation.repair(drift, cause="flask billing sync")
    except gateway.StripeError as error:
        output.note(f"{drift.email} was not synced: {gateway.describe(error)}.")
        return False
    return True


def _show(drift: Drift, *, as_json: bool, first: bool) -> None:
    if as_json:
        columns = {name: {"ours": a, "stripe": b} for name, (a, b) in drift.columns.items()}
        output.line(email=drift.email, user=drift.user_id, columns=columns)
        return
    if first:
        click.echo(_row("USER", "COLUMN", "OURS", "STRIPE"))
    for name, (ours, at_stripe) in drift.columns.items():
        for column, a, b in _parts(name.removeprefix("stripe_"), ours, at_stripe):
            click.echo(_row(drift.email, column, output.short(a), output.short(b)))


def _show_orphan(orphan: Orphan, *, as_json: bool, first: bool) -> None:
    if as_json:
        account = {"ours": None, "stripe": orphan.id}
        output.line(email=orphan.email, user=orphan.user_id, columns={"account": account})
        return
    if first:
        click.echo(_row("USER", "COLUMN", "OURS", "STRIPE"))
    at_stripe = f"{orphan.id} ({orphan.status})"
    click.echo(_row(orphan.email or orphan.customer_id, "account", "-", at_stripe))


def _is_first(comparison: Comparison) -> bool:
    return comparison.drifts + comparison.orphans == 1


def _advise_on_orphans(comparison: Comparison) -> None:
    if comparison.orphans:
        output.note("For what has no account: flask billing adopt-orphans")


def _parts(column: str, ours: Any, at_stripe: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield the column, or the parts of a JSON column that differ."""
    if not isinstance(ours, dict) or not isinstance(at_stripe, dict):
        yield column, ours, at_stripe
        return
    for name in sorted({*ours, *at_stripe}):
        if ours.get(name) != at_stripe.get(name):
            yield f"{column}.{name}", ours.get(name), at_stripe.get(name)


def _row(user: str, column: str, ours: str, at_stripe: str) -> str:
    return f"{user:<32}  {column:<20}  {ours:<30}  {at_stripe}"


def _drifted(count: int) -> str:
    return f"{_users(count)} with drift" if count else "no drift"


def _orphaned(count: int) -> str:
    if not count:
        return ""
    return f", {count} without an account"


def _users(count: int) -> str:
    return "1 user" if count == 1 else f"{count} users"

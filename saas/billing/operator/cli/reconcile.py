"""`flask billing verify` and `sync`: is our copy what Stripe says, and make it so."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from flask import current_app

from saas import sandbox_process
from saas.auth import accounts
from saas.billing import bp, gateway, subscriptions
from saas.billing.operator import reconciliation
from saas.billing.operator.cli import output
from saas.billing.operator.reconciliation import Batch, Drift, SeenUsers

_SUBSCRIPTION = re.compile(r"sub_[A-Za-z0-9_]+")

after_option = click.option(
    "--after",
    metavar="SUBSCRIPTION",
    help="Go on behind this subscription of Stripe's, as an interrupted run has told.",
)
next_invoice_option = click.option(
    "--next-invoice", is_flag=True, help="The next invoices too: one call more a subscriber."
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
rate_option = click.option(
    "--per-second",
    default=gateway.PER_SECOND,
    show_default=True,
    type=click.IntRange(1, 90),
    help="Calls to Stripe a second, at most.",
)


@dataclass
class _Count:
    """What a walk has come by, for its last line."""

    subscriptions: int = 0
    drifts: int = 0
    failed: int = 0


@bp.cli.command("verify", short_help="Compare everybody with Stripe.")
@after_option
@rate_option
@json_option
@next_invoice_option
@sandbox_process.requires_sandbox
def verify(after: str | None, per_second: int, as_json: bool, next_invoice: bool) -> None:
    """Compare everybody's columns with Stripe. Writes nothing.

    Walks Stripe's own list, a hundred subscriptions a call. Prints a line for each column that
    differs. Exit code 1 when there is any. What is charged each time is compared; the next invoice
    only with --next-invoice, which takes two calls for each subscriber.
    """
    count = _Count()

    def show(drift: Drift) -> None:
        _show(drift, as_json=as_json, first=count.drifts == 1)

    command = "verify --next-invoice" if next_invoice else "verify"
    calls = _walk(command, after, per_second, count, show, next_invoice=next_invoice)
    times = "1 call" if calls == 1 else f"{calls} calls"
    output.note(
        f"Compared with {count.subscriptions} subscriptions at Stripe in {times}: "
        f"{_users(count.drifts)}."
    )
    if count.drifts:
        more = " --next-invoice" if next_invoice else ""
        output.note(f"To mend it: flask billing sync --all{more}")
        raise SystemExit(1)


@bp.cli.command("sync", short_help="Copy the state at Stripe into our columns.")
@click.argument("email", required=False)
@click.option("--all", "everybody", is_flag=True, help="Everybody whose columns differ.")
@click.option("--dry-run", is_flag=True, help="Show what would change and write nothing.")
@after_option
@rate_option
@json_option
@next_invoice_option
@sandbox_process.requires_sandbox
def sync(
    email: str | None,
    everybody: bool,
    dry_run: bool,
    after: str | None,
    per_second: int,
    as_json: bool,
    next_invoice: bool,
) -> None:
    """Copy the state at Stripe into our columns, for EMAIL or for everybody.

    Safe at any time, beside webhooks too. Prints a line for each column that differed. Exit code 1
    when Stripe did not answer for somebody.
    """
    if bool(email) == everybody:
        raise click.UsageError("Give an EMAIL, or --all.")
    if email and after:
        raise click.UsageError("--after belongs to --all.")
    if email and next_invoice:
        raise click.UsageError("--next-invoice belongs to --all: one person's is compared anyway.")
    if email:
        _sync_one(email, dry_run=dry_run, as_json=as_json)
    else:
        _sync_all(after, per_second, dry_run=dry_run, as_json=as_json, next_invoice=next_invoice)


def _sync_one(email: str, *, dry_run: bool, as_json: bool) -> None:
    try:
        user = accounts.get_by_email(email)
    except accounts.AccountError as error:
        raise click.ClickException(str(error)) from None
    if not user.stripe_customer_id:
        output.note(f"{user.email} has never been to Stripe.")
        return
    drift = reconciliation.differences(user.id, next_invoice=True)
    if drift:
        _show(drift, as_json=as_json, first=True)
    if not dry_run:
        subscriptions.sync(user.id, cause="flask billing sync")
    done = "would change" if dry_run else "changed"
    output.note(f"{len(drift.columns) if drift else 0} columns of {user.email} {done}.")


def _sync_all(
    after: str | None, per_second: int, *, dry_run: bool, as_json: bool, next_invoice: bool
) -> None:
    count = _Count()

    def mend(drift: Drift) -> None:
        _show(drift, as_json=as_json, first=count.drifts == 1)
        if not dry_run:
            count.failed += not _repair_all(drift)

    options = [" --dry-run"] * dry_run + [" --next-invoice"] * next_invoice
    command = "sync --all" + "".join(options)
    _walk(command, after, per_second, count, mend, next_invoice=next_invoice)
    done = "Would mend" if dry_run else "Mended"
    output.note(
        f"{done} {_counted(count.drifts - count.failed)}, of {count.subscriptions} subscriptions "
        "at Stripe."
    )
    if count.failed:
        raise SystemExit(1)


def _repair_all(drift: Drift) -> bool:
    try:
        reconciliation.repair(drift, cause="flask billing sync")
    except gateway.StripeError as error:
        output.note(f"{drift.email} was not synced: {gateway.describe(error)}.")
        return False
    return True


def _walk(
    command: str,
    after: str | None,
    per_second: int,
    count: _Count,
    handle: Callable[[Drift], None],
    *,
    next_invoice: bool = False,
) -> int:
    """The whole way, or to where it is interrupted; how many calls it took."""
    if after and not _SUBSCRIPTION.fullmatch(after):
        raise click.UsageError(
            f"--after {after} is not the id of a subscription, which begins with sub_."
        )
    seen, cursor = _load_seen(command, after), after
    try:
        with gateway.throttled(per_second) as pacer:
            for batch in _show_and_pass(
                reconciliation.compare(seen, after, next_invoice=next_invoice)
            ):
                for drift in batch.drifts:
                    count.drifts += 1
                    handle(drift)
                count.subscriptions += batch.checked
                cursor = batch.cursor
    except KeyboardInterrupt:
        _explain_resuming(command, seen, cursor)
        raise SystemExit(130) from None
    except gateway.StripeError as error:
        if after and cursor == after and isinstance(error, gateway.NotFound):
            message = f"Stripe does not know {after}. Leave out --after."
            raise click.ClickException(message) from None
        _explain_resuming(command, seen, cursor)
        raise click.ClickException(f"{gateway.describe(error)}.") from None
    if after:
        _seen_file(after).unlink(missing_ok=True)
    return pacer.calls


def _show_and_pass(batches: Iterator[Batch]) -> Iterator[Batch]:
    with output.progress("Comparing", reconciliation.count_users()) as step:
        for batch in batches:
            yield batch
            step(batch.checked)


def _explain_resuming(command: str, seen: SeenUsers, cursor: str | None) -> None:
    if cursor is None:
        return
    seen.save(_seen_file(cursor))
    name, _, rest = command.partition(" ")
    output.note(f"Stopped. To go on: flask billing {name} --after {cursor} {rest}".rstrip())


def _load_seen(command: str, after: str | None) -> SeenUsers:
    """Whom an interrupted run has come by. Without its notes they would look forgotten."""
    if not after:
        return SeenUsers()
    try:
        return SeenUsers.load(_seen_file(after))
    except (OSError, ValueError):
        raise click.ClickException(
            f"There are no notes of a run that stopped at {after} here. "
            f"Begin anew: flask billing {command}"
        ) from None


def _seen_file(cursor: str) -> Path:
    return Path(current_app.instance_path) / "walks" / cursor


def _show(drift: Drift, *, as_json: bool, first: bool) -> None:
    if as_json:
        columns = {name: {"ours": a, "stripe": b} for name, (a, b) in drift.columns.items()}
        output.line(email=drift.email, user=drift.user_id, columns=columns)
        return
    if first:
        click.echo(_row("PERSON", "COLUMN", "OURS", "STRIPE"))
    for name, (ours, at_stripe) in drift.columns.items():
        for column, a, b in _parts(name.removeprefix("stripe_"), ours, at_stripe):
            click.echo(_row(drift.email, column, output.short(a), output.short(b)))


def _parts(column: str, ours: Any, at_stripe: Any) -> Iterator[tuple[str, Any, Any]]:
    """The column, or those parts of a JSON column that differ."""
    if not isinstance(ours, dict) or not isinstance(at_stripe, dict):
        yield column, ours, at_stripe
        return
    for name in sorted({*ours, *at_stripe}):
        if ours.get(name) != at_stripe.get(name):
            yield f"{column}.{name}", ours.get(name), at_stripe.get(name)


def _row(user: str, column: str, ours: str, at_stripe: str) -> str:
    return f"{user:<32}  {column:<20}  {ours:<30}  {at_stripe}"


def _users(count: int) -> str:
    return f"{_counted(count)} drifted" if count else "everybody's columns agree"


def _counted(users: int) -> str:
    return "1 person" if users == 1 else f"{users} people"

"""`flask billing events`, `replay` and `catch-up`: list events, and apply them again."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from saas import sandbox_process
from saas.billing import bp, gateway
from saas.billing.gateway import Event
from saas.billing.models import StripeEvent
from saas.billing.operator import backfill
from saas.billing.operator.cli import output
from saas.billing.operator.cli.reconcile import json_option, rate_option
from saas.database import now

_EVENT = re.compile(r"evt_[A-Za-z0-9_]+")
_SPAN = re.compile(r"(\d{1,4})([dh])")
_COLUMNS = "{:<19}  {:<42}  {:<32}  {:<24}  {:<8}  {:>8}  {}"


class Since(click.ParamType[datetime]):
    """A time within the 30 days that Stripe keeps events: `30d`, `12h` or a date (2026-11-01)."""

    name = "since"

    def convert(self, value: Any, param: Any, ctx: Any) -> datetime:
        if isinstance(value, datetime):
            return value
        moment = _timestamp(value)
        if moment is None:
            self.fail(
                f"{value!r} is not a time. Give days (30d), hours (12h) or a date (2026-11-01)."
            )
        if moment > now():
            self.fail(f"{value} is in the future.")
        if moment < now() - backfill.STRIPE_RETENTION - timedelta(minutes=1):
            self.fail(f"{value} is too long ago: Stripe keeps events for 30 days.")
        return moment


@bp.cli.command("events", short_help="List the events that arrived.")
@click.option("--failed", is_flag=True, help="Only events that have not been applied.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
@json_option
def events(failed: bool, limit: int, as_json: bool) -> None:
    """List the events that arrived, newest first, with state, attempts and last error."""
    rows = backfill.latest(limit, failed=failed)
    if as_json:
        for row in rows:
            output.line(**_as_json(row))
        return
    if not rows:
        output.note("All events have been applied." if failed else "No events have arrived yet.")
        return
    head = ("RECEIVED", "TYPE", "EVENT", "CUSTOMER", "STATE", "ATTEMPTS", "LAST ERROR")
    click.echo(_COLUMNS.format(*head).rstrip())
    for row in rows:
        click.echo(_as_row(row))


@bp.cli.command("replay", short_help="Apply events again.")
@click.argument("event_ids", nargs=-1, required=True, metavar="EVENT_ID...")
@json_option
@sandbox_process.requires_sandbox
def replay(event_ids: tuple[str, ...], as_json: bool) -> None:
    """Apply events again, with the current state in Stripe. No email is sent twice.

    Exits with 1 if an event could not be applied.
    """
    for event_id in event_ids:
        if not _EVENT.fullmatch(event_id):
            raise click.UsageError(f"{event_id} is not an event id (evt_…).")
    with gateway.throttled():
        failed = sum(not _replay(event_id, as_json) for event_id in event_ids)
    if failed:
        raise SystemExit(1)


@bp.cli.command("catch-up", short_help="Apply events that never arrived.")
@click.option("--since", type=Since(), default="30d", show_default=True, metavar="30d|12h|DATE")
@click.option("--dry-run", is_flag=True, help="List missing events without applying them.")
@rate_option
@json_option
@sandbox_process.requires_sandbox
def catch_up(since: datetime, dry_run: bool, per_second: int, as_json: bool) -> None:
    """Apply Stripe's events that never arrived here, or could not be applied.

    If interrupted, run it again. Exits with 1 if an event could not be applied.
    """
    checked = 0
    outcomes: Counter[str | None] = Counter()  # None for a failed event
    with gateway.throttled(per_second), output.progress("Reading events", 0) as advance:
        try:
            for batch in backfill.missing(since):
                for event in batch.missing:
                    outcomes[_apply_missing(event, dry_run=dry_run, as_json=as_json)] += 1
                checked += batch.checked
                advance(batch.checked)
        except KeyboardInterrupt:
            output.note(
                f"Stopped. {_applied(outcomes)} events applied so far; "
                "run the command again to continue."
            )
            raise SystemExit(130) from None
    verb = "missing" if dry_run else "applied"
    output.note(
        f"{checked} events in Stripe: {_applied(outcomes)} {verb}, {outcomes[None]} failed."
    )
    if outcomes["no account"]:
        output.note("For what has no account: flask billing adopt-orphans")
    if outcomes[None]:
        raise SystemExit(1)


def _apply_missing(event: Event, *, dry_run: bool, as_json: bool) -> str | None:
    if dry_run:
        _report(event.id, event.type, "missing", as_json=as_json)
        return "missing"
    try:
        outcome = backfill.apply(event)
    except gateway.StripeError as error:
        _report(event.id, event.type, f"failed: {gateway.describe(error)}", as_json=as_json)
        return None
    _report(event.id, event.type, outcome, as_json=as_json)
    return outcome


def _applied(outcomes: Counter[str | None]) -> int:
    return outcomes.total() - outcomes[None]


def _replay(event_id: str, as_json: bool) -> bool:
    try:
        outcome = backfill.replay(event_id)
    except backfill.UnknownEvent:
        output.note(
            f"{event_id} is unknown both here and in Stripe, which keeps events for 30 days."
        )
        return False
    except gateway.StripeError as error:
        reason = gateway.describe(error) if gateway.is_refusal(error) else error
        output.note(f"{event_id}: {reason}.")
        return False
    _report(event_id, None, outcome, as_json=as_json)
    return True


def _report(event_id: str, kind: str | None, outcome: str, *, as_json: bool) -> None:
    if as_json:
        output.line(event=event_id, type=kind, outcome=outcome)
    else:
        click.echo(f"{event_id:<32}  {kind + '  ' if kind else ''}{outcome}")


def _timestamp(value: str) -> datetime | None:
    if span := _SPAN.fullmatch(value):
        unit = timedelta(days=1) if span[2] == "d" else timedelta(hours=1)
        return now() - int(span[1]) * unit
    try:
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    except ValueError:
        return None


def _state(row: StripeEvent) -> str:
    if row.processed_at:
        return "applied"
    return "failed" if row.attempts else "waiting"


def _as_row(row: StripeEvent) -> str:
    received, error = output.short(row.received_at), (row.last_error or "").replace("\n", " ")
    customer = row.customer_id or "-"
    cells = (received, row.type, row.id, customer, _state(row), row.attempts, error)
    return _COLUMNS.format(*cells).rstrip()


def _as_json(row: StripeEvent) -> dict[str, Any]:
    return {
        "event": row.id,
        "type": row.type,
        "created": row.created,
        "received": row.received_at,
        "customer": row.customer_id,
        "object": row.object_id,
        "state": _state(row),
        "processed": row.processed_at,
        "attempts": row.attempts,
        "last_error": row.last_error,
    }

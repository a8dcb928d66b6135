"""`flask mail …`: send pending emails, and preview emails."""

from __future__ import annotations

from pathlib import Path

import click
from flask.cli import AppGroup

from saas import sandbox_process
from saas.mail import outbox

mail = AppGroup("mail", short_help="Send pending emails, or preview an email.")


@mail.command("flush")
@click.option(
    "--given-up", is_flag=True, help="Also retry emails that were given up on after three days."
)
@sandbox_process.requires_sandbox
def flush(given_up: bool) -> None:
    """Send the emails that are due now.

    The worker does the same every minute. Exits with 1 if an email could not be sent. Failed emails
    stay in the outbox and are retried at growing intervals.
    """
    if given_up:
        outbox.retry_failed()
    total = outbox.DeliveryResult()
    while (some := outbox.deliver_due()) != outbox.DeliveryResult():
        total = total + some
    click.echo(_describe(total, outbox.count_pending()))
    if total.failed:
        raise SystemExit(1)


@mail.command("preview")
@click.argument("kind", required=False)
@click.option("--text", is_flag=True, help="Show the text part instead of the HTML part.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this file instead of standard output.",
)
def preview(kind: str | None, text: bool, out: Path | None) -> None:
    """Print a sample email, or list the kinds.

    Without KIND, prints the kinds with their subjects. Nothing is sent, and the database is not
    used.
    """
    if kind is None and (text or out):
        raise click.UsageError("Missing KIND. Run `flask mail preview` to list the kinds.")
    samples = outbox.previews()
    if kind is None:
        for name, made_up in samples.items():
            click.echo(f"{name:<20} {made_up().subject}")
        return
    if kind not in samples:
        raise click.ClickException(f"Unknown kind {kind!r}. Kinds: {', '.join(samples)}.")
    sample = samples[kind]()
    _show(sample.text if text else sample.html, out)


def _show(content: str, out: Path | None) -> None:
    if out is None:
        click.echo(content)
        return
    try:
        out.write_text(content, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{out} cannot be written: {error.strerror}.") from None
    click.echo(f"Wrote {out}.")


def _describe(result: outbox.DeliveryResult, waiting: int) -> str:
    parts = [f"{result.sent} sent."]
    if result.skipped:
        parts.append(f"{result.skipped} skipped, because they no longer apply.")
    if result.failed:
        parts.append(f"{result.failed} failed.")
    if waiting:
        parts.append(f"{waiting} waiting for another attempt.")
    return " ".join(parts)

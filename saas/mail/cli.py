"""`flask mail …`: hand over what waits, and look at mails without sending any."""

from __future__ import annotations

from pathlib import Path

import click
from flask.cli import AppGroup

from saas import sandbox_process
from saas.mail import outbox

mail = AppGroup("mail", short_help="Mails: hand over what is due, or look at a sample.")


@mail.command("flush")
@click.option("--given-up", is_flag=True, help="Also those that were given up after three days.")
@sandbox_process.requires_sandbox
def flush(given_up: bool) -> None:
    """Hand over the mails that are due now, as the worker does every minute.

    Exit code 1 when one of them was refused; it stays, and is tried again with growing pauses.
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
@click.option("--text", is_flag=True, help="The text part instead of the HTML.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file.")
def preview(kind: str | None, text: bool, out: Path | None) -> None:
    """Print a made-up mail of KIND; without KIND, list the kinds with their subjects.

    Nothing is sent, and nothing in the database is read or written.
    """
    if kind is None and (text or out):
        raise click.UsageError("Say which KIND. `flask mail preview` alone lists them.")
    samples = outbox.previews()
    if kind is None:
        for name, made_up in samples.items():
            click.echo(f"{name:<20} {made_up().subject}")
        return
    if kind not in samples:
        raise click.ClickException(f"There is no mail {kind!r}. There are: {', '.join(samples)}.")
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

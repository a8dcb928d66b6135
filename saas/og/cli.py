"""`flask og render`: draw a card into a file."""

from __future__ import annotations

from pathlib import Path

import click

from saas.errors import APIError
from saas.og import bp, schemas
from saas.og.card import MODES

bp.cli.help = "Draw share cards."


@bp.cli.command("render")
@click.option("--heading", required=True, help="The title of the card, up to 200 characters.")
@click.option("--type", "label", default="", help="The label above the heading, such as Blog.")
@click.option(
    "--mode", default="light", type=click.Choice(MODES), show_default=True, help="Light or dark."
)
@click.option("--template", default="page", show_default=True, help="page, post or pricing.")
@click.option("--line", default="", help="A second line below the heading.")
@click.option("--author", default="", help="The author (template post).")
@click.option("--date", default="", help="The date, shown as given (template post).")
@click.option("--plan", default="", help="The name of the plan (template pricing).")
@click.option("--price", default="", help="The price, such as '$15 a month' (template pricing).")
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this file.",
)
def render(label: str, out: Path, **options: str) -> None:
    """Draw a card into a PNG file of 1200 x 630 pixels."""
    from saas.og.card_cache import card_cache

    try:
        card = schemas.read({**options, "type": label})
    except APIError as problem:
        fields = (problem.fields or {}).items()
        lines = [f"--{name} {' '.join(messages)}" for name, messages in fields]
        raise click.ClickException("; ".join(lines)) from None
    try:
        out.write_bytes(card_cache().draw(card).png)
    except OSError as error:
        raise click.ClickException(f"{out} cannot be written: {error.strerror}.") from None
    click.echo(f"{out}: {out.stat().st_size:,} bytes")

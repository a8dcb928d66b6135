"""`flask billing rebuild-revenue`: record the movements of revenue again."""

from __future__ import annotations

import click

from saas.billing import bp, revenue


@bp.cli.command("rebuild-revenue", short_help="Record the movements of revenue again.")
def rebuild_revenue() -> None:
    """Record the movements of revenue again, from the history of all users.

    Run it once after updating from a version that did not record them. The history reaches back
    three years. Movements of deleted accounts stay as they are.
    """
    count = revenue.rebuild()
    click.echo(f"Recorded the movements of {count} user{'s'[: count != 1]} again.")

"""Output of the commands: a progress bar for people, JSON lines for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import click

Step = Callable[[int], None]


@contextmanager
def progress(label: str, length: int) -> Iterator[Step]:
    """Show a progress bar on standard error if it is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with click.progressbar(length=max(length, 1), label=label, file=sys.stderr) as bar:
        yield bar.update


def line(**values: Any) -> None:
    """Print one JSON object on a line."""
    click.echo(json.dumps(values, default=_plain))


def note(text: str) -> None:
    """Print a sentence on standard error, so that it is not part of piped output."""
    click.echo(text, err=True)


def short(value: Any) -> str:
    """Return a value in the form shown in a table."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return "-" if value is None else str(value)


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)

"""How the commands show their way: progress for people at a terminal, lines for machines."""

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
    """A bar on standard error when that is a terminal, and nothing otherwise."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with click.progressbar(length=max(length, 1), label=label, file=sys.stderr) as bar:
        yield bar.update


def line(**values: Any) -> None:
    """One JSON object on a line of its own."""
    click.echo(json.dumps(values, default=_plain))


def note(text: str) -> None:
    """A sentence beside the output, where a pipe does not take it."""
    click.echo(text, err=True)


def short(value: Any) -> str:
    """A value in a table."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return "-" if value is None else str(value)


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)

"""Lists of any length: pages by keyset, and CSV files."""

from __future__ import annotations

import csv
import io
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import Response, stream_with_context
from sqlalchemy import ColumnElement, Select, select, tuple_, union

from saas import database
from saas.database import db

PAGE = 50
_BATCH = 500
# At the beginning, or after the separator of another locale:
# https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = re.compile(r"(?:^|[;,|\t\r\n])\s*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")


@dataclass(frozen=True)
class Page:
    """Rows, and the cursor of the next page; None on the last one."""

    rows: Sequence[Any]
    next: str | None


@dataclass(frozen=True)
class Listing:
    """A query whose rows are read in the order of `keys`, descending unless `ascending`.

    The keys of a row together are unique, and an index has them in this order, so that the last
    page is as fast as the first; the first key is enough where few rows share it. `parse` reads a
    cursor back, and raises `ValueError`. With `alternatives`, of which one must hold, each is
    searched by its own index.
    """

    query: Select[Any]
    keys: tuple[Any, ...]
    parse: Callable[[str], tuple[Any, ...]]
    ascending: bool = False
    alternatives: tuple[ColumnElement[bool], ...] = ()

    def page(self, after: str | None = None, size: int = PAGE) -> Page:
        """Return the rows after a cursor; an invalid one is the beginning."""
        try:
            start = self.parse(after) if after else None
        except ValueError:
            start = None
        rows = db.session.scalars(self._select(start, size + 1)).all()
        on_page = rows[:size]
        return Page(on_page, self._cursor(on_page[-1]) if len(rows) > size else None)

    def every(self) -> Iterator[Any]:
        """Yield all rows."""
        for rows in self.batches():
            yield from rows

    def batches(self) -> Iterator[Sequence[Any]]:
        """Yield all rows in batches, each read with a connection of its own."""
        start: tuple[Any, ...] | None = None
        while True:
            rows = db.session.scalars(self._select(start, _BATCH)).all()
            yield rows
            if len(rows) < _BATCH:
                return
            start = self._keys_of(rows[-1])
            db.session.expunge_all()
            database.release_connection()

    def _select(self, start: tuple[Any, ...] | None, limit: int) -> Select[Any]:
        order = [key.asc() if self.ascending else key.desc() for key in self.keys]
        query = self.query.order_by(*order).limit(limit)
        if start is not None:
            here = tuple_(*self.keys)
            query = query.where(here > start if self.ascending else here < start)
        if not self.alternatives:
            return query
        searches = [
            select(query.with_only_columns(*self.keys).where(condition).subquery())
            for condition in self.alternatives
        ]
        keys = select(union(*searches).subquery())
        return self.query.where(tuple_(*self.keys).in_(keys)).order_by(*order).limit(limit)

    def _keys_of(self, row: Any) -> tuple[Any, ...]:
        return tuple(getattr(row, key.key) for key in self.keys)

    def _cursor(self, row: Any) -> str:
        return "~".join(
            value.isoformat() if isinstance(value, datetime) else str(value)
            for value in self._keys_of(row)
        )


def parse_id(cursor: str) -> tuple[uuid.UUID]:
    """Return the key of a list that is in the order of ids. Raises `ValueError`."""
    return (uuid.UUID(cursor),)


def csv_file(name: str, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> Response:
    """Return a CSV file that is written while its rows are read.

    Text that a spreadsheet would run as a formula begins with an apostrophe.
    """

    def lines() -> Iterator[str]:
        yield _line(head)
        for row in rows:
            yield _line(row)

    attached = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    body = stream_with_context(lines())
    return Response(body, mimetype="text/csv", headers=attached)


def _line(row: Sequence[Any]) -> str:
    line = io.StringIO()
    csv.writer(line, quoting=csv.QUOTE_ALL).writerow([_cell(value) for value in row])
    return line.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, str) and _FORMULA.search(value):
        return f"'{value}"
    return "" if value is None else value

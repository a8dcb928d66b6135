"""Each clause of the table of cases is claimed by a test."""

from __future__ import annotations

import importlib
from pathlib import Path

from tests.billing import cases

TESTS = Path(__file__).parents[1]


def test_every_clause_of_the_table_is_claimed_by_a_test() -> None:
    for room in ("billing", "users"):
        for path in (TESTS / room).rglob("test_*.py"):
            inside = path.relative_to(TESTS).with_suffix("")
            importlib.import_module(".".join(("tests", *inside.parts)))

    every = [(row, clause) for row, clauses in cases.ROWS.items() for clause in clauses]
    assert [item for item in every if not cases.claimed[item]] == []

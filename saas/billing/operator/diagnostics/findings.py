"""The findings of `flask billing doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

SETUP = "flask billing setup"
CATCH_UP = "flask billing catch-up"


@dataclass(frozen=True)
class Finding:
    """The result of a check. `fix` says how to solve a problem; it is empty when all is well."""

    check: str
    message: str
    fix: str = ""

    @property
    def is_problem(self) -> bool:
        return bool(self.fix)


Findings = Iterator[Finding]

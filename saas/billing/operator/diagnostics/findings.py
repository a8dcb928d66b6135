"""What a check of the doctor's found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

SETUP = "flask billing setup"
CATCH_UP = "flask billing catch-up"


@dataclass(frozen=True)
class Finding:
    """What a check found. `mend` is what to do about a problem; empty where all is well."""

    check: str
    said: str
    mend: str = ""

    @property
    def is_problem(self) -> bool:
        return bool(self.mend)


Findings = Iterator[Finding]

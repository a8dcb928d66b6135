"""Convert reading order to drawing order, for lines with mixed directions.

These are the rules of UAX #9 without explicit embeddings, which `text.clean` has removed: weak
types (W1-W7), neutrals (N1-N2), levels (I1-I2) and reordering (L2), in the order of the report.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from itertools import groupby

_RTL = re.compile(
    "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff\U00010800-\U00010fff\U0001e800-\U0001efff]"
)
_INSIDE_NUMBERS = (("EN", "ES"), ("EN", "CS"), ("AN", "CS"))
_STRONG = {"L": "L", "R": "R", "EN": "R", "AN": "R"}  # numbers count as R between neutrals (N1)


@dataclass(frozen=True)
class Stretch:
    """Consecutive characters with the same direction, in reading order."""

    text: str
    rtl: bool


def visual(text: str, rtl: bool) -> list[Stretch]:
    """Return `text` as stretches from left to right; `rtl` is the paragraph's direction."""
    if not rtl and not _RTL.search(text):
        return [Stretch(text, rtl=False)] if text else []
    levels = _levels(text, rtl)
    stretches = [
        ("".join(char for char, _ in group), level)
        for level, group in groupby(zip(text, levels, strict=True), key=lambda pair: pair[1])
    ]
    highest = max(levels, default=0)
    for level in range(highest, 0, -1):
        stretches = _reversed_from(stretches, level)
    return [Stretch(part, bool(level % 2)) for part, level in stretches]


def _reversed_from(stretches: list[tuple[str, int]], level: int) -> list[tuple[str, int]]:
    """L2: reverse every sequence of stretches at `level` or above."""
    turned: list[tuple[str, int]] = []
    for high, group in groupby(stretches, key=lambda stretch: stretch[1] >= level):
        runs = list(group)
        turned += reversed(runs) if high else runs
    return turned


def _levels(text: str, rtl: bool) -> list[int]:
    base = int(rtl)
    kinds = _neutrals(_weak([unicodedata.bidirectional(char) for char in text], rtl), rtl)
    if rtl:
        return [1 if kind == "R" else 2 for kind in kinds]
    return [{"L": base, "R": 1, "EN": 2, "AN": 2}[kind] for kind in kinds]


def _weak(kinds: list[str], rtl: bool) -> list[str]:
    """W1-W7: resolve weak types: marks, numbers and their signs."""
    before = strong = "R" if rtl else "L"
    for at, kind in enumerate(kinds):
        if kind in ("NSM", "BN"):
            kind = before
        elif kind == "EN" and strong == "AL":
            kind = "AN"
        if kind in ("L", "R", "AL"):
            strong = kind
        kinds[at] = before = kind
    kinds = _number_signs(kinds)
    strong = "R" if rtl else "L"
    for at, kind in enumerate(kinds):
        if kind in ("L", "R", "AL"):
            strong = kind
        if kind == "EN" and strong == "L":
            kinds[at] = "L"
    return ["R" if kind == "AL" else kind for kind in kinds]


def _number_signs(kinds: list[str]) -> list[str]:
    """W4, W5: a comma inside a number, or a currency sign next to one, belongs to it."""
    for at in range(1, len(kinds) - 1):
        before, kind, after = kinds[at - 1 : at + 2]
        joins = before == after and (before, kind) in _INSIDE_NUMBERS
        kinds[at] = before if joins else kind
    for at in (*range(1, len(kinds)), *range(len(kinds) - 2, -1, -1)):
        beside = kinds[at - 1 : at] + kinds[at + 1 : at + 2]
        if kinds[at] == "ET" and "EN" in beside:
            kinds[at] = "EN"
    return kinds


def _neutrals(kinds: list[str], rtl: bool) -> list[str]:
    """N1, N2: neutrals between runs of one direction take it, others the paragraph's direction."""
    base = "R" if rtl else "L"
    resolved: list[str] = []
    runs = [(strong, list(run)) for strong, run in groupby(kinds, key=_STRONG.__contains__)]
    for at, (strong, run) in enumerate(runs):
        if strong:
            resolved += run
            continue
        before = _STRONG[runs[at - 1][1][-1]] if at else base
        after = _STRONG[runs[at + 1][1][0]] if at + 1 < len(runs) else base
        resolved += [before if before == after else base] * len(run)
    return resolved

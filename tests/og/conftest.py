"""Presses for cards: one that any machine has, and one with Debian's Noto fonts."""

from __future__ import annotations

import pytest

from saas.og.fonts import SYSTEM, Library
from saas.og.press import Press
from tests.og.pictures import PLINTH

_NOTO = ("NotoSansArabic-Bold.ttf", "NotoSansCJK-Bold.ttc", "NotoColorEmoji.ttf")


@pytest.fixture(scope="session")
def press() -> Press:
    """Draws with the project's own fonts only, so that cards are the same everywhere."""
    return Press(PLINTH, "plinth.example", Library(()))


@pytest.fixture(scope="session")
def noto() -> Press:
    """Draws in every script."""
    library = Library(SYSTEM)
    if missing := [name for name in _NOTO if name not in library.names]:
        pytest.skip(f"{', '.join(missing)}: install the packages that docs/og.md names")
    return Press(PLINTH, "plinth.example", library)

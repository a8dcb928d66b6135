"""Renderers of cards, and templates that exist for one test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from saas.og.render.fonts import SYSTEM, Library
from saas.og.render.renderer import Renderer
from saas.og.templates import TEMPLATES, Template, template
from tests.og.pictures import LOGO, PLINTH

_NOTO = ("NotoSansArabic-Bold.ttf", "NotoSansCJK-Bold.ttc", "NotoColorEmoji.ttf")


@pytest.fixture(scope="session")
def renderer() -> Renderer:
    """Return a renderer with the project's own fonts only: its cards are the same everywhere."""
    return Renderer(PLINTH, "plinth.example", LOGO, Library(()))


@pytest.fixture(scope="session")
def noto_renderer() -> Renderer:
    """Return a renderer with fonts for every script."""
    library = Library(SYSTEM)
    if missing := [name for name in _NOTO if name not in library.names]:
        pytest.skip(f"{', '.join(missing)}: install the packages that docs/og.md names")
    return Renderer(PLINTH, "plinth.example", LOGO, library)


@pytest.fixture
def register() -> Iterator[Callable[[Template], Template]]:
    """Register templates as a product does, until the end of the test."""
    names = set(TEMPLATES)
    yield template
    for name in TEMPLATES.keys() - names:
        del TEMPLATES[name]

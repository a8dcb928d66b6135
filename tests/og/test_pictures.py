"""Cards match the pictures in the documentation."""

from __future__ import annotations

import io

import pytest
from PIL import Image, ImageChops, ImageStat

from saas.og.render.renderer import Renderer
from tests.og import pictures


@pytest.mark.parametrize("name", pictures.OWN)
def test_cards_equal_their_pictures(name: str, renderer: Renderer) -> None:
    kept = Image.open(pictures.FOLDER / f"{name}.png").convert("RGB")

    drawn = Image.open(io.BytesIO(renderer.print(pictures.OWN[name]).png)).convert("RGB")

    # Another FreeType changes the grey edges of letters; a moved line changes ten times more.
    apart = ImageStat.Stat(ImageChops.difference(kept, drawn).convert("L")).mean[0]
    assert apart < 0.8, "look at it, then: python -m tests.og.pictures"


@pytest.mark.parametrize("name", [*pictures.OWN, *pictures.NOTO])
def test_cards_are_small(name: str) -> None:
    size = (pictures.FOLDER / f"{name}.png").stat().st_size

    assert size <= 35_000

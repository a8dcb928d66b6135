"""Cards look as they looked when somebody last looked at them."""

from __future__ import annotations

import io

import pytest
from PIL import Image, ImageChops, ImageStat

from saas.og.render.renderer import Renderer
from tests.og import pictures


@pytest.mark.parametrize("name", pictures.OWN)
def test_cards_look_as_they_did(name: str, press: Renderer) -> None:
    kept = Image.open(pictures.FOLDER / f"{name}.png").convert("RGB")

    drawn = Image.open(io.BytesIO(press.print(pictures.OWN[name]).png)).convert("RGB")

    # Another FreeType moves the grey at the edges of letters; a moved line is ten times as much.
    apart = ImageStat.Stat(ImageChops.difference(kept, drawn).convert("L")).mean[0]
    assert apart < 0.8, "look at it, then: python -m tests.og.pictures"


@pytest.mark.parametrize("name", [*pictures.OWN, *pictures.NOTO])
def test_cards_are_small(name: str) -> None:
    size = (pictures.FOLDER / f"{name}.png").stat().st_size

    assert size <= 35_000

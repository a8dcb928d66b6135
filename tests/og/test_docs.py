"""The examples of docs/og.md work."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pytest

from saas.og import cli, templates
from saas.og.card import Card
from saas.og.render.renderer import Renderer
from saas.og.schemas import CardSchema

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "og.md").read_text()


@pytest.mark.usefixtures("register")
def test_the_template_of_the_guide_draws_a_card(renderer: Renderer) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)

    exec(code, {**vars(templates), "partial": partial})  # noqa: S102 - our own guide

    message = {"plan": "v2.0", "author": "Ada", "date": "22 November"}
    drawn = renderer.print(Card("Faster cards", template="release", **message))
    assert drawn.png != renderer.print(Card("Faster cards")).png
    assert code.count("\n") <= 22


def test_the_guide_names_every_parameter_and_every_option() -> None:
    options = {option for param in cli.render.params for option in param.opts}

    assert all(f"`{name}`" in GUIDE for name in CardSchema().fields)
    assert options - {"--out"} == {f"--{name}" for name in CardSchema().fields}


def test_the_guide_shows_only_existing_pictures() -> None:
    shown = re.findall(r"\]\((og/[^)]+)\)", GUIDE)

    assert len(shown) >= 5
    assert all((Path(__file__).resolve().parents[2] / "docs" / name).is_file() for name in shown)

"""Templates of cards.

A template is a function from a card to its parts; docs/og.md shows how to write one. `renderer`
sets the parts above the foot; the foot draws itself on the canvas.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from saas.og.card import Card

if TYPE_CHECKING:  # so that the list of templates is available without loading Pillow
    from saas.og.render.canvas import Canvas

Foot = Callable[["Canvas"], None]

# Maximum widths of parts of a foot in px, to leave room for the next one.
_AUTHOR = 640
_AMOUNT = 480
_REST = 280


@dataclass(frozen=True)
class Parts:
    """The parts of a card, from top to bottom. Empty parts take no space."""

    label: str
    heading: str
    line: str
    foot: Foot | None = None


Template = Callable[[Card], Parts]
TEMPLATES: dict[str, Template] = {}


def template(function: Template) -> Template:
    """Register a template under its function's name."""
    TEMPLATES[function.__name__] = function
    return function


@template
def page(card: Card) -> Parts:
    """A page of the site: label, heading, second line."""
    return Parts(card.type, card.heading, card.line)


@template
def post(card: Card) -> Parts:
    """An article, with the author's initial and name, and the date."""
    foot = partial(_byline, card.author, card.date) if card.author or card.date else None
    return Parts(card.type, card.heading, card.line, foot)


@template
def pricing(card: Card) -> Parts:
    """A plan and its price, with a large amount and the rest of the price beside it."""
    foot = partial(_offer, card.plan, card.price) if card.plan or card.price else None
    return Parts(card.type, card.heading, card.line, foot)


def _byline(author: str, date: str, canvas: Canvas) -> None:
    x = 0
    if author:
        x += canvas.badge(x, author[0].upper()) + 20
        x += canvas.words(x, author, size=30, most=_AUTHOR) + 14
    if author and date:
        x += canvas.words(x, "·", size=30, muted=True) + 14
    if date:
        canvas.words(x, date, size=30, muted=True)


def _offer(plan: str, price: str, canvas: Canvas) -> None:
    amount, _, rest = price.partition(" ")
    x = 0
    if price:
        x += canvas.words(x, amount, size=64, style="heading", most=_AMOUNT) + 14
    if rest:
        x += canvas.words(x, rest, size=30, muted=True, most=_REST) + 28
    if plan:
        canvas.pill(x, plan)

"""Render a card as PNG: set its parts, draw them on a canvas, and add the background."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock

from saas.declaration import Brand
from saas.og.card import Card
from saas.og.render import background, png, text
from saas.og.render.canvas import BOTTOM, MEASURE, PILL, TOP, Canvas
from saas.og.render.fonts import Library
from saas.og.render.layout import SIZES, Box, Setting
from saas.og.render.palette import look, rgb
from saas.og.render.png import Background
from saas.og.templates import TEMPLATES, Parts

log = logging.getLogger(__name__)

_GAP = 24  # px between label and heading
_LINE_GAP = 18  # px between heading and second line
_LINE_SIZES = (34, 30)
_CROWDED_SIZES = SIZES[3:]  # for a heading above a second line and a foot, to leave space
_FOOT_ROOM = 88  # height of the foot in px
_PADDING = 10  # px of padding above and below


@dataclass(frozen=True)
class RenderedCard:
    """A card as PNG; `complete` is False if no font had some of its characters."""

    png: bytes
    complete: bool


class Renderer:
    """Draws cards for one product, with its brand and logo, the site's address, and the fonts."""

    def __init__(self, brand: Brand, site: str, logo: Path, library: Library) -> None:
        self.brand, self.site, self.logo, self.library = brand, site, logo, library
        self._backgrounds: dict[str, Background] = {}
        self._told: set[str] = set()
        self._lock = Lock()

    def print(self, card: Card) -> RenderedCard:
        """Render a card, 1200 x 630. Characters without a font are left out and logged once."""
        canvas, complete = self.compose(card)
        colors = canvas.finish(rgb(look(self.brand, card.mode).background))
        return RenderedCard(png.encode(self.background(card.mode), canvas.band, colors), complete)

    def blank(self, mode: str) -> bytes:
        """Render a card without text."""
        return png.encode(self.background(mode), Canvas(self.library, rtl=False).band)

    def compose(self, card: Card) -> tuple[Canvas, bool]:
        """Return the card's band before encoding, and whether all of it could be drawn."""
        card, lost = self._drawable(card)
        if lost:
            self._tell(lost)
        parts = TEMPLATES[card.template](card)
        canvas = Canvas(self.library, text.is_rtl(parts.heading))
        _set(canvas, parts)
        return canvas, not lost

    def background(self, mode: str) -> Background:
        """Return the background of a mode, drawn on first use."""
        with self._lock:
            if mode not in self._backgrounds:
                self._backgrounds[mode] = background.bake(
                    mode, self.brand, self.site, self.logo, self.library
                )
            return self._backgrounds[mode]

    def _drawable(self, card: Card) -> tuple[Card, str]:
        """Return the card with only drawable characters; an empty heading becomes the name."""
        heading, lost = self.library.sift(card.heading, "heading")
        fields = {"heading": heading or self.brand.name}
        for field in ("type", "line", "author", "date", "plan", "price"):
            if value := getattr(card, field):
                fields[field], missing = self.library.sift(value, "text")
                lost += missing
        return replace(card, **fields), lost

    def _tell(self, lost: str) -> None:
        new = set(lost) - self._told
        if new and len(self._told) < 10_000:
            self._told |= new
            names = " ".join(sorted(f"U+{ord(char):04X}" for char in new)[:8])
            log.warning("no font for %s; docs/og.md lists packages with more fonts", names)


def _set(canvas: Canvas, parts: Parts) -> None:
    """Draw the parts from top to bottom, centred in the available space."""
    room = BOTTOM - TOP - 2 * _PADDING - (_FOOT_ROOM if parts.foot else 0)
    line = _fitted(canvas, parts.line, room)
    others = (PILL + _GAP if parts.label else 0) + (line.height + _LINE_GAP if line else 0)
    sizes = _CROWDED_SIZES if parts.line and parts.foot else SIZES
    heading = canvas.fit(parts.heading, "heading", Box(MEASURE, room - others, 3), sizes)

    y = _PADDING + max(0, (room - others - heading.height) // 2)
    if parts.label:
        canvas.pill(0, parts.label, y)
        y += PILL + _GAP
    canvas.block(heading, y)
    if line:
        canvas.block(line, y + heading.height + _LINE_GAP, muted=True)
    if parts.foot:
        parts.foot(canvas)


def _fitted(canvas: Canvas, words: str, room: int) -> Setting | None:
    return canvas.fit(words, "text", Box(MEASURE, room, 1), _LINE_SIZES) if words else None

"""Text of one line, measured in em and drawn as coverage: one byte per pixel, 255 for full ink.

The bundled faces have no ligatures, so their letters are drawn once, cached, and placed with
kerning. Except for subpixel positions, the result is the same as with shaping. Other faces are
shaped by raqm. Callers see no difference.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, ImageDraw

from saas.og.render import bidi
from saas.og.render.fonts import EMOJI_SIZE, REFERENCE, Face, Library, Style

_EMOJI_HEIGHT = 1.2  # em: slightly taller than capital letters, as in a browser
_EMOJI_DROP = 0.2  # em below the baseline


@dataclass(frozen=True)
class Span:
    """Text of one face and direction; `width` in em."""

    text: str
    face: Face
    rtl: bool
    width: float


@dataclass(frozen=True)
class Picture:
    """A colour bitmap on the card: RGBA, with its top left corner in px."""

    image: Image.Image
    left: int
    top: int


def spans(text: str, library: Library, style: Style, rtl: bool) -> tuple[Span, ...]:
    """Return a line as spans in drawing order, from left to right."""
    if not text:
        return ()
    if not rtl and text.isascii():
        return tuple(_span(run.text, run.face, rtl=False) for run in library.runs(text, style))
    ordered: list[Span] = []
    for stretch in bidi.visual(text, rtl):
        parts = [_span(r.text, r.face, stretch.rtl) for r in library.runs(stretch.text, style)]
        ordered += reversed(parts) if stretch.rtl else parts
    return tuple(ordered)


def width(line: Sequence[Span]) -> float:
    """Return the advance of a line in em."""
    return sum(span.width for span in line)


def draw(
    canvas: Image.Image, line: Sequence[Span], x: float, baseline: int, size: int, ink: int = 255
) -> list[Picture]:
    """Draw a line onto `canvas` (mode L) from `x` to the right; return its emoji instead."""
    pictures = []
    for span in line:
        if span.face.emoji:
            image = _emoji(span.face, span.text, size)
            top = baseline - image.height + round(_EMOJI_DROP * size)
            pictures.append(Picture(image, round(x), top))
        elif _is_kept(span.face, span.text, span.rtl):
            _place(canvas, span, x, baseline, size, ink)
        else:
            _shape(canvas, span, x, baseline, size, ink)
        x += span.width * size
    return pictures


def _span(text: str, face: Face, rtl: bool) -> Span:
    if face.emoji:
        em = face.at(EMOJI_SIZE).getlength(text) / EMOJI_SIZE * _EMOJI_HEIGHT / _bitmap_ratio(face)
    elif _is_kept(face, text, rtl):
        em = sum(advances(face, text))
    else:
        em = face.at(REFERENCE).getlength(text, direction=_direction(rtl)) / REFERENCE
    return Span(text, face, rtl, em)


def _is_kept(face: Face, text: str, rtl: bool) -> bool:
    """Return whether the letters of `text` can be drawn one by one."""
    if not face.plain or rtl:
        return False
    return text.isascii() or not any(map(unicodedata.combining, text))


def _direction(rtl: bool) -> str:
    return "rtl" if rtl else "ltr"


def _place(canvas: Image.Image, span: Span, x: float, baseline: int, size: int, ink: int) -> None:
    for char, advance in zip(span.text, advances(span.face, span.text), strict=True):
        if glyph := _glyph(span.face, size, char):
            mask, left, top = glyph
            canvas.paste(ink, (round(x) + left, baseline + top), mask)
        x += advance * size


def _shape(canvas: Image.Image, span: Span, x: float, baseline: int, size: int, ink: int) -> None:
    ImageDraw.Draw(canvas).text(
        (round(x), baseline),
        span.text,
        fill=ink,
        font=span.face.at(size),
        anchor="ls",
        direction=_direction(span.rtl),
    )


def advances(face: Face, text: str) -> list[float]:
    """Return the advance of each letter in em, including kerning with the next."""
    return [_advance(face, a, b) for a, b in zip(text, (*text[1:], ""), strict=True)]


@lru_cache(maxsize=16384)
def _advance(face: Face, char: str, following: str) -> float:
    font = face.at(REFERENCE)
    advance = (font.getlength(char + following) - font.getlength(following)) / REFERENCE
    return advance + face.gap if char == " " else advance


@lru_cache(maxsize=2048)
def _glyph(face: Face, size: int, char: str) -> tuple[Image.Image, int, int] | None:
    """Return a letter's coverage, and its offset from the pen: px right, px down."""
    font = face.at(size)
    left, top, right, bottom = map(int, font.getbbox(char, anchor="ls"))
    if right <= left or bottom <= top:
        return None
    mask = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(mask).text((-left, -top), char, fill=255, font=font, anchor="ls")
    return mask, left, top


@lru_cache(maxsize=64)
def _emoji(face: Face, text: str, size: int) -> Image.Image:
    font = face.at(EMOJI_SIZE)
    left, top, right, bottom = map(int, font.getbbox(text))
    drawn = Image.new("RGBA", (max(right, 1), max(bottom - top, 1)))
    ImageDraw.Draw(drawn).text((0, -top), text, font=font, embedded_color=True)
    scale = size * _EMOJI_HEIGHT / drawn.height
    return drawn.resize(
        (max(1, round(drawn.width * scale)), max(1, round(drawn.height * scale))),
        Image.Resampling.LANCZOS,
    )


@lru_cache(maxsize=8)
def _bitmap_ratio(face: Face) -> float:
    """Return the height of the bitmaps relative to their nominal size."""
    _, top, _, bottom = face.at(EMOJI_SIZE).getbbox("\U0001f600")
    return (bottom - top) / EMOJI_SIZE

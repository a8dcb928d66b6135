"""The variable band of a card: text, pills and badges on an empty background.

A pixel is an index into the palette. Positions are in px from the margin where reading starts. For
a right-to-left heading that is the right margin, so callers treat both the same.
"""

from __future__ import annotations

from functools import lru_cache

from PIL import Image, ImageChops, ImageDraw

from saas.og.render import glyphs, layout
from saas.og.render.fonts import Library, Style
from saas.og.render.glyphs import Picture, Span
from saas.og.render.layout import Box, Setting
from saas.og.render.palette import ACCENT_RAMP, INK_RAMP, PICTURES, RGB
from saas.og.render.png import STRIDE, WIDTH

TOP, BOTTOM = 136, 552  # first and last row of the band
MARGIN = 80
MEASURE = WIDTH - 2 * MARGIN
PILL = 48  # px high
FOOT = 392  # the row of the foot's baseline in the band

_MUTED = 150  # coverage of muted text, out of 255
_TINT = 28  # coverage of the accent in the background of pills and badges
_OVERHANG = 6  # px by which a letter may exceed its advance


class Canvas:
    """An empty band, and methods to draw on it."""

    def __init__(self, library: Library, rtl: bool) -> None:
        self.band = Image.new("L", (STRIDE, BOTTOM - TOP))
        self.rtl = rtl
        self._library = library
        self._pictures: list[Picture] = []

    def block(self, setting: Setting, top: int, muted: bool = False) -> None:
        """Draw lines over the full width, from row `top` downwards."""
        over = setting.size // 3  # room for tall marks above the first line and below the last
        canvas = Image.new("L", (WIDTH, setting.height + 2 * over))
        for number, line in enumerate(setting.lines):
            left = self._left(0, glyphs.width(line) * setting.size)
            middle = over + round((number + 0.5) * setting.leading)
            self._draw(canvas, line, left, middle, setting.size, muted, (0, top - over))
        self._lay(canvas.point(INK_RAMP), 0, top - over)

    def words(
        self,
        x: int,
        words: str,
        size: int,
        style: Style = "text",
        muted: bool = False,
        most: int = MEASURE,
    ) -> int:
        """Draw one line in the foot from `x`, at most `most` px wide; return its width."""
        room = min(most, MEASURE - x)
        if room < 2 * size:
            return 0
        setting = self.fit(words, style, Box(room, 2 * size, 1), (size,))
        width = round(glyphs.width(setting.lines[0]) * size)
        left = round(self._left(x, width)) - _OVERHANG
        canvas = Image.new("L", (width + 2 * _OVERHANG, 2 * size))
        rise = size - round(0.36 * size)  # the canvas is centred on the capital letters
        at = (left, FOOT - 2 * size + rise)
        self._draw(canvas, setting.lines[0], _OVERHANG, size, size, muted, at)
        self._lay(canvas.point(INK_RAMP), *at)
        return width

    def pill(self, x: int, words: str, top: int | None = None) -> int:
        """Draw a short text in the accent on a tinted pill; return its width."""
        room = MEASURE - x - PILL
        if room < PILL:
            return 0
        setting = self.fit(words, "text", Box(room, PILL, 1), (26,))
        width = round(glyphs.width(setting.lines[0]) * setting.size) + PILL - 4
        self._badge(x, width, setting, FOOT - 34 if top is None else top)
        return width

    def badge(self, x: int, letter: str) -> int:
        """Draw a round badge with one letter; return its width."""
        size = PILL + 8
        setting = self.fit(letter, "heading", Box(size, size, 1), (28,))
        self._badge(x, size, setting, FOOT - 38, size)
        return size

    def fit(self, words: str, style: Style, box: Box, sizes: tuple[int, ...]) -> Setting:
        """Return `words` set to fit a box, with the fonts of this canvas."""
        return layout.fit(words, self._library, style, self.rtl, box, sizes)

    def finish(self, background: RGB) -> bytes:
        """Draw the emoji; return their colours (3 bytes each) for the end of the palette."""
        if not self._pictures:
            return b""
        return _place(self.band, self._pictures, background)

    def _badge(self, x: int, width: int, setting: Setting, top: int, height: int = PILL) -> None:
        canvas = _rounded(width, height).point([cover * _TINT // 255 for cover in range(256)])
        inside = (width - glyphs.width(setting.lines[0]) * setting.size) / 2
        left = round(self._left(x, width))
        self._draw(canvas, setting.lines[0], inside, height // 2, setting.size, False, (left, top))
        self._lay(canvas.point(ACCENT_RAMP), left, top)

    def _lay(self, indices: Image.Image, left: int, top: int) -> None:
        """Draw indices on the band; where they overlap, the higher index wins."""
        box = (left + 1, top, left + 1 + indices.width, top + indices.height)
        self.band.paste(ImageChops.lighter(self.band.crop(box), indices), box)

    def _left(self, x: int, width: float) -> float:
        return WIDTH - MARGIN - x - width if self.rtl else MARGIN + x

    def _draw(
        self,
        canvas: Image.Image,
        line: tuple[Span, ...],
        left: float,
        middle: int,
        size: int,
        muted: bool,
        at: tuple[int, int],
    ) -> None:
        """Draw a line whose capital letters are centred on row `middle` of a canvas."""
        baseline = middle + round(0.36 * size)
        ink = _MUTED if muted else 255
        for picture in glyphs.draw(canvas, line, left, baseline, size, ink):
            moved = Picture(picture.image, picture.left + at[0], picture.top + at[1])
            self._pictures.append(moved)


@lru_cache(maxsize=64)
def _rounded(width: int, height: int) -> Image.Image:
    """Return the coverage of a box with round ends, drawn at four times the size."""
    large = Image.new("L", (4 * width, 4 * height))
    ImageDraw.Draw(large).rounded_rectangle(
        (0, 0, 4 * width - 1, 4 * height - 1), radius=2 * height, fill=255
    )
    return large.resize((width, height), Image.Resampling.BOX)


def _place(band: Image.Image, pictures: list[Picture], background: RGB) -> bytes:
    """Reduce all emoji together to the remaining colours of the palette."""
    size = sum(p.image.width for p in pictures), max(p.image.height for p in pictures)
    strip = Image.new("RGB", size, background)
    lefts = []
    x = 0
    for picture in pictures:
        strip.paste(picture.image, (x, 0), picture.image)
        lefts.append(x)
        x += picture.image.width
    reduced = strip.quantize(len(PICTURES), Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    indices = Image.frombytes("L", strip.size, reduced.tobytes())
    indices = indices.point([min(index + PICTURES[0], 255) for index in range(256)])
    for picture, left in zip(pictures, lefts, strict=True):
        width, height = picture.image.size
        seen = picture.image.getchannel("A").point([0] + [255] * 255)
        cut = indices.crop((left, 0, left + width, height))
        band.paste(cut, (picture.left + 1, picture.top), seen)
    return bytes(reduced.getpalette() or ())[: 3 * len(PICTURES)]

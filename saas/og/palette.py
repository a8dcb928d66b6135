"""The colours of a card: a fixed palette of 256, so that a pixel is one byte.

Index 0 is the ground. Text is drawn as coverage and mapped through a ramp, which is exact; only
the ground's glow and the emoji are reduced to the nearest of their own colours.
"""

from __future__ import annotations

from dataclasses import dataclass

from PIL import ImageColor

RGB = tuple[int, int, int]

INK = range(0, 64)  # from the ground to the ink
ACCENT = range(64, 96)  # from the ground to the accent
GROUND = range(96, 192)  # the colours of glow and mark
PICTURES = range(192, 256)  # the colours of a card's emoji

INK_RAMP = [round(cover * (len(INK) - 1) / 255) for cover in range(256)]
ACCENT_RAMP = [0] + [ACCENT[round(cover * (len(ACCENT) - 1) / 255)] for cover in range(1, 256)]


@dataclass(frozen=True)
class Look:
    """The colours of a mode, as CSS writes them, and how strong the glow is (0 to 255)."""

    ground: str
    ink: str
    accent: str
    glow: int
    brand: tuple[str, str] = ("#6366f1", "#a855f7")


LOOKS = {
    "light": Look(ground="#ffffff", ink="#14141c", accent="#4f46e5", glow=54),
    "dark": Look(ground="#0a0a0f", ink="#f4f4f8", accent="#a5b4fc", glow=110),
}


def rgb(color: str) -> RGB:
    """A CSS colour as three bytes."""
    red, green, blue = ImageColor.getrgb(color)[:3]
    return red, green, blue


def blend(first: RGB, second: RGB, share: float) -> RGB:
    """`share` of the second colour over the first."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def ramps(look: Look) -> bytes:
    """The first part of the palette, up to the ground's colours: 3 bytes an index."""
    ground = rgb(look.ground)
    colors = [
        blend(ground, rgb(end), step / (len(indices) - 1))
        for end, indices in ((look.ink, INK), (look.accent, ACCENT))
        for step in range(len(indices))
    ]
    return bytes(value for color in colors for value in color)

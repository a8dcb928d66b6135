"""The colours of a card: a fixed palette of 256, so that a pixel is one byte.

Index 0 is the background. Everything is drawn as coverage, one byte per pixel, and mapped exactly
through a ramp of the palette. Only emoji are reduced to the nearest colours.
"""

from __future__ import annotations

from dataclasses import dataclass

from PIL import ImageColor

from saas.declaration import Brand

RGB = tuple[int, int, int]

INK = range(0, 64)  # from background to ink
ACCENT = range(64, 96)  # from background to accent
GLOW = range(96, 144)  # from background through the first brand colour to the second
GRADIENT = range(144, 168)  # from the first brand colour to the second
LOGO = range(168, 192)  # the logo's own colours
PICTURES = range(192, 256)  # the colours of a card's emoji

Ramp = list[int]  # 256 indices, one per coverage


def ramp(indices: range) -> Ramp:
    """Map coverage to indices: 0 stays 0, other values are spread over `indices`."""
    last = len(indices) - 1
    return [0] + [indices[round(cover * last / 255)] for cover in range(1, 256)]


INK_RAMP = ramp(INK)
ACCENT_RAMP = ramp(ACCENT)


@dataclass(frozen=True)
class Look:
    """The colours of a mode, as CSS values, and the maximum strength of the glow."""

    background: str
    ink: str
    accent: str
    brand: tuple[str, str]
    glow: float


def look(brand: Brand, mode: str) -> Look:
    """Return the look of a mode, `light` or `dark`."""
    colors, glow = (brand.dark, 0.5) if mode == "dark" else (brand.light, 0.24)
    return Look(colors.background, colors.text, colors.accent, brand.gradient, glow)


def rgb(color: str) -> RGB:
    """Return a CSS colour as three bytes."""
    red, green, blue = ImageColor.getrgb(color)[:3]
    return red, green, blue


def blend(first: RGB, second: RGB, share: float) -> RGB:
    """Return a mix with `share` of the second colour."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def colors(look: Look, logo: bytes) -> bytes:
    """Return the palette of a mode up to `PICTURES`, 3 bytes per index; `logo` is its last part."""
    background = rgb(look.background)
    first, second = map(rgb, look.brand)
    steps = [
        *_steps(background, rgb(look.ink), INK),
        *_steps(background, rgb(look.accent), ACCENT),
        *_glow(background, first, second, look.glow),
        *_steps(first, second, GRADIENT),
    ]
    return bytes(value for step in steps for value in step) + logo


def _steps(first: RGB, second: RGB, indices: range) -> list[RGB]:
    return [blend(first, second, step / (len(indices) - 1)) for step in range(len(indices))]


def _glow(background: RGB, first: RGB, second: RGB, strongest: float) -> list[RGB]:
    """Return the ramp of the glow: the stronger the glow, the more of the second colour."""
    shares = [step / (len(GLOW) - 1) for step in range(len(GLOW))]
    return [blend(background, blend(first, second, share), strongest * share) for share in shares]

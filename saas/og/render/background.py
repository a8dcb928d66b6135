"""The part of a card that never changes: glow, logo, name, address, and the bar at its foot.

Drawn once for each mode, as indices into the palette (mode L).
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageChops

from saas.declaration import Brand
from saas.og.render import glyphs, layout
from saas.og.render.canvas import BOTTOM, MARGIN, TOP
from saas.og.render.fonts import Library, Style
from saas.og.render.layout import Box
from saas.og.render.palette import (  # fmt: skip
    GLOW,
    GRADIENT,
    INK,
    INK_RAMP,
    LOGO,
    RGB,
    Ramp,
    colors,
    look,
    ramp,
    rgb,
)
from saas.og.render.png import HEIGHT, STRIDE, WIDTH, Background

_PLAIN = Image.Dither.NONE
_LOGO = 60  # px, length of a side
_LOGO_TOP = 56
_BAR = 10
# Light sources: left, top, right, bottom of an ellipse, and its strength (0 to 255).
_LIGHTS = (
    ((380, -160, 1500, TOP), 255),
    ((-300, -130, 900, TOP), 150),
    ((-200, BOTTOM, 1400, 2 * HEIGHT - BOTTOM), 130),
)
_CLEAR: Ramp = [0] * 40 + [255] * 216  # or faint edges would outline letters on the glow


def bake(mode: str, brand: Brand, site: str, logo: Path, library: Library) -> Background:
    """Return the background of a mode, with the product's logo and name and the site's address."""
    style = look(brand, mode)
    canvas = _light().point(ramp(GLOW))
    canvas.paste(_gradient(WIDTH, _BAR), (0, HEIGHT - _BAR))
    logo_colors = _place(canvas, logo, rgb(style.background))
    _write(canvas, library, brand.name, 34, "heading", left=MARGIN + _LOGO + 18)
    _write(canvas, library, site, 26, "text", right=WIDTH - MARGIN)

    rows = Image.new("L", (STRIDE, HEIGHT))
    rows.paste(canvas, (1, 0))
    above, below = rows.crop((0, 0, STRIDE, TOP)), rows.crop((0, BOTTOM, STRIDE, HEIGHT))
    return Background.bake(colors(style, logo_colors), above, below)


def _light() -> Image.Image:
    """Return the strength of the glow at each pixel; 0 within the band."""
    light = Image.new("L", (WIDTH, HEIGHT))
    for (left, top, right, bottom), strength in _LIGHTS:
        ellipse = _fading(strength).resize((right - left, bottom - top), Image.Resampling.BICUBIC)
        layer = Image.new("L", light.size)
        layer.paste(ellipse, (left, top))
        light = ImageChops.add(light, layer)
    return light


def _fading(strength: int) -> Image.Image:
    """Return an ellipse of `strength` in the centre that fades to 0 at its edges."""
    fall = [round(strength * max(0, 1 - distance / 180) ** 2) for distance in range(256)]
    return Image.radial_gradient("L").point(fall)


def _gradient(width: int, height: int) -> Image.Image:
    """Return the gradient from the first brand colour (left) to the second (right)."""
    ramp_right = Image.linear_gradient("L").rotate(90).resize((width, height))
    return ramp_right.point([GRADIENT[value * len(GRADIENT) // 256] for value in range(256)])


def _place(canvas: Image.Image, logo: Path, background: RGB) -> bytes:
    """Put the logo on the canvas; return its colours, 3 bytes each, for its part of the palette."""
    with Image.open(logo) as opened:
        picture = opened.convert("RGBA").resize((_LOGO, _LOGO), Image.Resampling.LANCZOS)
    whole = Image.new("RGB", picture.size, background)
    whole.paste(picture, (0, 0), picture)
    reduced = whole.quantize(len(LOGO), Image.Quantize.MEDIANCUT, kmeans=3, dither=_PLAIN)
    indices = Image.frombytes("L", reduced.size, reduced.tobytes())
    indices = indices.point([min(LOGO[0] + index, LOGO[-1]) for index in range(256)])
    canvas.paste(indices, (MARGIN, _LOGO_TOP), picture.getchannel("A").point(_CLEAR))
    size = 3 * len(LOGO)
    return bytes(reduced.getpalette() or ())[:size].ljust(size, b"\0")


def _write(
    canvas: Image.Image,
    library: Library,
    words: str,
    size: int,
    style: Style,
    left: int = 0,
    right: int = 0,
) -> None:
    """Write one line beside the logo: in ink from `left`, or muted and ending at `right`."""
    setting = layout.fit(words, library, style, False, Box(480, 2 * size, 1), (size,))
    width = round(glyphs.width(setting.lines[0]) * size)
    mask = Image.new("L", (width + 8, 2 * size))
    glyphs.draw(mask, setting.lines[0], 4, round(1.36 * size), size)
    share = 1 if left else 0.6
    ink = [INK[round(index * share)] for index in INK_RAMP]
    at = (left or right - width) - 4, _LOGO_TOP + _LOGO // 2 - size
    canvas.paste(mask.point(ink), at, mask.point(_CLEAR))

"""The part of a card that never changes: glow, mark, name, address, and the bar at its foot.

Drawn once for each mode, in full colour, and reduced to its share of the palette.
"""

from __future__ import annotations

from PIL import Image, ImageChops, ImageDraw

from saas.og import glyphs, layout
from saas.og.fonts import Library, Style
from saas.og.layout import Box
from saas.og.palette import GROUND, LOOKS, Look, blend, ramps, rgb
from saas.og.png import HEIGHT, WIDTH, Ground
from saas.og.sheet import BOTTOM, MARGIN, TOP

_MARK = 60  # px, its side
_MARK_TOP = 56
_BAR = 10


def bake(mode: str, name: str, site: str, library: Library) -> Ground:
    """The ground of a mode, with the product's name and the site's address on it."""
    look = LOOKS[mode]
    image = Image.new("RGB", (WIDTH, HEIGHT), look.ground)
    _glow(image, look)
    _bar(image, look)
    _mark(image, look, name, library)
    _write(image, look, library, name, 34, "heading", left=MARGIN + _MARK + 20, share=1)
    _write(image, look, library, site, 26, "text", right=WIDTH - MARGIN, share=0.6)
    return _reduced(image, look)


def _glow(image: Image.Image, look: Look) -> None:
    """Light of the two brand colours from beyond the upper edge, and a little from below."""
    first, second = map(rgb, look.brand)
    for color, box, strength in (
        (first, (-200, -150, 800, TOP), look.glow),
        (second, (500, -190, 1420, TOP), look.glow),
        (second, (-260, BOTTOM, 700, 770), look.glow * 2 // 3),
        (first, (420, BOTTOM, 1460, 770), look.glow * 2 // 3),
    ):
        size = box[2] - box[0], box[3] - box[1]
        image.paste(color, box[:2], _light(strength).resize(size, Image.Resampling.BICUBIC))


def _light(strength: int) -> Image.Image:
    """Coverage that falls from `strength` in the centre to nothing at the edges, softly."""
    fall = [round(strength * max(0, 1 - distance / 254) ** 2) for distance in range(256)]
    return Image.radial_gradient("L").point(fall)


def _bar(image: Image.Image, look: Look) -> None:
    image.paste(_gradient(look, WIDTH, _BAR), (0, HEIGHT - _BAR))


def _gradient(look: Look, width: int, height: int) -> Image.Image:
    """From the first brand colour on the left to the second on the right."""
    first, second = map(rgb, look.brand)
    image = Image.new("RGB", (64, 1))
    image.putdata([blend(first, second, step / 63) for step in range(64)])
    return image.resize((width, height), Image.Resampling.BILINEAR)


def _mark(image: Image.Image, look: Look, name: str, library: Library) -> None:
    """A rounded square in the brand's gradient with the name's initial."""
    large = Image.new("L", (4 * _MARK, 4 * _MARK))
    ImageDraw.Draw(large).rounded_rectangle((0, 0, *large.size), radius=4 * 17, fill=255)
    shape = large.resize((_MARK, _MARK), Image.Resampling.BOX)
    image.paste(_gradient(look, _MARK, _MARK), (MARGIN, _MARK_TOP), shape)

    letter = Image.new("L", (_MARK, _MARK))
    line = glyphs.spans(name[:1].upper(), library, "heading", rtl=False)
    glyphs.draw(letter, line, (_MARK - glyphs.width(line) * 36) / 2, _MARK // 2 + 13, 36)
    image.paste("#ffffff", (MARGIN, _MARK_TOP), letter)


def _write(
    image: Image.Image,
    look: Look,
    library: Library,
    words: str,
    size: int,
    style: Style,
    share: float,
    left: int = 0,
    right: int = 0,
) -> None:
    """One line beside the mark, from `left` or up to `right`; `share` of the ink's colour."""
    setting = layout.fit(words, library, style, False, Box(480, 2 * size, 1), (size,))
    line = setting.lines[0]
    mask = Image.new("L", (520, 2 * size))
    glyphs.draw(mask, line, 4, round(1.36 * size), size)
    start = left if left else right - round(glyphs.width(line) * size)
    color = blend(rgb(look.ground), rgb(look.ink), share)
    image.paste(color, (start - 4, _MARK_TOP + _MARK // 2 - size), mask)


def _reduced(image: Image.Image, look: Look) -> Ground:
    """The rows above and below the band in their share of the palette."""
    both = Image.new("RGB", (WIDTH, TOP + HEIGHT - BOTTOM))
    both.paste(image.crop((0, 0, WIDTH, TOP)), (0, 0))
    both.paste(image.crop((0, BOTTOM, WIDTH, HEIGHT)), (0, TOP))
    colours = both.quantize(len(GROUND), Image.Quantize.MAXCOVERAGE)
    # Dithered, or the glow would show the edges of its few colours.
    reduced = both.quantize(palette=colours, dither=Image.Dither.FLOYDSTEINBERG)
    indices = Image.frombytes("L", both.size, reduced.tobytes())
    indices = indices.point([min(index + GROUND[0], 255) for index in range(256)])
    # The nearest colour to the ground need not be the ground, which would leave a seam.
    bare = _same(both, look.ground)
    rows = Image.new("L", (WIDTH + 1, both.height))
    rows.paste(Image.composite(Image.new("L", both.size), indices, bare), (1, 0))
    colors = bytes(colours.getpalette() or ())[: 3 * len(GROUND)]
    return Ground.bake(
        ramps(look) + colors.ljust(3 * len(GROUND), b"\0"),
        rows.crop((0, 0, WIDTH + 1, TOP)),
        rows.crop((0, TOP, WIDTH + 1, rows.height)),
    )


def _same(image: Image.Image, color: str) -> Image.Image:
    """255 where `image` has exactly this colour."""
    apart = ImageChops.difference(image, Image.new("RGB", image.size, color))
    red, green, blue = apart.split()
    return ImageChops.lighter(ImageChops.lighter(red, green), blue).point([255] + [0] * 255)

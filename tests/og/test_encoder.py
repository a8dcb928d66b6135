"""The fast encoder and layout give the results of the simple ones."""

from __future__ import annotations

import io
import random
import string
import struct
import zlib

import pytest
from PIL import Image, ImageChops, ImageDraw, ImageStat

from saas.og.card import Card
from saas.og.render import glyphs, png
from saas.og.render.fonts import OWN, Face, Library
from saas.og.render.palette import rgb
from saas.og.render.png import HEIGHT, STRIDE
from saas.og.render.renderer import Renderer

LETTERS = string.ascii_letters + string.digits + "   .,:;!?'-/()éüñçßøłż"


def _random_card(seed: int) -> Card:
    rng = random.Random(seed)  # noqa: S311 - a repeatable heading, not a secret
    heading = "".join(rng.choices(LETTERS, k=rng.randint(1, 150)))
    return Card(f"x{heading}", type="Blog", mode=rng.choice(("light", "dark")))


@pytest.mark.parametrize("seed", range(0, 200, 20))
def test_the_encoder_gives_the_pixels_that_pillow_saves(seed: int, renderer: Renderer) -> None:
    for card in map(_random_card, range(seed, seed + 20)):
        band, background = renderer.compose(card)[0].band, renderer.background(card.mode)

        fast, plain = png.encode(background, band), png.plain(background, band)

        assert _pixels(fast).tobytes() == _pixels(plain).tobytes(), card


def test_emoji_have_colours_and_are_encoded_like_pillow_does(noto_renderer: Renderer) -> None:
    sheet, _ = noto_renderer.compose(Card("Ship it 🚀 👩🏽‍💻 🇩🇪", mode="dark"))
    colors = sheet.finish(rgb(noto_renderer.brand.dark.background))
    background = noto_renderer.background("dark")

    fast, plain = (
        png.encode(background, sheet.band, colors),
        png.plain(background, sheet.band, colors),
    )

    assert _pixels(fast).tobytes() == _pixels(plain).tobytes()
    assert len({*_colors(fast)}) > 80


def test_a_card_is_valid_for_a_png_decoder_other_than_pillow(renderer: Renderer) -> None:
    card = renderer.print(_random_card(1)).png

    names, stream = [], b""
    position = 8
    while position < len(card):
        length, name = struct.unpack_from(">I4s", card, position)
        body = card[position + 8 : position + 8 + length]
        checksum = struct.unpack_from(">I", card, position + 8 + length)[0]
        assert checksum == zlib.crc32(name + body)
        names.append(name)
        stream += body if name == b"IDAT" else b""
        position += 12 + length

    rows = zlib.decompress(stream)  # checks the combined Adler-32, too
    assert names == [b"IHDR", b"PLTE", b"IDAT", b"IEND"]
    assert len(rows) == STRIDE * HEIGHT
    assert not any(rows[::STRIDE])  # no row is filtered


@pytest.mark.parametrize("size", [52, 68, 80])
def test_cached_glyphs_are_placed_where_shaping_puts_them(size: int) -> None:
    face = Face(OWN / "CalSans.ttf", plain=True)
    words = "KerningAVATAR:Type,Wave&1,234Łódź"  # spaces are wider on cards
    kept = Image.new("L", (1900, 140))
    shaped = kept.copy()

    line = glyphs.spans(words, Library(()), "heading", rtl=False)
    glyphs.draw(kept, line, 20, 100, size)
    ImageDraw.Draw(shaped).text((20, 100), words, fill=255, font=face.at(size), anchor="ls")

    apart = ImageChops.difference(kept, shaped)
    ink = ImageStat.Stat(shaped).sum[0]
    assert ImageStat.Stat(apart).sum[0] < 0.12 * ink  # edges, never the inside of a letter


def _pixels(card: bytes) -> Image.Image:
    return Image.open(io.BytesIO(card)).convert("RGB")


def _colors(card: bytes) -> list[object]:
    return [color for _, color in _pixels(card).getcolors(1 << 20) or ()]

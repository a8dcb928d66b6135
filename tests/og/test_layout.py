"""Words find their place: whole where they fit, cut where they do not, never over the margin."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from saas.og.card import MODES, Card
from saas.og.render import png
from saas.og.render.canvas import BOTTOM, MARGIN, MEASURE, TOP
from saas.og.render.fonts import Library
from saas.og.render.glyphs import width
from saas.og.render.layout import SIZES, Box, Setting, fit
from saas.og.render.png import HEIGHT
from saas.og.render.renderer import Renderer
from saas.og.render.text import ELLIPSIS, clean, clusters, is_rtl
from tests.og.pictures import PLINTH
from tests.og.test_scripts import HEADINGS, PRANKS

LEAN = 16  # px that a letter may reach over its advance
FULL = {
    "label": {"type": "L" * 80},
    "line": {"line": "A second line that goes on and on " * 5},
    "post": {"template": "post", "author": "W" * 80, "date": "D" * 80, "line": "Wide " * 30},
    "wide author": {"template": "post", "author": "Ada Lovelace " * 6, "date": "22 November 2026"},
    "date alone": {"template": "post", "date": "W" * 80},
    "pricing": {"template": "pricing", "price": "$" + "9" * 79, "plan": "W" * 80},
    "wide price": {
        "template": "pricing",
        "price": "$1,000,000,000 a " + "month " * 10,
        "plan": "P",
    },
    "pictures": {"type": "🚀" * 40, "line": "🎉" * 100},
}


@pytest.mark.parametrize("language", HEADINGS)
def test_a_heading_that_fits_is_never_cut(language: str, noto: Renderer) -> None:
    setting = _set(HEADINGS[language], noto.library)

    assert ELLIPSIS not in _said(setting)
    assert sorted(_said(setting).replace(" ", "")) == sorted(
        clean(HEADINGS[language]).replace(" ", "")
    )


@pytest.mark.parametrize("language", HEADINGS)
def test_only_the_end_of_a_heading_is_cut(language: str, noto: Renderer) -> None:
    setting = _set(f"{HEADINGS[language]} " * 9, noto.library)

    cut = ["".join(span.text for span in line).count(ELLIPSIS) for line in setting.lines]
    assert cut == [0, 0, 1]
    assert setting.size == SIZES[-1]


@pytest.mark.parametrize("many", [1, 2, 3, 9])
@pytest.mark.parametrize("language", HEADINGS)
def test_no_line_is_wider_than_the_measure(language: str, many: int, noto: Renderer) -> None:
    setting = _set(f"{HEADINGS[language]} " * many, noto.library)

    for line in setting.lines:
        assert sum(span.width for span in line) * setting.size <= MEASURE + LEAN


def test_a_post_with_all_its_parts_has_room_for_three_lines(press: Renderer) -> None:
    heading = "Extraordinarily long headings need three lines and must still leave room"
    parts = {"type": "Blog", "line": "A second line", "author": "Ada", "date": "22 November"}

    drawn = {
        press.print(Card(f"{heading} {last}", template="post", **parts)).png
        for last in ("below", "above")
    }

    assert len(drawn) == 2  # the last word can be read, so nothing was cut


def test_a_word_that_is_too_long_is_broken_with_nothing_lost(press: Renderer) -> None:
    setting = _set("Donaudampfschifffahrtsgesellschaftskapitänsmützenfabrik", press.library)

    assert len(setting.lines) == 2
    assert _said(setting) == "Donaudampfschifffahrtsgesellschaftskapitänsmützenfabrik"


def test_the_flag_of_a_part_of_a_country_is_whole_and_tags_alone_are_nothing() -> None:
    england = "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"

    assert clusters(clean(f"a{england}b")) == ["a", england, "b"]
    assert clean("a\U000e0067\U000e007fb") == "ab"


def test_a_family_and_a_flag_are_never_torn_apart(noto: Renderer) -> None:
    family, flag = "👩‍👩‍👧‍👦", "🇩🇪"

    setting = _set((family + flag) * 12, noto.library)

    drawn = clusters("".join(span.text for line in setting.lines for span in line))
    assert {*drawn} <= {family, flag, ELLIPSIS}


@pytest.mark.parametrize("heading", ["Hello", "Wide words " * 18])
@pytest.mark.parametrize("fullness", FULL)
def test_whatever_a_card_is_filled_with_stays_inside_its_margins(
    fullness: str, heading: str, noto: Renderer
) -> None:
    sheet, _ = noto.compose(Card(clean(heading), **FULL[fullness]))
    sheet.finish((255, 255, 255))

    left, top, right, bottom = sheet.band.getbbox() or (0, 0, 0, 0)
    assert left > MARGIN - LEAN
    assert right < 1200 - MARGIN + LEAN
    assert top > 0
    assert bottom < BOTTOM - TOP


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fullness", FULL)
def test_the_fullest_card_is_small(fullness: str, mode: str, noto: Renderer) -> None:
    heading = "Extraordinarily long headings need three lines, and leave room for what is below"

    card = noto.print(Card(heading, mode=mode, **{"type": "Blog", **FULL[fullness]}))

    # A hundred and forty emoji are a prank; words never take more than their mode's share.
    assert len(card.png) <= (50_000 if mode == "dark" or fullness == "pictures" else 35_000)


def test_a_right_to_left_card_is_laid_out_from_the_right_in_all_its_parts(noto: Renderer) -> None:
    message = {"type": "مدونة", "line": "سطر ثان", "author": "ليلى", "date": "٢٢ نوفمبر"}

    sheet, _ = noto.compose(Card("بطاقات المشاركة", template="post", **message))

    left, _, right, _ = sheet.band.getbbox() or (0, 0, 0, 0)
    assert left > 400
    assert abs(right - (1200 - MARGIN)) <= 8


@pytest.mark.parametrize(
    ("text", "rtl"),
    [
        ("שלום", True),
        ("«مرحبا» Flask", True),
        ("2026: שלום", True),
        ("Flask שלום", False),
        ("2026", False),
        ("🚀", False),
    ],
)
def test_the_first_letter_with_a_direction_gives_that_of_the_card(text: str, rtl: bool) -> None:
    assert is_rtl(text) is rtl


@pytest.mark.parametrize("prank", PRANKS)
def test_what_is_left_of_a_prank_is_short_and_can_be_read(prank: str) -> None:
    cleaned = clean(PRANKS[prank])

    assert len(cleaned) <= 500
    assert cleaned.isprintable() or "\u200d" in cleaned or "\u200c" in cleaned
    assert max(map(len, clusters(cleaned)), default=0) < 60
    cleaned.encode()  # a lone surrogate would raise


@pytest.mark.parametrize("mode", MODES)
def test_the_glow_is_gone_where_the_band_begins_and_ends(mode: str, press: Renderer) -> None:
    blank = Image.open(io.BytesIO(press.blank(mode))).convert("RGB")
    ground = Image.new(
        "RGB", (1, 1), (PLINTH.dark if mode == "dark" else PLINTH.light).background
    ).getpixel((0, 0))

    for row in (*range(TOP - 2, TOP + 2), *range(BOTTOM - 2, BOTTOM + 2)):
        assert blank.crop((0, row, png.WIDTH, row + 1)).getcolors() == [(png.WIDTH, ground)]


@pytest.mark.parametrize("mode", MODES)
def test_the_glow_has_no_edges(mode: str, press: Renderer) -> None:
    blank = Image.open(io.BytesIO(press.blank(mode))).convert("RGB")

    for column in (20, 600, 800):  # beside the mark, the name and the address
        for row in range(1, HEIGHT - 12):
            here, above = (blank.getpixel((column, y)) for y in (row, row - 1))
            assert max(abs(a - b) for a, b in zip(here, above, strict=True)) <= 4  # type: ignore[arg-type]


def _set(heading: str, library: Library) -> Setting:
    words = clean(heading)
    return fit(words, library, "heading", is_rtl(words), Box(MEASURE, 340, 3), SIZES)


def _said(setting: Setting) -> str:
    return "".join(span.text for line in setting.lines for span in line)


@pytest.mark.parametrize("mode", MODES)
def test_the_logo_stands_in_its_own_colours(mode: str, press: Renderer, tmp_path: Path) -> None:
    logo = Image.new("RGBA", (180, 180))
    bare = _blank(mode, press, logo, tmp_path / "bare.png")
    logo.paste((255, 0, 0, 255), (60, 60, 120, 120))  # a red square, and nothing around it
    card = _blank(mode, press, logo, tmp_path / "logo.png")

    assert card.getpixel((MARGIN + 30, 86)) == (255, 0, 0)
    assert card.getpixel((MARGIN + 4, 86)) == bare.getpixel((MARGIN + 4, 86))


def _blank(mode: str, press: Renderer, logo: Image.Image, path: Path) -> Image.Image:
    logo.save(path)
    renderer = Renderer(press.brand, press.site, path, press.library)
    return Image.open(io.BytesIO(renderer.blank(mode))).convert("RGB")


def test_words_of_a_heading_stand_apart(press: Renderer) -> None:
    [apart], [joined] = (_set(words, press.library).lines for words in ("Sign in", "Signin"))

    assert width(apart) - width(joined) > 0.24  # em, as in running text

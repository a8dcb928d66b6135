"""Layout of headings: complete if they fit, cut if they do not, and always within the margins."""

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
from tests.og.texts import HEADINGS, PRANKS

LEAN = 16  # px that a glyph may exceed its advance
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
def test_a_heading_that_fits_is_never_cut(language: str, noto_renderer: Renderer) -> None:
    setting = _set(HEADINGS[language], noto_renderer.library)

    assert ELLIPSIS not in _text_of(setting)
    assert sorted(_text_of(setting).replace(" ", "")) == sorted(
        clean(HEADINGS[language]).replace(" ", "")
    )


@pytest.mark.parametrize("language", HEADINGS)
def test_only_the_end_of_a_heading_is_cut(language: str, noto_renderer: Renderer) -> None:
    setting = _set(f"{HEADINGS[language]} " * 9, noto_renderer.library)

    cut = ["".join(span.text for span in line).count(ELLIPSIS) for line in setting.lines]
    assert cut == [0, 0, 1]
    assert setting.size == SIZES[-1]


@pytest.mark.parametrize("many", [1, 2, 3, 9])
@pytest.mark.parametrize("language", HEADINGS)
def test_no_line_is_wider_than_the_text_area(
    language: str, many: int, noto_renderer: Renderer
) -> None:
    setting = _set(f"{HEADINGS[language]} " * many, noto_renderer.library)

    for line in setting.lines:
        assert sum(span.width for span in line) * setting.size <= MEASURE + LEAN


def test_a_post_with_all_its_parts_has_room_for_three_lines(renderer: Renderer) -> None:
    heading = "Extraordinarily long headings need three lines and must still leave room"
    parts = {"type": "Blog", "line": "A second line", "author": "Ada", "date": "22 November"}

    drawn = {
        renderer.print(Card(f"{heading} {last}", template="post", **parts)).png
        for last in ("below", "above")
    }

    assert len(drawn) == 2  # the last word is visible, so nothing was cut


def test_a_word_that_is_too_long_is_broken_without_loss(renderer: Renderer) -> None:
    setting = _set("Donaudampfschifffahrtsgesellschaftskapitänsmützenfabrik", renderer.library)

    assert len(setting.lines) == 2
    assert _text_of(setting) == "Donaudampfschifffahrtsgesellschaftskapitänsmützenfabrik"


def test_a_subdivision_flag_is_kept_and_lone_tag_characters_are_removed() -> None:
    england = "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"

    assert clusters(clean(f"a{england}b")) == ["a", england, "b"]
    assert clean("a\U000e0067\U000e007fb") == "ab"


def test_family_and_flag_emoji_are_never_split(noto_renderer: Renderer) -> None:
    family, flag = "👩‍👩‍👧‍👦", "🇩🇪"

    setting = _set((family + flag) * 12, noto_renderer.library)

    drawn = clusters("".join(span.text for line in setting.lines for span in line))
    assert {*drawn} <= {family, flag, ELLIPSIS}


@pytest.mark.parametrize("heading", ["Hello", "Wide words " * 18])
@pytest.mark.parametrize("fullness", FULL)
def test_the_content_of_a_card_stays_inside_its_margins(
    fullness: str, heading: str, noto_renderer: Renderer
) -> None:
    sheet, _ = noto_renderer.compose(Card(clean(heading), **FULL[fullness]))
    sheet.finish((255, 255, 255))

    left, top, right, bottom = sheet.band.getbbox() or (0, 0, 0, 0)
    assert left > MARGIN - LEAN
    assert right < 1200 - MARGIN + LEAN
    assert top > 0
    assert bottom < BOTTOM - TOP


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fullness", FULL)
def test_the_fullest_card_is_small(fullness: str, mode: str, noto_renderer: Renderer) -> None:
    heading = "Extraordinarily long headings need three lines, and leave room for what is below"

    card = noto_renderer.print(Card(heading, mode=mode, **{"type": "Blog", **FULL[fullness]}))

    # 140 emoji are a prank; text never takes more than the share of its mode.
    assert len(card.png) <= (50_000 if mode == "dark" or fullness == "pictures" else 35_000)


def test_all_parts_of_a_right_to_left_card_start_at_the_right(noto_renderer: Renderer) -> None:
    message = {"type": "مدونة", "line": "سطر ثان", "author": "ليلى", "date": "٢٢ نوفمبر"}

    sheet, _ = noto_renderer.compose(Card("بطاقات المشاركة", template="post", **message))

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
def test_the_first_letter_with_a_direction_decides_that_of_the_card(text: str, rtl: bool) -> None:
    assert is_rtl(text) is rtl


@pytest.mark.parametrize("prank", PRANKS)
def test_hostile_headings_are_shortened_and_readable(prank: str) -> None:
    cleaned = clean(PRANKS[prank])

    assert len(cleaned) <= 500
    assert cleaned.isprintable() or "\u200d" in cleaned or "\u200c" in cleaned
    assert max(map(len, clusters(cleaned)), default=0) < 60
    cleaned.encode()  # a lone surrogate would raise


@pytest.mark.parametrize("mode", MODES)
def test_the_glow_fades_out_at_the_edges_of_the_band(mode: str, renderer: Renderer) -> None:
    blank = Image.open(io.BytesIO(renderer.blank(mode))).convert("RGB")
    background = Image.new(
        "RGB", (1, 1), (PLINTH.dark if mode == "dark" else PLINTH.light).background
    ).getpixel((0, 0))

    for row in (*range(TOP - 2, TOP + 2), *range(BOTTOM - 2, BOTTOM + 2)):
        assert blank.crop((0, row, png.WIDTH, row + 1)).getcolors() == [(png.WIDTH, background)]


@pytest.mark.parametrize("mode", MODES)
def test_the_glow_has_no_visible_edges(mode: str, renderer: Renderer) -> None:
    blank = Image.open(io.BytesIO(renderer.blank(mode))).convert("RGB")

    for column in (20, 600, 800):  # beside the logo, the name and the URL
        for row in range(1, HEIGHT - 12):
            here, above = (blank.getpixel((column, y)) for y in (row, row - 1))
            assert max(abs(a - b) for a, b in zip(here, above, strict=True)) <= 4  # type: ignore[arg-type]


def _set(heading: str, library: Library) -> Setting:
    words = clean(heading)
    return fit(words, library, "heading", is_rtl(words), Box(MEASURE, 340, 3), SIZES)


def _text_of(setting: Setting) -> str:
    return "".join(span.text for line in setting.lines for span in line)


@pytest.mark.parametrize("mode", MODES)
def test_the_logo_keeps_its_own_colours(mode: str, renderer: Renderer, tmp_path: Path) -> None:
    logo = Image.new("RGBA", (180, 180))
    bare = _blank(mode, renderer, logo, tmp_path / "bare.png")
    logo.paste((255, 0, 0, 255), (60, 60, 120, 120))  # a red square on a transparent background
    card = _blank(mode, renderer, logo, tmp_path / "logo.png")

    assert card.getpixel((MARGIN + 30, 86)) == (255, 0, 0)
    assert card.getpixel((MARGIN + 4, 86)) == bare.getpixel((MARGIN + 4, 86))


def _blank(mode: str, base: Renderer, logo: Image.Image, path: Path) -> Image.Image:
    logo.save(path)
    renderer = Renderer(base.brand, base.site, path, base.library)
    return Image.open(io.BytesIO(renderer.blank(mode))).convert("RGB")


def test_words_of_a_heading_are_separated_by_spaces(renderer: Renderer) -> None:
    [apart], [joined] = (_set(words, renderer.library).lines for words in ("Sign in", "Signin"))

    assert width(apart) - width(joined) > 0.24  # em, as in running text

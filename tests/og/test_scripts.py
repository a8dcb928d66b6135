"""Cards in every script are complete and within their margins."""

from __future__ import annotations

import logging

import pytest
from PIL import Image

from saas.og.card import Card
from saas.og.render.canvas import MARGIN
from saas.og.render.fonts import Library
from saas.og.render.renderer import Renderer
from saas.og.render.text import clean, is_rtl
from tests.og.pictures import LOGO, PLINTH

HEADINGS = {
    "English": "Ship the product, not the plumbing around it",
    "German": "Donaudampfschifffahrtsgesellschaftskapitänsmützenfabrik eröffnet",
    "Russian": "Быстрые карточки для ссылок, которые не ломаются",
    "Greek": "Γρήγορες κάρτες για κάθε σύνδεσμο",
    "Vietnamese": "Thẻ chia sẻ nhanh, đẹp và không bao giờ hỏng",
    "Turkish": "İstanbul'da ışıltılı bir başlangıç",
    "Arabic": "بطاقات المشاركة التي لا تنكسر أبدا مع Flask 3.1",
    "Hebrew": "שלום עולם: כרטיסי שיתוף (2026)",
    "Hindi": "हिन्दी में सुंदर शीर्षक और स्पष्ट अक्षर",
    "Bengali": "বাংলা শিরোনাম সুন্দরভাবে সাজানো",
    "Thai": "การ์ดแชร์ที่อ่านง่ายในทุกภาษาและไม่เคยพัง",
    "Japanese": "美しい日本語の見出しを、どんな長さでもきれいに表示する方法について",
    "Chinese": "快速、清晰、永不出错的分享卡片,支持所有文字",
    "Korean": "모든 문자를 올바르게 그리는 공유 카드",
    "emoji": "Ship it 🚀 with 👩🏽‍💻 and 🇩🇪🇯🇵 ❤️ today",
    "mixed": "Flask と Pillow で作る שלום cards 🎉",
}
OWN_SCRIPTS = ("English", "German", "Russian", "Greek", "Vietnamese", "Turkish")
PRANKS = {
    "500 characters without a space": "x" * 500,
    "500 ideographs": "漢" * 500,
    "zero-width characters": "a\u200b\u200d\ufeff\u200cb" * 50,
    "10,000 combining marks": "a" + "\u0301" * 10_000,
    "marks alone": "\u0301" * 50,
    "bidi overrides": "\u202egnp.exe\u202c \u2066x\u2069",
    "NUL": "a\x00b",
    "lone surrogates": "a\ud800b\udfff",
    "one word after another": "word " * 100,
    "joiners alone": "\u200d" * 100,
}


@pytest.mark.parametrize("language", HEADINGS)
def test_every_script_is_drawn_completely_and_inside_the_margins(
    language: str, noto_renderer: Renderer
) -> None:
    sheet, complete = noto_renderer.compose(Card(clean(HEADINGS[language]), type="Blog"))

    assert complete
    assert _is_inside(sheet.band)


@pytest.mark.parametrize("language", OWN_SCRIPTS)
def test_the_project_s_own_fonts_cover_european_scripts(language: str, renderer: Renderer) -> None:
    _, complete = renderer.compose(Card(clean(HEADINGS[language])))

    assert complete


@pytest.mark.parametrize("prank", PRANKS)
@pytest.mark.parametrize("fonts", ["renderer", "noto_renderer"])
def test_a_hostile_heading_gives_a_valid_card(
    prank: str, fonts: str, request: pytest.FixtureRequest
) -> None:
    drawn = request.getfixturevalue(fonts)

    sheet, _ = drawn.compose(Card(clean(PRANKS[prank])))

    assert sheet.band.getbbox()  # the card is not empty: it shows at least our name
    assert _is_inside(sheet.band)


@pytest.mark.parametrize("language", ["Arabic", "Hebrew"])
def test_right_to_left_headings_start_at_the_right_margin(
    language: str, noto_renderer: Renderer
) -> None:
    sheet, _ = noto_renderer.compose(Card(HEADINGS[language], type="Blog"))

    left, _, right, _ = sheet.band.getbbox() or (0, 0, 0, 0)
    assert is_rtl(HEADINGS[language])
    assert 1200 - MARGIN - 8 <= right <= 1200 - MARGIN + 8
    assert left > 2 * MARGIN


def test_characters_without_a_font_are_omitted_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    renderer = Renderer(PLINTH, "plinth.example", LOGO, Library(()))

    with caplog.at_level(logging.WARNING, "saas.og"):
        first = renderer.print(Card("Hello 日本"))
        renderer.print(Card("Hello 日本"))

    assert not first.complete
    assert first.png == renderer.print(Card("Hello")).png
    assert [record.message for record in caplog.records] == [
        "no font for U+65E5 U+672C; docs/og.md lists packages with more fonts"
    ]


def test_a_heading_without_drawable_characters_is_replaced_by_our_name(renderer: Renderer) -> None:
    assert renderer.print(Card("日本語")).png == renderer.print(Card("Plinth")).png


def test_a_word_too_long_for_a_line_is_broken_and_cut_once(renderer: Renderer) -> None:
    sheet, _ = renderer.compose(Card("x" * 300))

    lines = renderer.compose(Card("x" * 36))[0].band.getbbox() or (0, 0, 0, 0)
    assert (sheet.band.getbbox() or (0, 0, 0, 0))[3] > lines[3]


def _is_inside(band: Image.Image) -> bool:
    """Return whether all is inside the margins; glyphs may exceed them by a few pixels."""
    left, top, right, bottom = band.getbbox() or (0, 0, 0, 0)
    return left > MARGIN - 16 and right < 1200 - MARGIN + 16 and top >= 0 and bottom <= band.height

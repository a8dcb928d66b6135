"""The pricing page in a browser: its parts are aligned, and it fits a phone."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page

from tests.harness.shop import Shop

pytestmark = pytest.mark.browser

_TOPS = """selector => [...document.querySelectorAll(`.plans > .card ${selector}`)]
    .filter(part => part.checkVisibility())
    .map(part => Math.round(part.getBoundingClientRect().top))"""
_FIRST_CELL = """() => {
    const table = document.querySelector(".table-container");
    table.scrollLeft = table.scrollWidth;
    const cell = table.querySelector("tbody th").getBoundingClientRect();
    return [table.scrollLeft, cell.left - table.getBoundingClientRect().left];
}"""


def opened(chromium: Browser, shop: Shop, width: int, path: str = "/pricing") -> Page:
    page = chromium.new_page(viewport={"width": width, "height": 900})
    page.goto(f"{shop.url}{path}", wait_until="networkidle")
    return page


@pytest.mark.parametrize("interval", ["monthly", "yearly"])
def test_prices_and_buttons_are_aligned_when_one_plan_has_a_trial(
    chromium: Browser, shop: Shop, interval: str
) -> None:
    shop.change_plan("team", summary="For several who write, in several places and languages.")
    page = opened(chromium, shop, 1280, f"/pricing?interval={interval}")

    assert page.get_by_text("14 days free").count() == 1
    for part in (".price", ".btn", ".checks"):
        tops = page.evaluate(_TOPS, part)
        assert len(tops) == 4
        assert len(set(tops)) == 1, part
    page.close()


def test_on_a_tablet_four_plans_are_in_two_rows(chromium: Browser, shop: Shop) -> None:
    page = opened(chromium, shop, 768)

    first, second, third, fourth = page.evaluate(_TOPS, ".btn")

    assert first == second < third == fourth
    page.close()


def test_on_a_phone_the_features_stay_visible_beside_the_last_plan(
    chromium: Browser, shop: Shop
) -> None:
    page = opened(chromium, shop, 390)

    scrolled, left = page.evaluate(_FIRST_CELL)

    assert scrolled > 0
    assert left == 0
    page.close()

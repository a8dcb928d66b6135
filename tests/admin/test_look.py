"""The admin pages in a browser: axe finds nothing, nothing overflows, and the keyboard suffices."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.admin.pages import ANN, browser_of, furnish
from tests.harness.shop import Shop
from tests.harness.visitor import Visitor

pytestmark = pytest.mark.browser

WIDTH_BEYOND = "document.documentElement.scrollWidth - window.innerWidth"


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_axe_finds_nothing_and_nothing_overflows(
    shop: Shop, admin: Visitor, chromium: Browser, width: int, scheme: str
) -> None:
    paths = furnish(shop)
    view = {"width": width, "height": 900}
    context = browser_of(admin, chromium, viewport=view, color_scheme=scheme)
    page = context.new_page()
    for name, path in paths.items():
        page.goto(shop.url + path)

        results = Axe().run(page)
        assert results.violations_count == 0, (name, results.generate_report())
        assert page.evaluate(WIDTH_BEYOND) <= 0, name
    context.close()


def test_a_month_is_given_with_the_keyboard(shop: Shop, admin: Visitor, chromium: Browser) -> None:
    furnish(shop)
    context = browser_of(admin, chromium)
    page = context.new_page()
    page.goto(f"{shop.url}/admin/users")

    page.get_by_label("Search").press_sequentially("ann@")
    page.keyboard.press("Enter")
    press(page, "link", ANN)
    press(page, "link", "Grant a plan")
    page.get_by_label("Plan").select_option("agency")
    page.get_by_label("Reason").press_sequentially("A month for the outage")
    page.keyboard.press("Enter")

    expect(page.get_by_role("status")).to_contain_text("is now on Agency")
    context.close()


def press(page: Page, role: str, name: str) -> None:
    """Press Enter on a link, after checking that the keyboard reaches it."""
    link = page.get_by_role(role, name=name, exact=True)  # type: ignore[arg-type]  # a role
    link.focus()
    expect(link).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_load_state()

"""Take the screenshots of the home page from this product in a browser: `make brand`.

Writes product/static/img/dashboard-light.avif and dashboard-dark.avif, about 20 KB each. It needs
Chromium, and starts an application and a sandbox of its own.
"""

from __future__ import annotations

import tempfile
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from tests.harness import stripe_account
from tests.harness.chromium import CHROMIUM
from tests.harness.shop import Shop, running_shop
from tests.harness.visitor import Visitor

TARGET = Path(__file__).resolve().parents[2] / "static" / "img"
VIEW, WRITTEN = (1200, 690), (1440, 828)
EMAIL, NAME = "pia@example.com", "Pia Pro"
CARDS = ("Ship it on Friday", "What changed in November", "A plan for the winter")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, running_shop("product", Path(folder)) as shop:
        visitor = subscriber(shop)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            for theme in ("light", "dark"):
                write(theme, take(browser, theme, shop, visitor))
            browser.close()


def subscriber(shop: Shop) -> Visitor:
    """Sign in a subscriber who has made a few cards."""
    stripe_account.subscriber(shop, EMAIL)
    visitor = shop.visitor()
    visitor.sign_in(EMAIL)
    visitor.visit("/dashboard/settings")
    visitor.submit("/dashboard/settings/name", name=NAME)
    for heading in CARDS:
        visitor.visit("/dashboard/cards")
        visitor.submit("/dashboard/cards", heading=heading)
    return visitor


def take(browser: Browser, theme: str, shop: Shop, visitor: Visitor) -> bytes:
    page: Page = browser.new_page(
        viewport={"width": VIEW[0], "height": VIEW[1]},
        device_scale_factor=2,
        color_scheme="dark" if theme == "dark" else "light",
    )
    cookies = [
        {"name": cookie.name, "value": str(cookie.value), "url": shop.url}
        for cookie in visitor.browser.cookies
    ]
    page.context.add_cookies(cookies)  # type: ignore[arg-type]  # its type names all optional keys
    page.goto(f"{shop.url}/dashboard", wait_until="networkidle")
    page.locator("[data-development]").evaluate("links => links.remove()")
    return page.screenshot()


def write(theme: str, shot: bytes) -> None:
    TARGET.mkdir(exist_ok=True)
    path = TARGET / f"dashboard-{theme}.avif"
    picture = Image.open(BytesIO(shot)).convert("RGB").resize(WRITTEN, Image.Resampling.LANCZOS)
    picture.save(path, quality=50, speed=1)
    print(f"{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()

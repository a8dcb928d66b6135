"""`make shots`: screenshots of each admin page at 1280 and 390 px, light and dark.

Writes to instance/shots. It needs Chromium, and starts an application and a sandbox of its own.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from saas.config import ROOT
from tests.admin.pages import ADMIN, browser_of, furnish
from tests.harness.chromium import CHROMIUM, QUIET
from tests.harness.shop import running_shop

TARGET = ROOT / "instance" / "shots"
PRODUCT = "tests.harness.sample_product"


def main() -> None:
    TARGET.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, running_shop(PRODUCT, Path(folder)) as shop:
        paths = furnish(shop)
        visitor = shop.visitor()
        visitor.sign_in(ADMIN)
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
            for width in (1280, 390):
                for scheme in ("light", "dark"):
                    view = {"width": width, "height": 900}
                    context = browser_of(visitor, chromium, viewport=view, color_scheme=scheme)
                    page = context.new_page()
                    for name, path in paths.items():
                        page.goto(shop.url + path)
                        page.screenshot(
                            path=TARGET / f"{name}-{width}-{scheme}.png", full_page=True
                        )
                    context.close()
    print(f"Wrote {len(paths) * 4} screenshots to {TARGET.relative_to(ROOT)}/.")


if __name__ == "__main__":
    main()

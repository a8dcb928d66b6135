"""Takes the pictures of the product that the landing page shows, from the running application.

    make run                                     in one window
    .venv/bin/python assets/pictures.py          in another, after a change of name or brand

Writes saas/static/img/dashboard-light.avif and dashboard-dark.avif, about 20 KB each.
"""

from __future__ import annotations

import os
import sys
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

PORT = int(os.environ.get("PORT", "5000"))
APP, SANDBOX = f"http://localhost:{PORT}", f"http://localhost:{PORT + 1}"
PERSON = "pro@example.com"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
TARGET = Path(__file__).resolve().parent.parent / "saas" / "static" / "img"
VIEW, WRITTEN = (1200, 690), (1440, 828)
CARDS = ("Ship it on Friday", "What changed in November", "A plan for the winter")


def main() -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for theme in ("light", "dark"):
            write(theme, take(browser, theme))
        browser.close()


def take(browser: Browser, theme: str) -> bytes:
    page = browser.new_page(
        viewport={"width": VIEW[0], "height": VIEW[1]},
        device_scale_factor=2,
        color_scheme="dark" if theme == "dark" else "light",
    )
    sign_in(page)
    use_a_little(page)
    page.goto(f"{APP}/dashboard", wait_until="networkidle")
    return page.screenshot()


def sign_in(page: Page) -> None:
    seen = {mail["id"] for mail in mails(page)}
    page.goto(f"{APP}/login")
    page.get_by_label("Email address").fill(PERSON)
    page.get_by_role("button", name="Email me").click()
    for _ in range(100):
        page.wait_for_timeout(100)
        if new := [mail for mail in mails(page) if mail["id"] not in seen]:
            page.goto(next(link for link in new[0]["links"] if "/auth/link/" in link))
            page.get_by_role("button", name="Sign in").click()
            page.wait_for_url(f"{APP}/dashboard")
            return
    sys.exit(f"No mail to {PERSON} arrived in the sandbox.")


def mails(page: Page) -> list[dict[str, list[str]]]:
    answer = page.request.get(f"{SANDBOX}/mail.json", params={"to": PERSON})
    found: list[dict[str, list[str]]] = answer.json()["messages"]
    return found


def use_a_little(page: Page) -> None:
    """A few cards, so that the picture shows a dashboard in use."""
    page.goto(f"{APP}/dashboard")
    if page.get_by_text("0 of 100").count():
        for heading in CARDS:
            page.goto(f"{APP}/dashboard/cards")
            page.get_by_label("Heading").fill(heading)
            page.get_by_role("button", name="Make the card").click()
            page.wait_for_load_state("networkidle")


def write(theme: str, shot: bytes) -> None:
    path = TARGET / f"dashboard-{theme}.avif"
    picture = Image.open(BytesIO(shot)).convert("RGB").resize(WRITTEN, Image.Resampling.LANCZOS)
    picture.save(path, quality=50, speed=1)
    print(f"{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()

"""What a person does in a browser, step by step."""

from __future__ import annotations

import re
from typing import Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from product import product
from tests.e2e.conftest import RunningProject
from tests.harness.stripe_account import CARD

PLAN = product.catalogue.for_sale[0]


def sign_in(page: Page, running: RunningProject, email: str) -> None:
    """Sign in, from the form to the button of the email's page."""
    page.get_by_label("Email address").fill(email)
    page.get_by_role("button", name=re.compile("mail|link|continue|sign in", re.I)).first.click()
    expect(page).to_have_url(re.compile("/auth/check-inbox"))
    link = link_for(page, running, email)
    page.goto(link)
    page.get_by_role("button", name=re.compile("sign in|create", re.I)).first.click()


def link_for(page: Page, running: RunningProject, email: str) -> str:
    for _ in range(200):
        response = page.request.get(f"{running.sandbox}/mail.json?to={email}")
        if messages := response.json()["messages"]:
            return next(link for link in messages[0]["links"] if "/auth/link/" in link)
        page.wait_for_timeout(50)
    raise AssertionError(f"no mail to {email}")


def choose(page: Page, kind: Literal["link", "button"]) -> None:
    """Press the button of the plan, for the interval that is shown."""
    buy = page.locator(f"#{PLAN.id}").get_by_role(kind, name=re.compile(re.escape(PLAN.name)))
    buy.locator("visible=true").click()


def pay(page: Page, number: str = CARD["number"]) -> None:
    page.get_by_label("Card number").fill(number)
    page.get_by_label(re.compile("expir", re.I)).fill("12 / 34")
    page.get_by_label(re.compile("cvc|security code", re.I)).fill("123")
    page.get_by_role("button", name=re.compile("subscribe|pay", re.I)).last.click()


def accessible(page: Page) -> None:
    """Check that axe finds no problem on the page."""
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()

"""Three months of a subscription, on the pages of the application and of the sandbox.

`PICTURES=sandbox/docs/images pytest tests/e2e/test_life.py` takes the pictures of its README.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from dotenv import dotenv_values
from playwright.sync_api import Page, expect

from product import product
from saas.template_filters import money
from tests.e2e.conftest import RunningProject
from tests.e2e.steps import PLAN, accessible, choose, pay, sign_in
from tests.harness.stripe_account import CARD

pytestmark = pytest.mark.browser

WHO = "life@example.com"


def picture(page: Page, name: str) -> None:
    """Take a picture of the page, if PICTURES is set."""
    if folder := os.environ.get("PICTURES"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=f"{folder}/{name}.png")


def panel(page: Page, running: RunningProject) -> None:
    """Open the customer's page in the control panel."""
    page.goto(f"{running.sandbox}/stripe/")
    page.get_by_role("link", name="acct_").first.click()
    page.get_by_role("link", name=WHO).first.click()


def portal(page: Page, running: RunningProject) -> None:
    page.goto(f"{running.url}/dashboard/billing")
    page.get_by_role("button", name="Manage subscription").click()
    expect(page).to_have_url(re.compile("/stripe/portal/"))


def shows(page: Page, running: RunningProject, words: str | re.Pattern[str]) -> None:
    """Reload until the page shows the effect of the webhook."""
    for _ in range(40):
        page.goto(f"{running.url}/dashboard/billing")
        if page.get_by_text(words).first.is_visible():
            return
        page.wait_for_timeout(250)
    raise AssertionError(f"{words} never showed: {page.inner_text('body')[:600]}")


def open_invoice(page: Page, running: RunningProject) -> str:
    """Open the hosted invoice page, whose URL is in the email that a real Stripe would send."""
    key = dotenv_values(running.folder / "instance" / "sandbox.env")["SANDBOX_STRIPE_API_KEY"]
    response = page.request.get(
        f"{running.sandbox}/stripe/v1/invoices?status=open",
        headers={"Authorization": f"Bearer {key}"},
    )
    return str(response.json()["data"][0]["hosted_invoice_url"])


@pytest.mark.skipif(len(PLAN.intervals) < 2, reason="the plan is sold in one interval only")
def test_three_months_with_a_failed_payment_a_change_of_plan_and_a_cancellation(
    page: Page, running: RunningProject
) -> None:
    page.goto(f"{running.url}/login?next=/pricing")
    sign_in(page, running, WHO)
    choose(page, "button")
    picture(page, "checkout")
    pay(page)
    expect(page.get_by_text(f"You're now on {PLAN.name}")).to_be_visible()

    renew_until_payment_fails(page, running)
    pay_the_invoice(page, running)
    change_card_and_plan(page, running)
    cancel(page, running)


def renew_until_payment_fails(page: Page, running: RunningProject) -> None:
    """Advance until the second renewal fails: the dashboard shows a banner."""
    panel(page, running)
    page.get_by_role("button", name="Next renewal").click()
    page.get_by_role("button", name="A card that will fail").click()
    page.get_by_role("button", name="Next renewal").click()
    page.get_by_role("heading", name="Payment is overdue").wait_for()
    accessible(page)
    picture(page, "panel")
    shows(page, running, "Your last payment failed.")
    accessible(page)
    picture(page, "banner")
    expect(page.get_by_role("button", name="Update payment method")).to_be_visible()


def pay_the_invoice(page: Page, running: RunningProject) -> None:
    """Pay on the invoice's page: the banner disappears."""
    page.goto(open_invoice(page, running))
    picture(page, "invoice")
    page.get_by_label("Card number").fill(CARD["number"])
    page.get_by_role("button", name=re.compile("Pay")).click()
    page.get_by_text("Paid with Visa").wait_for()
    shows(page, running, "Payment received")
    expect(page.get_by_text("Your last payment failed.")).to_have_count(0)


def change_card_and_plan(page: Page, running: RunningProject) -> None:
    """Add another card, and change the interval after checking its proration."""
    portal(page, running)
    page.get_by_role("link", name="Add a card").click()
    page.get_by_label("Card number").fill("5555 5555 5555 4444")
    page.get_by_role("button", name="Save card").click()
    page.get_by_role("link", name="Change plan").click()
    yearly = money(PLAN.yearly or 0, product.catalogue.currency)
    other = rf"{re.escape(PLAN.name)}.*{re.escape(yearly)}"
    page.get_by_label(re.compile(other, re.DOTALL)).check()
    page.get_by_role("button", name="Continue").click()
    picture(page, "proration")
    page.get_by_role("button", name="Confirm").click()
    shows(page, running, f"Changed to {PLAN.name} (yearly)")


def cancel(page: Page, running: RunningProject) -> None:
    portal(page, running)
    picture(page, "portal")
    page.get_by_role("link", name="Cancel plan").click()
    page.get_by_role("button", name="Cancel plan").click()
    shows(page, running, re.compile(f"{re.escape(PLAN.name)} ends on"))
    accessible(page)

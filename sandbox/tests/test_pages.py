"""The sandbox's pages in a browser, on a desktop and on a phone."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import stripe
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page
from saas_sandbox import create_sandbox
from saas_sandbox.server import bind_server

from .conftest import CARD_NUMBER, KEY

SIZES = {"desk": (1280, 900), "phone": (390, 844)}

pytestmark = pytest.mark.browser


@pytest.fixture
def url() -> Iterator[str]:
    app = create_sandbox()
    server = bind_server(app, 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()
    app.extensions["sandbox"].close()


@pytest.fixture
def shop(url: str) -> Iterator[stripe.StripeClient]:
    http = stripe.RequestsClient(timeout=(2, 8))
    yield stripe.StripeClient(KEY, base_addresses={"api": f"{url}/stripe"}, http_client=http)
    http.close()  # type: ignore[no-untyped-call]


@pytest.fixture(params=list(SIZES))
def page(request: pytest.FixtureRequest, chromium: Chromium) -> Iterator[Page]:
    width, height = SIZES[request.param]
    context = chromium.new_context(viewport={"width": width, "height": height})
    context.set_default_timeout(15_000)
    yield context.new_page()
    context.close()


def check(page: Page) -> None:
    """Check that axe finds no problem and nothing overflows."""
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_three_months_of_a_subscription(page: Page, url: str, shop: stripe.StripeClient) -> None:
    product, prices = create_prices(shop)
    customer = shop.v1.customers.create({"email": "ada@example.com"}).id

    pay_with_the_keyboard(page, url, shop, customer, prices[0])
    renew_with_a_failing_card(page, url)
    pay_the_invoice(page, shop, customer)
    open_the_portal(page, url, shop, customer, configure_portal(shop, product, prices))
    add_a_card(page)
    change_to_yearly(page)
    cancel_and_resume(page)

    [subscription] = shop.v1.subscriptions.list({"customer": customer}).data
    assert subscription.status == "active"
    assert subscription.cancel_at is None


def create_prices(shop: stripe.StripeClient) -> tuple[str, list[str]]:
    """Create a product with a monthly and a yearly price."""
    product = shop.v1.products.create({"name": "Pro"}).id
    terms: Any = {"product": product, "currency": "usd"}
    monthly = {"unit_amount": 1500, "recurring": {"interval": "month"}}
    yearly = {"unit_amount": 14400, "recurring": {"interval": "year"}}
    return product, [shop.v1.prices.create({**terms, **more}).id for more in (monthly, yearly)]


def configure_portal(shop: stripe.StripeClient, product: str, prices: list[str]) -> str:
    features: Any = {
        "invoice_history": {"enabled": True},
        "payment_method_update": {"enabled": True},
        "subscription_cancel": {
            "enabled": True,
            "cancellation_reason": {"enabled": True, "options": ["unused", "other"]},
        },
        "subscription_update": {
            "enabled": True,
            "default_allowed_updates": ["price"],
            "proration_behavior": "always_invoice",
            "products": [{"product": product, "prices": prices}],
        },
    }
    return shop.v1.billing_portal.configurations.create({"features": features}).id


def pay_with_the_keyboard(
    page: Page, url: str, shop: stripe.StripeClient, customer: str, price: str
) -> None:
    """Enter a card that is declined, then one that works."""
    session = shop.v1.checkout.sessions.create(
        {
            "mode": "subscription",
            "customer": customer,
            "line_items": [{"price": price, "quantity": 1}],
            "success_url": f"{url}/healthz",
            "cancel_url": f"{url}/",
            "allow_promotion_codes": True,
        }
    )
    page.goto(str(session.url))
    check(page)
    page.get_by_label("Card number").fill("4000 0000 0000 0002")
    page.keyboard.press("Enter")
    page.get_by_text("Your card was declined.").wait_for()
    check(page)
    page.get_by_label("Card number").fill(CARD_NUMBER)
    page.keyboard.press("Enter")
    page.wait_for_url("**/healthz")


def renew_with_a_failing_card(page: Page, url: str) -> None:
    page.goto(f"{url}/stripe/")
    check(page)
    page.get_by_role("link", name="acct_").click()
    check(page)
    page.get_by_role("link", name="ada@example.com").click()
    page.get_by_role("button", name="A card that will fail").click()
    page.get_by_role("button", name="Next renewal").click()
    page.get_by_role("heading", name="Payment is overdue").wait_for()
    check(page)


def pay_the_invoice(page: Page, shop: stripe.StripeClient, customer: str) -> None:
    invoice = shop.v1.invoices.list({"customer": customer, "status": "open"}).data[0]
    page.goto(str(invoice.hosted_invoice_url))
    check(page)
    page.get_by_label("Card number").fill(CARD_NUMBER)
    page.get_by_role("button", name="Pay $15.00").click()
    page.get_by_text("Paid with Visa").wait_for()


def open_the_portal(
    page: Page, url: str, shop: stripe.StripeClient, customer: str, configuration: str
) -> None:
    portal = shop.v1.billing_portal.sessions.create(
        {"customer": customer, "configuration": configuration, "return_url": f"{url}/healthz"}
    )
    page.goto(portal.url)
    check(page)


def add_a_card(page: Page) -> None:
    page.get_by_role("link", name="Add a card").click()
    check(page)
    page.get_by_label("Card number").fill("5555 5555 5555 4444")
    page.get_by_role("button", name="Save card").click()


def change_to_yearly(page: Page) -> None:
    page.get_by_role("link", name="Change plan").click()
    check(page)
    page.get_by_label("$144.00 / year").check()
    page.get_by_role("button", name="Continue").click()
    page.get_by_text("Unused time on Pro").wait_for()
    check(page)
    page.get_by_role("button", name="Confirm").click()
    page.get_by_text("$144.00 / year").wait_for()


def cancel_and_resume(page: Page) -> None:
    page.get_by_role("link", name="Cancel plan").click()
    check(page)
    page.get_by_label("Why are you leaving?").select_option("unused")
    page.get_by_role("button", name="Cancel plan").click()
    page.get_by_text("Ends on").wait_for()
    check(page)
    page.get_by_role("button", name="Don't cancel").click()
    page.get_by_text("Renews on").wait_for()


def test_the_mailbox_can_be_read(page: Page, url: str) -> None:
    mail = {
        "from": "App <hello@example.com>",
        "to": ["ada@example.com"],
        "subject": "A subject that is rather long, so that it must wrap on a phone somewhere",
        "html": f'<p style="color: #333">Hello <a href="{url}/healthz">there</a></p>',
        "text": f"Hello {url}/healthz",
    }
    requests.post(
        f"{url}/resend/emails",
        json=mail,
        headers={"Authorization": "Bearer re_test"},
        timeout=10,
    ).raise_for_status()

    page.goto(f"{url}/")
    check(page)
    page.get_by_role("link", name="Open the mailbox").click()
    check(page)
    page.get_by_role("link", name="A subject").click()
    page.frame_locator("iframe").get_by_text("Hello there").wait_for()
    check(page)
    page.get_by_role("link", name=f"{url}/healthz").click()
    page.wait_for_url("**/healthz")

    page.go_back()
    page.frame_locator("iframe").get_by_role("link", name="there").click()
    page.wait_for_url("**/healthz")

    page.go_back()
    page.get_by_role("link", name="Open full page").click()
    page.wait_for_url("**/html")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/healthz")

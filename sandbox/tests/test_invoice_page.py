"""The hosted invoice page, where overdue invoices are paid, and the receipt."""

import pytest
import stripe

from .conftest import CARD_NUMBER, Browser, Prices, Subscriber, at


@pytest.fixture
def overdue(subscriber: Subscriber, prices: Prices) -> stripe.Invoice:
    """A renewal that failed."""
    subscriber.subscribe(prices.pro)
    subscriber.pay_with("pm_card_chargeCustomerFail")
    subscriber.until(at(2026, 4, 10, 14))
    return subscriber.invoices()[-1]


def test_an_open_invoice_is_paid_on_its_page(
    browser: Browser, subscriber: Subscriber, overdue: stripe.Invoice
) -> None:
    page = browser.get(str(overdue.hosted_invoice_url))
    assert "Pay $15.00" in page.text

    browser.post(str(overdue.hosted_invoice_url), number=CARD_NUMBER)

    assert subscriber.invoices()[-1].status == "paid"
    assert (
        subscriber.api.v1.subscriptions.list({"customer": subscriber.customer}).data[0].status
        == "active"
    )
    assert "Paid with Visa •••• 4242" in browser.get(str(overdue.hosted_invoice_url)).text


def test_a_decline_is_explained_and_counted(
    browser: Browser, subscriber: Subscriber, overdue: stripe.Invoice
) -> None:
    response = browser.post(str(overdue.hosted_invoice_url), number="4000 0000 0000 0341")

    assert response.status_code == 422
    assert "Your card was declined." in response.text
    assert subscriber.invoices()[-1].attempt_count == 2


def test_a_card_that_requires_authentication_pays_after_confirmation(
    browser: Browser, subscriber: Subscriber, overdue: stripe.Invoice
) -> None:
    url = str(overdue.hosted_invoice_url)
    asked = browser.post(url, number="4000 0027 6000 3184")
    assert "Confirm with your bank" in asked.text

    browser.post(url, number="4000 0027 6000 3184", confirmed="yes")

    assert subscriber.invoices()[-1].status == "paid"


def test_a_paid_invoice_has_no_form(
    browser: Browser, subscriber: Subscriber, prices: Prices
) -> None:
    subscriber.subscribe(prices.pro)
    url = str(subscriber.invoices()[0].hosted_invoice_url)

    assert "Card number" not in browser.get(url).text
    assert browser.post(url, number=CARD_NUMBER).status_code == 303
    assert len(subscriber.api.v1.charges.list().data) == 1


def test_a_receipt_shows_the_paid_amount(
    browser: Browser, subscriber: Subscriber, prices: Prices
) -> None:
    subscriber.subscribe(prices.pro)
    [charge] = subscriber.api.v1.charges.list().data
    subscriber.api.v1.refunds.create({"charge": charge.id, "amount": 500})

    page = browser.get(str(charge.receipt_url)).text

    assert "$15.00" in page
    assert "•••• 4242" in page
    assert "$5.00" in page


def test_an_unknown_invoice_is_not_found(browser: Browser) -> None:
    assert browser.get("/stripe/invoices/in_unknown").status_code == 404
    assert browser.get("/stripe/receipts/ch_unknown").status_code == 404

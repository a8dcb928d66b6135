"""Checkout in payment mode: one-time purchases, no-cost orders, delayed payments, receipts."""

from dataclasses import dataclass
from typing import Any

import pytest
import stripe

from .conftest import (
    CARD_NUMBER,
    Browser,
    Prices,
    RecordingEndpoint,
    Subscriber,
    plain_metadata,
)


@dataclass
class Shop:
    """A shop that sells a book for $20."""

    api: stripe.StripeClient
    customer: str
    price: str

    def checkout(self, **more: Any) -> stripe.checkout.Session:
        return self.api.v1.checkout.sessions.create(
            {
                "mode": "payment",
                "customer": self.customer,
                "line_items": [{"price": self.price, "quantity": 1}],
                "success_url": "https://shop.test/return",
                **more,
            }
        )

    def retrieve(self, id: str, *expand: str) -> stripe.checkout.Session:
        return self.api.v1.checkout.sessions.retrieve(id, {"expand": list(expand)})

    def create_code(self, name: str, **more: Any) -> None:
        coupon = self.api.v1.coupons.create({"duration": "once", **more}).id
        self.api.v1.promotion_codes.create(
            {"promotion": {"type": "coupon", "coupon": coupon}, "code": name}
        )


@pytest.fixture
def shop(api: stripe.StripeClient, subscriber: Subscriber) -> Shop:
    book = api.v1.products.create({"name": "Book"}).id
    price = api.v1.prices.create({"product": book, "currency": "usd", "unit_amount": 2000}).id
    return Shop(api, subscriber.customer, price)


def test_an_order_that_costs_nothing_needs_no_card(
    shop: Shop, browser: Browser, endpoint: object, receiver: RecordingEndpoint
) -> None:
    shop.create_code("GIFT", percent_off=100, max_redemptions=1)
    session = shop.checkout(allow_promotion_codes=True)
    assert session.payment_method_collection == "if_required"
    assert "Card number" in browser.get(str(session.url)).text

    browser.post(f"{session.url}/code", code="gift")
    page = browser.get(str(session.url)).text
    assert "Card number" not in page
    assert "Complete order" in page
    assert browser.post(str(session.url)).status_code == 303

    result = shop.retrieve(session.id, "line_items")
    assert (result.status, result.payment_status) == ("complete", "no_payment_required")
    assert (result.payment_intent, result.amount_total) == (None, 0)
    assert result.line_items
    assert result.line_items.data[0].amount_discount == 2000
    assert "checkout.session.completed" in receiver.types
    assert "payment_intent.created" not in receiver.types
    assert shop.api.v1.promotion_codes.list({"code": "GIFT"}).data[0].times_redeemed == 1


def test_a_code_that_is_used_up_pays_no_second_order(shop: Shop, browser: Browser) -> None:
    shop.create_code("GIFT", percent_off=100, max_redemptions=1)
    first, second = (shop.checkout(allow_promotion_codes=True) for _ in range(2))
    for session in (first, second):
        browser.post(f"{session.url}/code", code="GIFT")

    browser.post(str(first.url))
    again = browser.post(str(second.url))

    assert again.status_code == 422
    assert "Coupon expired" in again.text
    assert shop.retrieve(second.id).status == "open"


def test_the_discount_is_spread_over_the_lines(shop: Shop, browser: Browser) -> None:
    shop.create_code("LESS", amount_off=1000, currency="usd")
    lines = [{"price": shop.price, "quantity": count} for count in (1, 2)]
    session = shop.checkout(allow_promotion_codes=True, line_items=lines)

    browser.post(f"{session.url}/code", code="LESS")

    items = shop.api.v1.checkout.sessions.line_items.list(session.id).data
    assert [item.amount_discount for item in items] == [333, 667]
    assert sum(item.amount_total for item in items) == 5000


def test_data_of_the_payment_reaches_the_payment_and_its_charge(
    shop: Shop, browser: Browser
) -> None:
    session = shop.checkout(
        payment_intent_data={
            "metadata": {"order": "7"},
            "description": "Order 7",
            "receipt_email": "books@example.com",
        }
    )

    browser.post(str(session.url), number=CARD_NUMBER)

    intent = shop.retrieve(session.id, "payment_intent.latest_charge").payment_intent
    assert isinstance(intent, stripe.PaymentIntent)
    assert isinstance(intent.latest_charge, stripe.Charge)
    for paid in (intent, intent.latest_charge):
        assert plain_metadata(paid.metadata) == {"order": "7"}
        assert (paid.description, paid.receipt_email) == ("Order 7", "books@example.com")


def test_payments_of_a_deleted_customer_stay_listed(shop: Shop, browser: Browser) -> None:
    session = shop.checkout()
    shop.checkout()
    browser.post(str(session.url), number=CARD_NUMBER)
    shop.api.v1.customers.delete(shop.customer)

    [found] = shop.api.v1.checkout.sessions.list(
        {
            "customer": shop.customer,
            "status": "complete",
            "expand": ["data.line_items", "data.payment_intent.latest_charge"],
        }
    ).data

    assert found.id == session.id
    assert found.line_items
    assert found.line_items.data[0].description == "Book"
    assert isinstance(found.payment_intent, stripe.PaymentIntent)
    assert isinstance(found.payment_intent.latest_charge, stripe.Charge)
    assert found.payment_intent.latest_charge.amount == 2000


@pytest.mark.parametrize(
    ("number", "ending", "status"),
    [("000123456789", "succeeded", "paid"), ("000111111116", "failed", "unpaid")],
)
def test_a_bank_debit_is_decided_when_the_customer_s_time_advances(
    shop: Shop, browser: Browser, receiver: RecordingEndpoint, endpoint: object,
    subscriber: Subscriber, number: str, ending: str, status: str,
) -> None:  # fmt: skip
    account = shop.api.v1.accounts.retrieve_current().id
    session = shop.checkout()
    browser.post(str(session.url), number=number)
    waiting = shop.retrieve(session.id)
    assert (waiting.status, waiting.payment_status) == ("complete", "unpaid")
    assert receiver.last("checkout.session.completed")["data"]["object"]["payment_status"] == (
        "unpaid"
    )

    page = f"/stripe/accounts/{account}/customers/{shop.customer}"
    for _ in range(3):
        browser.post(f"{page}/advance", step="day")

    event = receiver.last(f"checkout.session.async_payment_{ending}")
    assert event["data"]["object"]["payment_status"] == status
    assert shop.retrieve(session.id).payment_status == status


def test_a_receipt_names_what_was_bought_and_refunded(shop: Shop, browser: Browser) -> None:
    shop.create_code("LESS", percent_off=25)
    session = shop.checkout(
        allow_promotion_codes=True, line_items=[{"price": shop.price, "quantity": 2}]
    )
    browser.post(f"{session.url}/code", code="LESS")
    browser.post(str(session.url), number=CARD_NUMBER)
    [charge] = shop.api.v1.charges.list({"customer": shop.customer}).data
    shop.api.v1.refunds.create({"charge": charge.id, "amount": 1000})

    page = browser.get(str(charge.receipt_url)).text

    for words in ("10 March 2026", "Book × 2", "$40.00", "-$10.00", "$30.00", "Partly refunded",
                  "Refunded</dt><dd>$10.00", "Visa •••• 4242", "ada@example.com"):  # fmt: skip
        assert words in page


def test_a_bank_debit_has_a_receipt_once_it_is_paid(
    shop: Shop, browser: Browser, subscriber: Subscriber
) -> None:
    browser.post(str(shop.checkout().url), number="000123456789")
    [pending] = shop.api.v1.charges.list({"customer": shop.customer}).data
    assert pending.receipt_url is None
    assert browser.get(f"/stripe/receipts/{pending.id}").status_code == 404

    subscriber.until(pending.created + 4 * 86400)

    [paid] = shop.api.v1.charges.list({"customer": shop.customer}).data
    assert "Book" in browser.get(str(paid.receipt_url)).text


def test_the_receipt_of_a_subscription_names_the_plan(
    browser: Browser, subscriber: Subscriber, prices: Prices
) -> None:
    subscriber.subscribe(prices.pro)
    [charge] = subscriber.api.v1.charges.list({"customer": subscriber.customer}).data

    assert "1 × Pro" in browser.get(str(charge.receipt_url)).text

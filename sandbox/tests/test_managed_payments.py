"""Managed Payments: checkouts in which Stripe sells as the merchant of record."""

from typing import Any

import pytest
import stripe
from flask import Flask

from .conftest import CARD_NUMBER, Browser, Prices, call_admin_api

TAX_CODE = "txcd_10103001"  # software as a service, for business use
TEXT: Any = {"custom_text": {"submit": {"message": "Thanks"}}}


@pytest.fixture
def book(api: stripe.StripeClient) -> str:
    """A one-time price of $20, of a product with a tax code."""
    product = api.v1.products.create({"name": "Book", "tax_code": TAX_CODE}).id
    return api.v1.prices.create({"product": product, "currency": "usd", "unit_amount": 2000}).id


def sell(api: stripe.StripeClient, price: str, **more: Any) -> stripe.checkout.Session:
    return api.v1.checkout.sessions.create(
        {
            "mode": "payment",
            "line_items": [{"price": price, "quantity": 1}],
            "success_url": "https://shop.test/return",
            "managed_payments": {"enabled": True},
            **more,
        }
    )


def test_stripe_sells_and_taxes_a_one_time_purchase(
    app: Flask, api: stripe.StripeClient, browser: Browser, book: str
) -> None:
    call_admin_api(app, "settings", tax_percent=20)
    session = sell(api, book)
    assert session.managed_payments
    assert session.managed_payments.enabled
    assert session.amount_total == 2400
    assert "Sold through Link" in browser.get(str(session.url)).text

    browser.post(str(session.url), number=CARD_NUMBER, email="ada@example.com")

    intent = api.v1.checkout.sessions.retrieve(
        session.id, {"expand": ["payment_intent"]}
    ).payment_intent
    assert isinstance(intent, stripe.PaymentIntent)
    assert intent.managed_payments
    assert (intent.status, intent.managed_payments.enabled) == ("succeeded", True)


def test_stripe_sells_a_subscription(
    api: stripe.StripeClient, browser: Browser, prices: Prices
) -> None:
    api.v1.products.update(prices.product, {"tax_code": TAX_CODE})
    session = sell(api, prices.pro, mode="subscription")

    browser.post(str(session.url), number=CARD_NUMBER, email="ada@example.com")

    subscription = api.v1.checkout.sessions.retrieve(
        session.id, {"expand": ["subscription"]}
    ).subscription
    assert isinstance(subscription, stripe.Subscription)
    assert subscription.managed_payments
    assert subscription.managed_payments.enabled


def test_a_session_can_opt_out(api: stripe.StripeClient, browser: Browser, book: str) -> None:
    session = sell(api, book, managed_payments={"enabled": False}, **TEXT)

    assert session.managed_payments
    assert not session.managed_payments.enabled
    assert "Sold through Link" not in browser.get(str(session.url)).text


@pytest.mark.parametrize(
    ("param", "more"),
    [
        ("automatic_tax", {"automatic_tax": {"enabled": False}}),
        ("tax_id_collection", {"tax_id_collection": {"enabled": True}}),
        ("invoice_creation", {"invoice_creation": {"enabled": True}}),
        ("adaptive_pricing", {"adaptive_pricing": {"enabled": True}}),
        ("custom_text", TEXT),
        ("customer_update[name]", {"customer": "ADA", "customer_update": {"name": "auto"}}),
        ("shipping_options", {"shipping_options": [{"shipping_rate": "shr_1"}]}),
        ("allowed_payment_method_types", {"allowed_payment_method_types": ["card"]}),
        (
            "payment_intent_data[receipt_email]",
            {"payment_intent_data": {"receipt_email": "ada@example.com"}},
        ),
        (
            "payment_method_options[card][setup_future_usage]",
            {"payment_method_options": {"card": {"setup_future_usage": "off_session"}}},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_stripe_decides_itself_cannot_be_passed(
    api: stripe.StripeClient, customer: stripe.Customer, book: str, param: str, more: dict[str, Any]
) -> None:
    if "customer" in more:
        more = {**more, "customer": customer.id}

    with pytest.raises(stripe.InvalidRequestError, match="cannot be used with Managed") as refused:
        sell(api, book, **more)

    assert (refused.value.http_status, refused.value.param) == (400, param)


def test_a_product_needs_a_tax_code(api: stripe.StripeClient, prices: Prices) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="product tax code is missing") as refused:
        sell(api, prices.pro, mode="subscription")

    assert refused.value.param == "line_items[0]"


def test_cards_are_not_saved_with_managed_payments(api: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="in `setup` mode"):
        api.v1.checkout.sessions.create(
            {
                "mode": "setup",
                "currency": "usd",
                "success_url": "https://shop.test/return",
                "managed_payments": {"enabled": True},
            }
        )

"""The checkout page, as a buyer without JavaScript uses it."""

from typing import Any

import pytest
import stripe
from flask import Flask

from .conftest import (
    CARD_NUMBER,
    Browser,
    FakeTime,
    Prices,
    RecordingEndpoint,
    call_admin_api,
    plain_metadata,
)


@pytest.fixture
def session(
    api: stripe.StripeClient, prices: Prices, customer: stripe.Customer
) -> stripe.checkout.Session:
    return api.v1.checkout.sessions.create(
        {
            "mode": "subscription",
            "customer": customer.id,
            "line_items": [{"price": prices.pro, "quantity": 1}],
            "success_url": "https://shop.test/return?session_id={CHECKOUT_SESSION_ID}",
            "cancel_url": "https://shop.test/pricing",
            "client_reference_id": "person-1",
            "metadata": {"person": "1"},
            "subscription_data": {"metadata": {"person": "1"}},
            "allow_promotion_codes": True,
        }
    )


def url(session: stripe.checkout.Session) -> str:
    assert session.url
    return session.url


def test_a_valid_card_starts_the_subscription_and_redirects_back(
    api: stripe.StripeClient,
    browser: Browser,
    session: stripe.checkout.Session,
    endpoint: object,
    receiver: RecordingEndpoint,
) -> None:
    page = browser.get(url(session))
    assert "no money moves" in page.text
    assert "$15.00" in page.text

    response = browser.post(url(session), number=CARD_NUMBER, name="Ada")

    assert response.status_code == 303
    assert response.location == f"https://shop.test/return?session_id={session.id}"
    result = api.v1.checkout.sessions.retrieve(session.id, {"expand": ["subscription", "invoice"]})
    assert (result.status, result.payment_status, result.url) == ("complete", "paid", None)
    assert result.client_reference_id == "person-1"
    subscription = result.subscription
    assert isinstance(subscription, stripe.Subscription)
    assert subscription.status == "active"
    assert plain_metadata(subscription.metadata) == {"person": "1"}
    assert isinstance(result.invoice, stripe.Invoice)
    assert result.invoice.status == "paid"
    assert receiver.last("customer.subscription.created")["data"]["object"]["status"] == "active"
    assert "customer.subscription.updated" not in receiver.types
    assert receiver.types[-1] == "checkout.session.completed"


@pytest.mark.parametrize(
    ("number", "words"),
    [
        ("4000 0000 0000 0002", "Your card was declined."),
        ("4000 0000 0000 9995", "Your card has insufficient funds."),
        ("4000 0000 0000 0069", "Your card has expired."),
        ("4000 0000 0000 0341", "Your card was declined."),
        ("1234 5678 9012 3456", "Your card number is invalid."),
        ("4242", "Your card number is incomplete."),
        ("", "Your card number is incomplete."),
    ],
)
def test_a_declined_card_is_explained_and_changes_nothing(
    api: stripe.StripeClient,
    browser: Browser,
    session: stripe.checkout.Session,
    customer: stripe.Customer,
    number: str,
    words: str,
) -> None:
    response = browser.post(url(session), number=number)

    assert response.status_code == 422
    assert words in response.text.replace("&#39;", "'")
    assert api.v1.subscriptions.list({"customer": customer.id, "status": "all"}).data == []
    assert api.v1.checkout.sessions.retrieve(session.id).status == "open"
    assert browser.post(url(session), number=CARD_NUMBER).status_code == 303


def test_a_card_that_requires_authentication_is_confirmed(
    api: stripe.StripeClient, browser: Browser, session: stripe.checkout.Session
) -> None:
    asked = browser.post(url(session), number="4000 0025 0000 3155")
    assert "Confirm with your bank" in asked.text
    assert api.v1.checkout.sessions.retrieve(session.id).status == "open"

    response = browser.post(url(session), number="4000 0025 0000 3155", confirmed="yes")

    assert response.status_code == 303


def test_a_refused_authentication_pays_nothing(
    api: stripe.StripeClient, browser: Browser, session: stripe.checkout.Session
) -> None:
    response = browser.post(url(session), number="4000 0025 0000 3155", confirmed="no")

    assert response.status_code == 422
    assert "authenticate" in response.text
    assert api.v1.checkout.sessions.retrieve(session.id).status == "open"


def test_a_session_can_be_paid_once(
    api: stripe.StripeClient,
    browser: Browser,
    session: stripe.checkout.Session,
    customer: stripe.Customer,
) -> None:
    browser.post(url(session), number=CARD_NUMBER)

    again = browser.post(url(session), number=CARD_NUMBER)

    assert again.status_code == 409
    assert "can't pay twice" in again.text
    assert len(api.v1.subscriptions.list({"customer": customer.id}).data) == 1


def test_an_expired_session_is_explained(
    api: stripe.StripeClient,
    browser: Browser,
    session: stripe.checkout.Session,
    endpoint: object,
    receiver: RecordingEndpoint,
) -> None:
    api.v1.checkout.sessions.expire(session.id)

    assert "has expired" in browser.get(url(session)).text
    assert browser.post(url(session), number=CARD_NUMBER).status_code == 409
    assert receiver.types == ["checkout.session.expired"]
    with pytest.raises(stripe.InvalidRequestError, match="can be expired"):
        api.v1.checkout.sessions.expire(session.id)


def test_a_session_expires_after_a_day(
    api: stripe.StripeClient, session: stripe.checkout.Session, fake_time: FakeTime
) -> None:
    fake_time.time += 86400 + 1
    api.v1.accounts.retrieve_current()

    assert api.v1.checkout.sessions.retrieve(session.id).status == "expired"


def test_a_promotion_code_lowers_the_price(
    api: stripe.StripeClient, browser: Browser, session: stripe.checkout.Session
) -> None:
    coupon = api.v1.coupons.create({"percent_off": 20, "duration": "once"})
    api.v1.promotion_codes.create(
        {"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "SPRING"}
    )

    wrong = browser.post(f"{url(session)}/code", code="AUTUMN")
    assert wrong.status_code == 422
    assert "This code is invalid." in wrong.text
    assert browser.post(f"{url(session)}/code", code=" spring ").status_code == 303
    assert "$12.00" in browser.get(url(session)).text
    browser.post(url(session), number=CARD_NUMBER)

    result = api.v1.checkout.sessions.retrieve(session.id, {"expand": ["invoice"]})
    assert result.amount_total == 1200
    assert isinstance(result.invoice, stripe.Invoice)
    assert result.invoice.amount_paid == 1200


def test_a_promotion_code_can_be_removed(
    api: stripe.StripeClient, browser: Browser, session: stripe.checkout.Session
) -> None:
    coupon = api.v1.coupons.create({"percent_off": 20, "duration": "once"})
    api.v1.promotion_codes.create(
        {"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "SPRING"}
    )
    browser.post(f"{url(session)}/code", code="SPRING")

    browser.post(f"{url(session)}/code", remove="yes")

    assert api.v1.checkout.sessions.retrieve(session.id).amount_total == 1500


def start(
    api: stripe.StripeClient, prices: Prices, customer: stripe.Customer, **more: Any
) -> stripe.checkout.Session:
    return api.v1.checkout.sessions.create(
        {
            "mode": "subscription",
            "customer": customer.id,
            "line_items": [{"price": prices.pro, "quantity": 1}],
            "success_url": "https://shop.test/return",
            **more,
        }
    )


def test_a_trial_charges_nothing_today_and_saves_the_card(
    api: stripe.StripeClient, browser: Browser, prices: Prices, customer: stripe.Customer
) -> None:
    session = start(api, prices, customer, subscription_data={"trial_period_days": 14})
    assert "14 days free" in browser.get(url(session)).text

    browser.post(url(session), number="4000 0000 0000 0341")

    result = api.v1.checkout.sessions.retrieve(session.id, {"expand": ["subscription"]})
    assert result.payment_status == "no_payment_required"
    subscription = result.subscription
    assert isinstance(subscription, stripe.Subscription)
    assert subscription.status == "trialing"
    assert subscription.default_payment_method


def test_a_trial_needs_no_card_if_configured(
    api: stripe.StripeClient, browser: Browser, prices: Prices, customer: stripe.Customer
) -> None:
    session = start(
        api,
        prices,
        customer,
        subscription_data={"trial_period_days": 14},
        payment_method_collection="if_required",
    )

    assert "Card number" not in browser.get(url(session)).text
    assert browser.post(url(session)).status_code == 303


@pytest.mark.parametrize(
    ("number", "ending", "paid"),
    [("000123456789", "succeeded", "paid"), ("000111111116", "failed", "unpaid")],
)
def test_a_bank_debit_is_decided_after_days(
    api: stripe.StripeClient,
    browser: Browser,
    prices: Prices,
    customer: stripe.Customer,
    fake_time: FakeTime,
    endpoint: object,
    receiver: RecordingEndpoint,
    number: str,
    ending: str,
    paid: str,
) -> None:
    session = start(api, prices, customer)
    browser.post(url(session), number=number)
    assert api.v1.checkout.sessions.retrieve(session.id).payment_status == "unpaid"

    fake_time.time += 3 * 86400
    api.v1.accounts.retrieve_current()

    assert f"checkout.session.async_payment_{ending}" in receiver.types
    assert api.v1.checkout.sessions.retrieve(session.id).payment_status == paid


def test_without_a_customer_one_is_created_from_the_email(
    api: stripe.StripeClient, browser: Browser, prices: Prices
) -> None:
    session = api.v1.checkout.sessions.create(
        {
            "mode": "subscription",
            "line_items": [{"price": prices.pro, "quantity": 2}],
            "success_url": "https://shop.test/return",
        }
    )

    browser.post(url(session), number=CARD_NUMBER, email="new@example.com", name="Nora")

    result = api.v1.checkout.sessions.retrieve(session.id, {"expand": ["customer", "line_items"]})
    assert isinstance(result.customer, stripe.Customer)
    assert result.customer.email == "new@example.com"
    assert result.amount_total == 3000
    assert result.line_items
    assert result.line_items.data[0].quantity == 2


def test_enabled_tax_is_a_separate_line(
    app: Flask, api: stripe.StripeClient, browser: Browser, prices: Prices,
    customer: stripe.Customer,
) -> None:  # fmt: skip
    call_admin_api(app, "settings", tax_percent=20)
    api.v1.tax.settings.update({"head_office": {"address": {"country": "DE"}}})
    session = start(api, prices, customer, automatic_tax={"enabled": True})

    assert "Tax" in browser.get(url(session)).text
    browser.post(url(session), number=CARD_NUMBER)

    result = api.v1.checkout.sessions.retrieve(session.id, {"expand": ["invoice"]})
    assert isinstance(result.invoice, stripe.Invoice)
    assert (result.amount_total, result.invoice.amount_paid) == (1800, 1800)
    assert result.invoice.total_taxes
    assert result.invoice.total_taxes[0].amount == 300


def test_a_one_time_purchase_and_a_saved_card(
    api: stripe.StripeClient, browser: Browser, prices: Prices, customer: stripe.Customer
) -> None:
    price = api.v1.prices.create(
        {"product": prices.product, "currency": "usd", "unit_amount": 500}
    ).id
    common: Any = {"customer": customer.id, "success_url": "https://shop.test/return"}
    purchase = api.v1.checkout.sessions.create(
        {"mode": "payment", "line_items": [{"price": price, "quantity": 1}], **common}
    )
    setup = api.v1.checkout.sessions.create({"mode": "setup", "currency": "usd", **common})

    browser.post(url(purchase), number=CARD_NUMBER)
    browser.post(url(setup), number=CARD_NUMBER)

    bought = api.v1.checkout.sessions.retrieve(purchase.id, {"expand": ["payment_intent"]})
    assert isinstance(bought.payment_intent, stripe.PaymentIntent)
    assert (bought.payment_status, bought.payment_intent.status) == ("paid", "succeeded")
    saved = api.v1.checkout.sessions.retrieve(setup.id, {"expand": ["setup_intent"]})
    assert isinstance(saved.setup_intent, stripe.SetupIntent)
    assert (saved.payment_status, saved.setup_intent.status) == ("no_payment_required", "succeeded")


def test_a_deleted_customer_cannot_pay(
    api: stripe.StripeClient,
    browser: Browser,
    session: stripe.checkout.Session,
    customer: stripe.Customer,
) -> None:
    api.v1.customers.delete(customer.id)

    response = browser.post(url(session), number=CARD_NUMBER)

    assert response.status_code == 422
    assert api.v1.subscriptions.list({"status": "all"}).data == []


def test_an_unknown_session_is_not_found(browser: Browser) -> None:
    assert browser.get("/stripe/checkout/cs_test_unknown").status_code == 404


@pytest.mark.parametrize(
    "more",
    [
        {"success_url": "javascript:alert(1)"},
        {"success_url": "http://["},
        {"line_items": []},
        {"line_items": [{"price": "price_unknown", "quantity": 1}]},
        {"expires_at": 5},
        {"client_reference_id": "x" * 201},
        {"discounts": [{"coupon": "unknown"}]},
        {"subscription_data": {"trial_period_days": 1000}},
    ],
    ids=lambda more: next(iter(more)),
)
def test_an_invalid_session_is_refused(
    api: stripe.StripeClient, prices: Prices, customer: stripe.Customer, more: dict[str, Any]
) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        start(api, prices, customer, **more)


def test_a_bank_account_is_refused_if_only_cards_are_accepted(
    api: stripe.StripeClient, browser: Browser, prices: Prices, customer: stripe.Customer
) -> None:
    session = start(api, prices, customer, allowed_payment_method_types=["card"])

    response = browser.post(url(session), number="000123456789")

    assert response.status_code == 422
    assert "not accepted here" in response.text

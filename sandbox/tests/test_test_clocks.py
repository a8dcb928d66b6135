"""Test clocks for customers that an application created."""

import pytest
import stripe
from flask import Flask

from .conftest import CARD_NUMBER, Browser, FakeTime, Prices, at, call_admin_api, item_of


@pytest.fixture
def subscription(
    api: stripe.StripeClient, browser: Browser, prices: Prices, customer: stripe.Customer
) -> stripe.Subscription:
    """Create a subscription at checkout, in real time."""
    session = api.v1.checkout.sessions.create(
        {
            "mode": "subscription",
            "customer": customer.id,
            "line_items": [{"price": prices.pro, "quantity": 1}],
            "success_url": "https://shop.test/return",
        }
    )
    assert session.url
    browser.post(session.url, number=CARD_NUMBER)
    return api.v1.subscriptions.list({"customer": customer.id}).data[0]


def test_subscriptions_renew_in_real_time_too(
    api: stripe.StripeClient, subscription: stripe.Subscription, fake_time: FakeTime
) -> None:
    fake_time.time = at(2026, 4, 10, 12, 30)
    api.v1.accounts.retrieve_current()
    assert item_of(api.v1.subscriptions.retrieve(subscription.id)).current_period_end == at(
        2026, 5, 10
    )

    fake_time.time = at(2026, 4, 10, 14)
    api.v1.accounts.retrieve_current()

    invoices = api.v1.invoices.list({"subscription": subscription.id}).data
    assert [invoice.status for invoice in invoices] == ["paid", "paid"]


def test_any_customer_can_be_advanced_to_the_next_renewal(
    app: Flask, api: stripe.StripeClient, subscription: stripe.Subscription
) -> None:
    call_admin_api(app, "advance", customer=subscription.customer, step="renewal")

    renewed = api.v1.subscriptions.retrieve(subscription.id)
    assert item_of(renewed).current_period_end == at(2026, 5, 10)
    assert renewed.test_clock
    assert len(api.v1.invoices.list({"subscription": subscription.id}).data) == 2


def test_any_customer_can_be_advanced_by_a_year(
    app: Flask, api: stripe.StripeClient, subscription: stripe.Subscription
) -> None:
    call_admin_api(app, "advance", customer=subscription.customer, step="year")
    call_admin_api(app, "advance", customer=subscription.customer, step="day", count=2)

    invoices = api.v1.invoices.list({"subscription": subscription.id, "limit": 100}).data
    assert len(invoices) == 13
    assert {invoice.status for invoice in invoices} == {"paid"}


def test_a_clock_reports_its_progress(
    app: Flask, api: stripe.StripeClient, subscription: stripe.Subscription
) -> None:
    clock = call_admin_api(app, "advance", customer=subscription.customer, step="month")

    assert clock["status"] == "advancing"
    assert api.v1.test_helpers.test_clocks.retrieve(clock["id"]).status == "ready"


def test_deleting_a_clock_deletes_its_customers(api: stripe.StripeClient) -> None:
    clock = api.v1.test_helpers.test_clocks.create({"frozen_time": at(2026, 3, 10)}).id
    customer = api.v1.customers.create({"test_clock": clock})
    assert [c.id for c in api.v1.customers.list({"test_clock": clock}).data] == [customer.id]

    api.v1.test_helpers.test_clocks.delete(clock)

    assert api.v1.customers.list().data == []


def test_an_account_can_be_filled_with_one_request(
    app: Flask, api: stripe.StripeClient, prices: Prices
) -> None:
    call_admin_api(app, "fill", price=prices.pro, subscriptions=250)

    subscriptions = list(api.v1.subscriptions.list({"limit": 100}).auto_paging_iter())

    assert len({subscription.id for subscription in subscriptions}) == 250
    assert len({subscription.customer for subscription in subscriptions}) == 250
    assert api.v1.customers.retrieve(str(subscriptions[0].customer)).id == subscriptions[0].customer

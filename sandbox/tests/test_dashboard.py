"""The dashboard: history, explanations and controls."""

import pytest
import stripe
from flask import Flask
from saas_sandbox.stripe.accounts import find_account
from saas_sandbox.stripe.dashboard import event_descriptions
from saas_sandbox.stripe.engine import events, lifecycle, test_clocks
from saas_sandbox.stripe.webhook_sender import EndpointResponse

from .conftest import Browser, FakeTime, Prices, RecordingEndpoint, Subscriber, at


@pytest.fixture
def account(api: stripe.StripeClient) -> str:
    return f"/stripe/accounts/{api.v1.accounts.retrieve_current().id}"


@pytest.fixture
def page(account: str, subscriber: Subscriber) -> str:
    return f"{account}/customers/{subscriber.customer}"


def test_every_account_is_listed(browser: Browser, account: str, subscriber: Subscriber) -> None:
    assert f'href="{account}"' in browser.get("/stripe/").text
    assert "1 customer, 0 subscriptions<" in browser.get("/stripe/").text


def test_the_history_of_a_subscription_is_described_in_words(
    browser: Browser, page: str, subscriber: Subscriber, prices: Prices
) -> None:
    subscriber.subscribe(prices.pro)

    text = browser.get(page).text

    assert "Paid. The customer has access." in text
    assert "$15.00 was charged." in text
    assert "10 Apr 2026, 12:00 UTC" in text
    assert "renews" in text


def test_an_advancing_clock_shows_its_progress(
    app: Flask, browser: Browser, page: str, subscriber: Subscriber, prices: Prices
) -> None:
    subscriber.subscribe(prices.pro)
    sandbox = app.extensions["sandbox"]
    with sandbox.store.transaction():
        row = sandbox.store.fetch_one("SELECT id FROM accounts")
        account = find_account(sandbox.store, row["id"], sandbox.now)
        assert account is not None
        test_clocks.start_advance(
            account, account.get(test_clocks.KIND, subscriber.clock), at(2026, 5, 1)
        )

    text = browser.get(page).text

    assert "Advancing: 0%, 0 changes so far." in text


def test_a_button_advances_the_clock(
    browser: Browser, page: str, subscriber: Subscriber, prices: Prices
) -> None:
    subscription = subscriber.subscribe(prices.pro)

    for step in ("renewal", "day", "month"):
        assert browser.post(f"{page}/advance", step=step).status_code == 303

    assert len(subscriber.invoices()) == 3
    assert subscriber.status(subscription.id) == "active"
    assert "It is 11 May 2026" in browser.get(page).text


def test_a_step_that_does_not_exist_is_refused(browser: Browser, page: str) -> None:
    assert browser.post(f"{page}/advance", step="century").status_code == 422
    assert "no live subscription to renew" in browser.post(f"{page}/advance", step="renewal").text


def test_a_failing_card_can_be_set(
    browser: Browser, page: str, subscriber: Subscriber, prices: Prices
) -> None:
    subscription = subscriber.subscribe(prices.pro)

    browser.post(f"{page}/card", card="fails")
    browser.post(f"{page}/advance", step="renewal")

    assert subscriber.status(subscription.id) == "past_due"
    text = browser.get(page).text
    assert "A payment failed. Stripe retries it on a schedule" in text
    assert "The next attempt is on 13 April 2026." in text
    assert "the payment is retried" in text
    assert browser.post(f"{page}/card", card="gold").status_code == 400


def test_the_card_for_renewals_is_shown(
    api: stripe.StripeClient, browser: Browser, account: str, prices: Prices
) -> None:
    customer = api.v1.customers.create({"email": "ben@example.com"})
    page = f"{account}/customers/{customer.id}"
    method = api.v1.payment_methods.attach("pm_card_mastercard", {"customer": customer.id})
    nothing_yet = browser.get(page).text

    # As Checkout does: the card is the subscription's, not the customer's.
    api.v1.subscriptions.create(
        {
            "customer": customer.id,
            "items": [{"price": prices.pro}],
            "default_payment_method": method.id,
        }
    )

    assert "No card for renewals" in nothing_yet
    assert "Pays with Mastercard" in browser.get(page).text


def test_deliveries_show_their_response_and_can_be_sent_again(
    browser: Browser,
    account: str,
    page: str,
    subscriber: Subscriber,
    endpoint: object,
    receiver: RecordingEndpoint,
    fake_time: FakeTime,
) -> None:
    receiver.response = EndpointResponse(500, "the shop is on fire")
    subscriber.api.v1.customers.update(subscriber.customer, {"name": "Ada"})
    assert "the shop is on fire" in browser.get(page).text

    receiver.response = EndpointResponse(200, "thanks")
    heard = len(receiver.posted)
    response = browser.post(f"{account}/deliveries/1/redeliver", customer=subscriber.customer)

    assert response.location == page
    assert len(receiver.posted) == heard + 1
    assert "the shop is on fire" not in browser.get(page).text


def test_faults_can_be_switched_on_and_their_effects_are_listed(
    browser: Browser,
    account: str,
    page: str,
    subscriber: Subscriber,
    endpoint: object,
    receiver: RecordingEndpoint,
) -> None:
    browser.post(f"{account}/faults", drop="100", seed="7")

    subscriber.api.v1.customers.update(subscriber.customer, {"name": "Ada"})

    assert receiver.posted == []
    assert "dropped by an injected fault" in browser.get(page).text
    assert 'value="100"' in browser.get(account).text


def test_the_outcome_of_failed_retries_can_be_chosen(
    browser: Browser, account: str, subscriber: Subscriber, prices: Prices
) -> None:
    subscription = subscriber.subscribe(prices.pro)
    subscriber.pay_with("pm_card_chargeCustomerFail")

    browser.post(f"{account}/settings", after_retries="unpaid")
    subscriber.until(at(2026, 5, 1))

    assert subscriber.status(subscription.id) == "unpaid"


def test_customers_can_be_searched_by_email(
    browser: Browser, account: str, subscriber: Subscriber
) -> None:
    subscriber.api.v1.customers.create({"email": "grace@example.com"})

    text = browser.get(f"{account}?email=grace").text

    assert ">grace@example.com<" in text
    assert ">ada@example.com<" not in text


@pytest.mark.parametrize(
    "path", ["/stripe/accounts/acct_unknown", "/stripe/accounts/x/customers/y"]
)
def test_unknown_objects_are_not_found(browser: Browser, path: str) -> None:
    assert browser.get(f"/stripe/accounts/{path}").status_code == 404


def test_every_state_and_upcoming_event_has_a_label() -> None:
    assert (
        set(event_descriptions.STATUS_DESCRIPTIONS)
        == {t.before for t in lifecycle.TRANSITIONS} | lifecycle.ENDED_STATUSES
    )
    assert events.API_VERSION == "2026-10-28.endive"


def test_every_description_matches_real_events(
    browser: Browser, page: str, subscriber: Subscriber, prices: Prices
) -> None:
    subscriber.subscribe(prices.pro, trial_period_days=10)
    browser.post(f"{page}/card", card="asks")
    browser.post(f"{page}/advance", step="month")
    browser.post(f"{page}/card", card="works")
    browser.post(f"{page}/advance", step="month")

    assert browser.get(page).status_code == 200

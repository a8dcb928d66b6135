"""The customer portal, as a subscriber uses it."""

from typing import Any

import pytest
import stripe

from .conftest import Browser, Prices, RecordingEndpoint, Subscriber, at, item_of


@pytest.fixture
def configuration(api: stripe.StripeClient, prices: Prices) -> str:
    features: Any = {
        "invoice_history": {"enabled": True},
        "payment_method_update": {"enabled": True},
        "subscription_cancel": {
            "enabled": True,
            "cancellation_reason": {"enabled": True, "options": ["too_expensive", "unused"]},
        },
        "subscription_update": {
            "enabled": True,
            "default_allowed_updates": ["price"],
            "proration_behavior": "always_invoice",
            "products": [{"product": prices.product, "prices": [prices.pro, prices.pro_yearly]}],
        },
    }
    return api.v1.billing_portal.configurations.create({"features": features}).id


@pytest.fixture
def subscription(subscriber: Subscriber, prices: Prices) -> stripe.Subscription:
    return subscriber.subscribe(prices.pro)


@pytest.fixture
def portal(subscriber: Subscriber, configuration: str) -> str:
    return subscriber.api.v1.billing_portal.sessions.create(
        {
            "customer": subscriber.customer,
            "configuration": configuration,
            "return_url": "https://shop.test/billing",
        }
    ).url


def test_the_portal_shows_the_plan_and_a_return_link(
    browser: Browser, portal: str, subscription: stripe.Subscription
) -> None:
    page = browser.get(portal).text

    assert "Pro" in page
    assert "$15.00 / month" in page
    assert "Renews on 10 April 2026" in page
    assert 'href="https://shop.test/billing"' in page


def test_monthly_to_yearly_with_the_proration_shown_first(
    browser: Browser,
    subscriber: Subscriber,
    portal: str,
    prices: Prices,
    subscription: stripe.Subscription,
) -> None:
    subscriber.until(at(2026, 3, 26))
    page = browser.get(f"{portal}/{subscription.id}/change?price={prices.pro_yearly}").text
    assert "Unused time on Pro" in page
    assert "-$7.26" in page
    assert "$136.74" in page

    response = browser.post(f"{portal}/{subscription.id}/change", price=prices.pro_yearly)

    assert response.status_code == 303
    assert item_of(subscriber.subscription(subscription.id)).price.id == prices.pro_yearly
    assert subscriber.invoices()[-1].amount_paid == 13674


def test_a_plan_outside_of_the_configuration_cannot_be_chosen(
    browser: Browser,
    subscriber: Subscriber,
    portal: str,
    prices: Prices,
    subscription: stripe.Subscription,
) -> None:
    response = browser.post(f"{portal}/{subscription.id}/change", price=prices.business)

    assert response.status_code == 422
    assert item_of(subscriber.subscription(subscription.id)).price.id == prices.pro


def test_a_cancellation_sets_cancel_at_and_not_cancel_at_period_end(
    browser: Browser,
    subscriber: Subscriber,
    portal: str,
    subscription: stripe.Subscription,
    endpoint: object,
    receiver: RecordingEndpoint,
) -> None:
    browser.post(f"{portal}/{subscription.id}/cancel", when="period_end", feedback="unused")

    canceling = subscriber.subscription(subscription.id)
    assert canceling.cancel_at == at(2026, 4, 10)
    assert not canceling.cancel_at_period_end
    assert canceling.cancellation_details
    assert canceling.cancellation_details.feedback == "unused"
    assert "Ends on 10 April 2026" in browser.get(portal).text
    assert receiver.types == ["customer.subscription.updated"]


def test_a_resumed_subscription_has_no_end(
    browser: Browser, subscriber: Subscriber, portal: str, subscription: stripe.Subscription
) -> None:
    browser.post(f"{portal}/{subscription.id}/cancel", when="period_end")

    browser.post(f"{portal}/{subscription.id}/resume")

    assert subscriber.subscription(subscription.id).cancel_at is None


def test_an_immediate_cancellation_ends_the_subscription(
    browser: Browser, subscriber: Subscriber, portal: str, subscription: stripe.Subscription
) -> None:
    browser.post(f"{portal}/{subscription.id}/cancel", when="now")

    assert subscriber.status(subscription.id) == "canceled"
    assert browser.get(f"{portal}/{subscription.id}/cancel").status_code == 404


def test_a_new_card_becomes_the_default(
    browser: Browser, subscriber: Subscriber, portal: str, subscription: stripe.Subscription
) -> None:
    assert browser.post(f"{portal}/card", number="4000000000000002").status_code == 422

    browser.post(f"{portal}/card", number="5555 5555 5555 4444")

    customer = subscriber.api.v1.customers.retrieve(
        subscriber.customer, {"expand": ["invoice_settings.default_payment_method"]}
    )
    settings = customer.invoice_settings
    assert settings
    assert isinstance(settings.default_payment_method, stripe.PaymentMethod)
    assert settings.default_payment_method.card
    assert settings.default_payment_method.card.last4 == "4444"
    assert "Mastercard •••• 4444" in browser.get(portal).text


def test_a_deep_link_opens_the_change_and_returns(
    browser: Browser,
    subscriber: Subscriber,
    configuration: str,
    prices: Prices,
    subscription: stripe.Subscription,
) -> None:
    flow: Any = {
        "type": "subscription_update_confirm",
        "subscription_update_confirm": {
            "subscription": subscription.id,
            "items": [{"id": item_of(subscription).id, "price": prices.pro_yearly}],
        },
        "after_completion": {
            "type": "redirect",
            "redirect": {"return_url": "https://shop.test/thanks"},
        },
    }
    portal = subscriber.api.v1.billing_portal.sessions.create(
        {"customer": subscriber.customer, "configuration": configuration, "flow_data": flow}
    ).url

    opened = browser.get(portal)
    assert opened.location.endswith(f"/change?price={prices.pro_yearly}")
    response = browser.post(f"{portal}/{subscription.id}/change", price=prices.pro_yearly)

    assert response.location == "https://shop.test/thanks"
    assert browser.get(portal).status_code == 200


def test_a_subscription_of_another_customer_is_not_found(
    browser: Browser, subscriber: Subscriber, portal: str, prices: Prices
) -> None:
    other = subscriber.api.v1.customers.create({"payment_method": "pm_card_visa"})
    method = subscriber.api.v1.payment_methods.list({"customer": other.id}).data[0].id
    theirs = subscriber.api.v1.subscriptions.create(
        {
            "customer": other.id,
            "items": [{"price": prices.pro}],
            "default_payment_method": method,
        }
    )

    response = browser.post(f"{portal}/{theirs.id}/cancel", when="now")

    assert response.status_code == 404
    assert subscriber.status(theirs.id) == "active"


def test_a_declined_upgrade_changes_nothing(
    browser: Browser,
    subscriber: Subscriber,
    portal: str,
    prices: Prices,
    subscription: stripe.Subscription,
) -> None:
    subscriber.pay_with("pm_card_chargeCustomerFail")

    response = browser.post(f"{portal}/{subscription.id}/change", price=prices.pro_yearly)

    assert response.status_code == 422
    assert "Your card was declined." in response.text
    assert item_of(subscriber.subscription(subscription.id)).price.id == prices.pro


def test_an_account_has_a_default_configuration(api: stripe.StripeClient) -> None:
    [default] = api.v1.billing_portal.configurations.list({"is_default": True}).data

    assert default.features.subscription_cancel.enabled
    assert not default.features.subscription_update.enabled


def test_a_configuration_can_be_partially_updated(
    api: stripe.StripeClient, configuration: str
) -> None:
    changed = api.v1.billing_portal.configurations.update(
        configuration,
        {"features": {"subscription_cancel": {"enabled": True, "mode": "immediately"}}},
    )

    cancel = changed.features.subscription_cancel
    assert cancel.mode == "immediately"
    assert cancel.cancellation_reason.options == ["too_expensive", "unused"]
    assert changed.features.subscription_update.enabled


def test_an_unknown_product_cannot_be_offered(api: stripe.StripeClient) -> None:
    offer: Any = {
        "enabled": True,
        "default_allowed_updates": ["price"],
        "products": [{"product": "prod_unknown", "prices": ["price_unknown"]}],
    }

    with pytest.raises(stripe.InvalidRequestError, match="No such product"):
        api.v1.billing_portal.configurations.create({"features": {"subscription_update": offer}})


def test_allowed_billing_details_can_be_changed(
    browser: Browser, subscriber: Subscriber, endpoint: object, receiver: RecordingEndpoint
) -> None:
    """An account's default configuration allows name and address."""
    url = subscriber.api.v1.billing_portal.sessions.create({"customer": subscriber.customer}).url
    receiver.posted.clear()

    assert browser.post(f"{url}/details", name="Ada", email="nowhere").status_code == 422
    browser.post(f"{url}/details", name="Ada", email="countess@example.com")

    customer = subscriber.api.v1.customers.retrieve(subscriber.customer)
    assert (customer.name, customer.email) == ("Ada", "countess@example.com")
    assert receiver.types == ["customer.updated"]


def test_other_billing_details_stay_unchanged(
    browser: Browser, subscriber: Subscriber, portal: str
) -> None:
    browser.post(f"{portal}/details", email="countess@example.com")

    assert subscriber.api.v1.customers.retrieve(subscriber.customer).email == "ada@example.com"
    assert "Billing details" not in browser.get(portal).text

"""The life cycle of subscriptions, by advancing the clock."""

from typing import Any

import pytest
import stripe
from flask import Flask

from .conftest import DAY, Prices, RecordingEndpoint, Subscriber, at, call_admin_api, item_of

HOUR = 3600


def test_a_trial_becomes_a_paying_subscription_that_fails_and_recovers(
    subscriber: Subscriber, prices: Prices, endpoint: object, receiver: RecordingEndpoint
) -> None:
    start = at(2026, 3, 10)
    subscription = subscriber.subscribe(prices.pro, trial_period_days=14)
    assert subscription.status == "trialing"
    assert subscriber.invoices()[0].amount_due == 0

    subscriber.until(start + 11 * DAY - 1)
    assert "customer.subscription.trial_will_end" not in receiver.types
    subscriber.until(start + 11 * DAY)
    assert receiver.types.count("customer.subscription.trial_will_end") == 1

    subscriber.until(start + 14 * DAY + 2 * HOUR)
    assert subscriber.status(subscription.id) == "active"
    assert subscriber.invoices()[-1].amount_paid == 1500

    subscriber.until(at(2026, 4, 24, 14))
    assert [invoice.amount_paid for invoice in subscriber.invoices()] == [0, 1500, 1500]

    subscriber.pay_with("pm_card_chargeCustomerFail")
    subscriber.until(at(2026, 5, 24, 14))
    assert subscriber.status(subscription.id) == "past_due"
    failed = subscriber.invoices()[-1]
    assert (failed.status, failed.attempt_count) == ("open", 1)
    assert failed.next_payment_attempt == at(2026, 5, 24, 13) + 3 * DAY
    assert receiver.last("invoice.payment_failed")["data"]["object"]["id"] == failed.id

    subscriber.until(at(2026, 5, 27, 14))
    assert subscriber.invoices()[-1].attempt_count == 2

    subscriber.pay_with("pm_card_visa")
    subscriber.until(at(2026, 6, 1, 14))
    assert subscriber.invoices()[-1].status == "paid"
    assert subscriber.status(subscription.id) == "active"


@pytest.mark.parametrize(
    ("setting", "ending"), [("cancel", "canceled"), ("unpaid", "unpaid"), ("past_due", "past_due")]
)
def test_after_all_retries_failed_the_settings_decide(
    app: Flask, subscriber: Subscriber, prices: Prices, setting: str, ending: str
) -> None:
    call_admin_api(app, "settings", after_retries=setting, retry_days=[3, 5, 7])
    subscription = subscriber.subscribe(prices.pro)
    subscriber.pay_with("pm_card_chargeCustomerFail")

    subscriber.until(at(2026, 4, 10, 14) + 14 * DAY)
    assert subscriber.status(subscription.id) == "past_due"
    subscriber.until(at(2026, 4, 10, 14) + 15 * DAY)

    ended = subscriber.subscription(subscription.id)
    assert ended.status == ending
    assert subscriber.invoices()[-1].attempt_count == 4
    assert subscriber.invoices()[-1].next_payment_attempt is None
    if ending == "canceled":
        assert ended.cancellation_details
        assert ended.cancellation_details.reason == "payment_failed"


def test_an_unpaid_subscription_creates_drafts_without_collection(
    app: Flask, subscriber: Subscriber, prices: Prices
) -> None:
    call_admin_api(app, "settings", after_retries="unpaid", retry_days=[1])
    subscription = subscriber.subscribe(prices.pro)
    subscriber.pay_with("pm_card_chargeCustomerFail")

    subscriber.until(at(2026, 5, 12))
    draft = subscriber.invoices()[-1]
    assert (draft.status, draft.auto_advance) == ("draft", False)

    subscriber.pay_with("pm_card_visa")
    subscriber.api.v1.invoices.pay(draft.id)
    assert subscriber.status(subscription.id) == "active"


def test_a_subscription_of_31_january_renews_on_the_last_day_of_short_months(
    subscriber_from: Any, prices: Prices
) -> None:
    subscriber = subscriber_from(at(2027, 1, 31))
    subscription = subscriber.subscribe(prices.pro)

    ends = []
    for month in range(2, 7):
        ends.append(item_of(subscriber.subscription(subscription.id)).current_period_end)
        subscriber.until(at(2027, month + 1, 1))

    assert ends == [
        at(2027, 2, 28), at(2027, 3, 31), at(2027, 4, 30), at(2027, 5, 31), at(2027, 6, 30),
    ]  # fmt: skip


def test_a_subscription_renews_on_29_february_in_a_leap_year(
    subscriber_from: Any, prices: Prices
) -> None:
    subscriber = subscriber_from(at(2028, 1, 31))

    subscription = subscriber.subscribe(prices.pro)

    assert item_of(subscription).current_period_end == at(2028, 2, 29)


def test_a_yearly_subscription_of_29_february_renews_on_28_and_returns_to_29(
    subscriber_from: Any, prices: Prices
) -> None:
    subscriber = subscriber_from(at(2028, 2, 29))
    subscription = subscriber.subscribe(prices.pro_yearly)

    ends = [item_of(subscription).current_period_end]
    for year in range(2029, 2032):
        subscriber.until(at(year, 3, 1, 14))
        ends.append(item_of(subscriber.subscription(subscription.id)).current_period_end)

    assert ends == [at(2029, 2, 28), at(2030, 2, 28), at(2031, 2, 28), at(2032, 2, 29)]


def test_with_cancel_at_period_end_a_subscription_is_active_until_then(
    subscriber: Subscriber, prices: Prices, endpoint: object, receiver: RecordingEndpoint
) -> None:
    subscription = subscriber.subscribe(prices.pro)

    canceling = subscriber.api.v1.subscriptions.update(
        subscription.id, {"cancel_at_period_end": True}
    )
    assert canceling.cancel_at == at(2026, 4, 10)
    assert canceling.cancel_at_period_end
    subscriber.until(at(2026, 4, 10) - 1)
    assert subscriber.status(subscription.id) == "active"
    subscriber.until(at(2026, 4, 10))

    ended = subscriber.subscription(subscription.id)
    assert (ended.status, ended.ended_at) == ("canceled", at(2026, 4, 10))
    assert len(subscriber.invoices()) == 1
    assert "customer.subscription.deleted" in receiver.types


def test_a_resumed_subscription_renews(subscriber: Subscriber, prices: Prices) -> None:
    subscription = subscriber.subscribe(prices.pro)
    subscriber.api.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})

    resumed = subscriber.api.v1.subscriptions.update(
        subscription.id, {"cancel_at_period_end": False}
    )
    subscriber.until(at(2026, 4, 10, 14))

    assert resumed.cancel_at is None
    assert subscriber.status(subscription.id) == "active"
    assert len(subscriber.invoices()) == 2


def test_cancel_at_ends_a_subscription_on_that_day_after_earlier_renewals(
    subscriber: Subscriber, prices: Prices
) -> None:
    subscription = subscriber.subscribe(prices.pro)

    subscriber.api.v1.subscriptions.update(subscription.id, {"cancel_at": at(2026, 5, 20)})
    subscriber.until(at(2026, 5, 19))
    assert subscriber.status(subscription.id) == "active"
    subscriber.until(at(2026, 5, 20))

    assert subscriber.status(subscription.id) == "canceled"
    assert len(subscriber.invoices()) == 3


def test_an_immediate_cancellation_takes_effect_at_once(
    subscriber: Subscriber, prices: Prices
) -> None:
    subscription = subscriber.subscribe(prices.pro)

    ended = subscriber.api.v1.subscriptions.cancel(subscription.id)

    assert (ended.status, ended.ended_at) == ("canceled", at(2026, 3, 10))
    with pytest.raises(stripe.InvalidRequestError, match="No such subscription"):
        subscriber.api.v1.subscriptions.cancel(subscription.id)


def test_a_missing_first_payment_expires_after_23_hours(
    subscriber: Subscriber, prices: Prices
) -> None:
    subscriber.pay_with("pm_card_chargeCustomerFail")

    subscription = subscriber.subscribe(prices.pro)
    assert subscription.status == "incomplete"
    subscriber.until(at(2026, 3, 11, 10))
    assert subscriber.status(subscription.id) == "incomplete"
    subscriber.until(at(2026, 3, 11, 11))

    assert subscriber.status(subscription.id) == "incomplete_expired"
    assert subscriber.invoices()[0].status == "void"


def test_paying_its_invoice_activates_an_incomplete_subscription(
    subscriber: Subscriber, prices: Prices
) -> None:
    subscriber.pay_with("pm_card_chargeCustomerFail")
    subscription = subscriber.subscribe(prices.pro)

    subscriber.pay_with("pm_card_visa")
    subscriber.api.v1.invoices.pay(str(subscription.latest_invoice))

    assert subscriber.status(subscription.id) == "active"


def test_a_trial_without_a_card_pauses_if_configured_and_resumes_with_one(
    api: stripe.StripeClient, prices: Prices, endpoint: object, receiver: RecordingEndpoint
) -> None:
    clock = api.v1.test_helpers.test_clocks.create({"frozen_time": at(2026, 3, 10)}).id
    subscriber = Subscriber(api, clock, api.v1.customers.create({"test_clock": clock}).id)
    subscription = subscriber.subscribe(
        prices.pro,
        trial_period_days=7,
        trial_settings={"end_behavior": {"missing_payment_method": "pause"}},
    )

    subscriber.until(at(2026, 3, 18))
    assert subscriber.status(subscription.id) == "paused"
    assert "customer.subscription.paused" in receiver.types
    subscriber.until(at(2026, 6, 1))
    assert len(subscriber.invoices()) == 1

    subscriber.pay_with("pm_card_visa")
    resumed = api.v1.subscriptions.resume(subscription.id)
    assert resumed.status == "active"
    assert item_of(resumed).current_period_end == at(2026, 7, 1)
    assert subscriber.invoices()[-1].amount_paid == 1500


def test_a_trial_without_a_card_is_canceled_if_configured(
    api: stripe.StripeClient, prices: Prices
) -> None:
    clock = api.v1.test_helpers.test_clocks.create({"frozen_time": at(2026, 3, 10)}).id
    subscriber = Subscriber(api, clock, api.v1.customers.create({"test_clock": clock}).id)
    subscription = subscriber.subscribe(
        prices.pro,
        trial_period_days=7,
        trial_settings={"end_behavior": {"missing_payment_method": "cancel"}},
    )

    subscriber.until(at(2026, 3, 17))

    assert subscriber.status(subscription.id) == "canceled"


@pytest.mark.parametrize(("behavior", "status"), [("pause", "paused"), ("cancel", "canceled")])
def test_a_trial_ended_early_without_a_card_stops_too(
    api: stripe.StripeClient, prices: Prices, behavior: Any, status: str
) -> None:
    clock = api.v1.test_helpers.test_clocks.create({"frozen_time": at(2026, 3, 10)}).id
    subscriber = Subscriber(api, clock, api.v1.customers.create({"test_clock": clock}).id)
    subscription = subscriber.subscribe(
        prices.pro,
        trial_period_days=7,
        trial_settings={"end_behavior": {"missing_payment_method": behavior}},
    )

    api.v1.subscriptions.update(subscription.id, {"trial_end": "now"})

    assert subscriber.status(subscription.id) == status


def test_paused_collection_voids_invoices_and_resumes_automatically(
    subscriber: Subscriber, prices: Prices
) -> None:
    subscription = subscriber.subscribe(prices.pro)

    subscriber.api.v1.subscriptions.update(
        subscription.id,
        {"pause_collection": {"behavior": "void", "resumes_at": at(2026, 5, 1)}},
    )
    subscriber.until(at(2026, 5, 10, 14))

    assert [invoice.status for invoice in subscriber.invoices()] == ["paid", "void", "paid"]
    assert subscriber.status(subscription.id) == "active"


def test_a_card_that_requires_authentication_leaves_the_renewal_open(
    subscriber: Subscriber, prices: Prices, endpoint: object, receiver: RecordingEndpoint
) -> None:
    subscription = subscriber.subscribe(prices.pro)
    subscriber.pay_with("pm_card_authenticationRequired")

    subscriber.until(at(2026, 4, 10, 14))

    assert subscriber.status(subscription.id) == "past_due"
    assert "invoice.payment_action_required" in receiver.types
    hosted = receiver.last("invoice.payment_action_required")["data"]["object"]
    assert hosted["hosted_invoice_url"].startswith("http")


def test_a_renewal_is_announced_a_week_before_by_an_invoice_without_an_id(
    subscriber: Subscriber, prices: Prices, endpoint: object, receiver: RecordingEndpoint
) -> None:
    subscriber.subscribe(prices.pro)

    subscriber.until(at(2026, 4, 3, 13))

    upcoming = receiver.last("invoice.upcoming")["data"]["object"]
    assert upcoming["amount_due"] == 1500
    assert "id" not in upcoming
    assert len(subscriber.invoices()) == 1


def test_a_renewal_stays_a_draft_for_an_hour(subscriber: Subscriber, prices: Prices) -> None:
    subscriber.subscribe(prices.pro)

    subscriber.until(at(2026, 4, 10, 12, 59))
    assert subscriber.invoices()[-1].status == "draft"
    subscriber.until(at(2026, 4, 10, 13))

    assert subscriber.invoices()[-1].status == "paid"


def test_a_sent_invoice_becomes_overdue(subscriber: Subscriber, prices: Prices) -> None:
    subscription = subscriber.subscribe(
        prices.pro, collection_method="send_invoice", days_until_due=7
    )
    assert subscription.status == "active"

    subscriber.until(at(2026, 3, 18))

    assert subscriber.status(subscription.id) == "past_due"
    subscriber.api.v1.invoices.pay(str(subscription.latest_invoice), {"paid_out_of_band": True})
    assert subscriber.status(subscription.id) == "active"


def test_a_bank_debit_is_decided_days_later(subscriber: Subscriber, prices: Prices) -> None:
    subscriber.pay_with("pm_usBankAccount")
    subscription = subscriber.subscribe(prices.pro)
    assert subscription.status == "incomplete"

    subscriber.until(at(2026, 3, 13, 12, 30))

    assert subscriber.status(subscription.id) == "active"


def test_events_happen_in_the_order_of_their_times(
    subscriber: Subscriber, prices: Prices, endpoint: object, receiver: RecordingEndpoint
) -> None:
    subscriber.subscribe(prices.pro, trial_period_days=14)

    subscriber.until(at(2027, 3, 10))

    happened = [event["created"] for event in receiver.posted if "subscription" in event["type"]]
    assert happened == sorted(happened)
    assert len(subscriber.invoices()) == 13


def test_a_clock_does_not_go_backwards(subscriber: Subscriber) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="after"):
        subscriber.until(at(2026, 3, 9))

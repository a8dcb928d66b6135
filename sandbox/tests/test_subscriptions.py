"""Subscriptions from birth to death, by advancing the clock."""

from typing import Any

import pytest
import stripe
from flask import Flask

from .conftest import DAY, Doorbell, Life, Prices, at, item_of, lever

HOUR = 3600


def test_a_trial_becomes_a_paying_subscription_that_fails_and_recovers(
    life: Life, prices: Prices, endpoint: object, doorbell: Doorbell
) -> None:
    start = at(2026, 3, 10)
    subscription = life.subscribe(prices.pro, trial_period_days=14)
    assert subscription.status == "trialing"
    assert life.invoices()[0].amount_due == 0

    life.until(start + 11 * DAY - 1)
    assert "customer.subscription.trial_will_end" not in doorbell.types
    life.until(start + 11 * DAY)
    assert doorbell.types.count("customer.subscription.trial_will_end") == 1

    life.until(start + 14 * DAY + 2 * HOUR)
    assert life.status(subscription.id) == "active"
    assert life.invoices()[-1].amount_paid == 1500

    life.until(at(2026, 4, 24, 14))
    assert [invoice.amount_paid for invoice in life.invoices()] == [0, 1500, 1500]

    life.pay_with("pm_card_chargeCustomerFail")
    life.until(at(2026, 5, 24, 14))
    assert life.status(subscription.id) == "past_due"
    failed = life.invoices()[-1]
    assert (failed.status, failed.attempt_count) == ("open", 1)
    assert failed.next_payment_attempt == at(2026, 5, 24, 13) + 3 * DAY
    assert doorbell.last("invoice.payment_failed")["data"]["object"]["id"] == failed.id

    life.until(at(2026, 5, 27, 14))
    assert life.invoices()[-1].attempt_count == 2

    life.pay_with("pm_card_visa")
    life.until(at(2026, 6, 1, 14))
    assert life.invoices()[-1].status == "paid"
    assert life.status(subscription.id) == "active"


@pytest.mark.parametrize(
    ("setting", "ending"), [("cancel", "canceled"), ("unpaid", "unpaid"), ("past_due", "past_due")]
)
def test_when_every_retry_has_failed_the_settings_decide(
    app: Flask, life: Life, prices: Prices, setting: str, ending: str
) -> None:
    lever(app, "settings", after_retries=setting, retry_days=[3, 5, 7])
    subscription = life.subscribe(prices.pro)
    life.pay_with("pm_card_chargeCustomerFail")

    life.until(at(2026, 4, 10, 14) + 14 * DAY)
    assert life.status(subscription.id) == "past_due"
    life.until(at(2026, 4, 10, 14) + 15 * DAY)

    ended = life.subscription(subscription.id)
    assert ended.status == ending
    assert life.invoices()[-1].attempt_count == 4
    assert life.invoices()[-1].next_payment_attempt is None
    if ending == "canceled":
        assert ended.cancellation_details
        assert ended.cancellation_details.reason == "payment_failed"


def test_an_unpaid_subscription_makes_drafts_that_nobody_collects(
    app: Flask, life: Life, prices: Prices
) -> None:
    lever(app, "settings", after_retries="unpaid", retry_days=[1])
    subscription = life.subscribe(prices.pro)
    life.pay_with("pm_card_chargeCustomerFail")

    life.until(at(2026, 5, 12))
    draft = life.invoices()[-1]
    assert (draft.status, draft.auto_advance) == ("draft", False)

    life.pay_with("pm_card_visa")
    life.api.v1.invoices.pay(draft.id)
    assert life.status(subscription.id) == "active"


def test_a_subscription_of_31_january_renews_on_the_last_day_of_short_months(
    life_from: Any, prices: Prices
) -> None:
    somebody = life_from(at(2027, 1, 31))
    subscription = somebody.subscribe(prices.pro)

    ends = []
    for month in range(2, 7):
        ends.append(item_of(somebody.subscription(subscription.id)).current_period_end)
        somebody.until(at(2027, month + 1, 1))

    assert ends == [
        at(2027, 2, 28), at(2027, 3, 31), at(2027, 4, 30), at(2027, 5, 31), at(2027, 6, 30),
    ]  # fmt: skip


def test_in_a_leap_year_it_renews_on_29_february(life_from: Any, prices: Prices) -> None:
    somebody = life_from(at(2028, 1, 31))

    subscription = somebody.subscribe(prices.pro)

    assert item_of(subscription).current_period_end == at(2028, 2, 29)


def test_a_year_from_29_february_ends_on_28_and_comes_back_to_29(
    life_from: Any, prices: Prices
) -> None:
    somebody = life_from(at(2028, 2, 29))
    subscription = somebody.subscribe(prices.pro_yearly)

    ends = [item_of(subscription).current_period_end]
    for year in range(2029, 2032):
        somebody.until(at(year, 3, 1, 14))
        ends.append(item_of(somebody.subscription(subscription.id)).current_period_end)

    assert ends == [at(2029, 2, 28), at(2030, 2, 28), at(2031, 2, 28), at(2032, 2, 29)]


def test_cancelled_at_period_end_it_lives_until_then(
    life: Life, prices: Prices, endpoint: object, doorbell: Doorbell
) -> None:
    subscription = life.subscribe(prices.pro)

    canceling = life.api.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    assert canceling.cancel_at == at(2026, 4, 10)
    assert canceling.cancel_at_period_end
    life.until(at(2026, 4, 10) - 1)
    assert life.status(subscription.id) == "active"
    life.until(at(2026, 4, 10))

    ended = life.subscription(subscription.id)
    assert (ended.status, ended.ended_at) == ("canceled", at(2026, 4, 10))
    assert len(life.invoices()) == 1
    assert "customer.subscription.deleted" in doorbell.types


def test_resumed_before_its_end_it_renews(life: Life, prices: Prices) -> None:
    subscription = life.subscribe(prices.pro)
    life.api.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})

    resumed = life.api.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": False})
    life.until(at(2026, 4, 10, 14))

    assert resumed.cancel_at is None
    assert life.status(subscription.id) == "active"
    assert len(life.invoices()) == 2


def test_cancel_at_ends_it_on_that_day_after_the_renewals_before(
    life: Life, prices: Prices
) -> None:
    subscription = life.subscribe(prices.pro)

    life.api.v1.subscriptions.update(subscription.id, {"cancel_at": at(2026, 5, 20)})
    life.until(at(2026, 5, 19))
    assert life.status(subscription.id) == "active"
    life.until(at(2026, 5, 20))

    assert life.status(subscription.id) == "canceled"
    assert len(life.invoices()) == 3


def test_cancelled_now_it_is_over(life: Life, prices: Prices) -> None:
    subscription = life.subscribe(prices.pro)

    ended = life.api.v1.subscriptions.cancel(subscription.id)

    assert (ended.status, ended.ended_at) == ("canceled", at(2026, 3, 10))
    with pytest.raises(stripe.InvalidRequestError, match="No such subscription"):
        life.api.v1.subscriptions.cancel(subscription.id)


def test_a_first_payment_that_never_comes_expires_after_23_hours(
    life: Life, prices: Prices
) -> None:
    life.pay_with("pm_card_chargeCustomerFail")

    subscription = life.subscribe(prices.pro)
    assert subscription.status == "incomplete"
    life.until(at(2026, 3, 11, 10))
    assert life.status(subscription.id) == "incomplete"
    life.until(at(2026, 3, 11, 11))

    assert life.status(subscription.id) == "incomplete_expired"
    assert life.invoices()[0].status == "void"


def test_an_incomplete_subscription_is_activated_by_paying_its_invoice(
    life: Life, prices: Prices
) -> None:
    life.pay_with("pm_card_chargeCustomerFail")
    subscription = life.subscribe(prices.pro)

    life.pay_with("pm_card_visa")
    life.api.v1.invoices.pay(str(subscription.latest_invoice))

    assert life.status(subscription.id) == "active"


def test_a_trial_without_a_card_pauses_when_told_to_and_resumes_with_one(
    api: stripe.StripeClient, prices: Prices, endpoint: object, doorbell: Doorbell
) -> None:
    clock = api.v1.test_helpers.test_clocks.create({"frozen_time": at(2026, 3, 10)}).id
    somebody = Life(api, clock, api.v1.customers.create({"test_clock": clock}).id)
    subscription = somebody.subscribe(
        prices.pro,
        trial_period_days=7,
        trial_settings={"end_behavior": {"missing_payment_method": "pause"}},
    )

    somebody.until(at(2026, 3, 18))
    assert somebody.status(subscription.id) == "paused"
    assert "customer.subscription.paused" in doorbell.types
    somebody.until(at(2026, 6, 1))
    assert len(somebody.invoices()) == 1

    somebody.pay_with("pm_card_visa")
    resumed = api.v1.subscriptions.resume(subscription.id)
    assert resumed.status == "active"
    assert item_of(resumed).current_period_end == at(2026, 7, 1)
    assert somebody.invoices()[-1].amount_paid == 1500


def test_a_trial_without_a_card_ends_when_told_to(api: stripe.StripeClient, prices: Prices) -> None:
    clock = api.v1.test_helpers.test_clocks.create({"frozen_time": at(2026, 3, 10)}).id
    somebody = Life(api, clock, api.v1.customers.create({"test_clock": clock}).id)
    subscription = somebody.subscribe(
        prices.pro,
        trial_period_days=7,
        trial_settings={"end_behavior": {"missing_payment_method": "cancel"}},
    )

    somebody.until(at(2026, 3, 17))

    assert somebody.status(subscription.id) == "canceled"


@pytest.mark.parametrize(("behavior", "status"), [("pause", "paused"), ("cancel", "canceled")])
def test_a_trial_that_is_ended_at_once_without_a_card_stops_too(
    api: stripe.StripeClient, prices: Prices, behavior: Any, status: str
) -> None:
    clock = api.v1.test_helpers.test_clocks.create({"frozen_time": at(2026, 3, 10)}).id
    somebody = Life(api, clock, api.v1.customers.create({"test_clock": clock}).id)
    subscription = somebody.subscribe(
        prices.pro,
        trial_period_days=7,
        trial_settings={"end_behavior": {"missing_payment_method": behavior}},
    )

    api.v1.subscriptions.update(subscription.id, {"trial_end": "now"})

    assert somebody.status(subscription.id) == status


def test_paused_collection_voids_what_comes_and_goes_on_by_itself(
    life: Life, prices: Prices
) -> None:
    subscription = life.subscribe(prices.pro)

    life.api.v1.subscriptions.update(
        subscription.id,
        {"pause_collection": {"behavior": "void", "resumes_at": at(2026, 5, 1)}},
    )
    life.until(at(2026, 5, 10, 14))

    assert [invoice.status for invoice in life.invoices()] == ["paid", "void", "paid"]
    assert life.status(subscription.id) == "active"


def test_a_card_that_asks_for_confirmation_leaves_the_renewal_waiting(
    life: Life, prices: Prices, endpoint: object, doorbell: Doorbell
) -> None:
    subscription = life.subscribe(prices.pro)
    life.pay_with("pm_card_authenticationRequired")

    life.until(at(2026, 4, 10, 14))

    assert life.status(subscription.id) == "past_due"
    assert "invoice.payment_action_required" in doorbell.types
    hosted = doorbell.last("invoice.payment_action_required")["data"]["object"]
    assert hosted["hosted_invoice_url"].startswith("http")


def test_a_renewal_is_announced_a_week_before_by_an_invoice_without_an_id(
    life: Life, prices: Prices, endpoint: object, doorbell: Doorbell
) -> None:
    life.subscribe(prices.pro)

    life.until(at(2026, 4, 3, 13))

    upcoming = doorbell.last("invoice.upcoming")["data"]["object"]
    assert upcoming["amount_due"] == 1500
    assert "id" not in upcoming
    assert len(life.invoices()) == 1


def test_a_renewal_stays_a_draft_for_an_hour(life: Life, prices: Prices) -> None:
    life.subscribe(prices.pro)

    life.until(at(2026, 4, 10, 12, 59))
    assert life.invoices()[-1].status == "draft"
    life.until(at(2026, 4, 10, 13))

    assert life.invoices()[-1].status == "paid"


def test_an_invoice_that_is_sent_falls_overdue(life: Life, prices: Prices) -> None:
    subscription = life.subscribe(prices.pro, collection_method="send_invoice", days_until_due=7)
    assert subscription.status == "active"

    life.until(at(2026, 3, 18))

    assert life.status(subscription.id) == "past_due"
    life.api.v1.invoices.pay(str(subscription.latest_invoice), {"paid_out_of_band": True})
    assert life.status(subscription.id) == "active"


def test_a_bank_debit_is_decided_days_later(life: Life, prices: Prices) -> None:
    life.pay_with("pm_usBankAccount")
    subscription = life.subscribe(prices.pro)
    assert subscription.status == "incomplete"

    life.until(at(2026, 3, 13, 12, 30))

    assert life.status(subscription.id) == "active"


def test_things_happen_in_the_order_of_their_time(
    life: Life, prices: Prices, endpoint: object, doorbell: Doorbell
) -> None:
    life.subscribe(prices.pro, trial_period_days=14)

    life.until(at(2027, 3, 10))

    happened = [event["created"] for event in doorbell.posted if "subscription" in event["type"]]
    assert happened == sorted(happened)
    assert len(life.invoices()) == 13


def test_a_clock_does_not_go_backwards(life: Life) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="after"):
        life.until(at(2026, 3, 9))

"""Subscription schedules: planned changes and ends."""

from typing import Any

import pytest
import stripe

from .conftest import Prices, Subscriber, at, item_of


@pytest.fixture
def subscription(subscriber: Subscriber, prices: Prices) -> stripe.Subscription:
    return subscriber.subscribe(prices.business)


def planned(
    subscriber: Subscriber, subscription: stripe.Subscription, prices: Prices, **more: Any
) -> stripe.SubscriptionSchedule:
    """Schedule Business until the end of the period, then Pro for a month."""
    schedule = subscriber.api.v1.subscription_schedules.create(
        {"from_subscription": subscription.id}
    )
    phase = schedule.phases[0]
    return subscriber.api.v1.subscription_schedules.update(
        schedule.id,
        {
            "phases": [
                {
                    "items": [{"price": prices.business, "quantity": 1}],
                    "start_date": phase.start_date,
                    "end_date": phase.end_date,
                },
                {
                    "items": [{"price": prices.pro, "quantity": 1}],
                    "duration": {"interval": "month", "interval_count": 1},
                    "proration_behavior": "none",
                },
            ],
            **more,
        },
    )


def test_a_scheduled_downgrade_waits_for_the_renewal(
    subscriber: Subscriber, subscription: stripe.Subscription, prices: Prices
) -> None:
    schedule = planned(subscriber, subscription, prices)
    assert subscriber.subscription(subscription.id).schedule == schedule.id
    subscriber.until(at(2026, 4, 9))
    assert item_of(subscriber.subscription(subscription.id)).price.id == prices.business

    subscriber.until(at(2026, 4, 10, 14))

    changed = subscriber.subscription(subscription.id)
    assert item_of(changed).price.id == prices.pro
    assert [invoice.amount_paid for invoice in subscriber.invoices()] == [3000, 1500]
    current = subscriber.api.v1.subscription_schedules.retrieve(schedule.id).current_phase
    assert current
    assert current.end_date == at(2026, 5, 10)


def test_a_schedule_releases_its_subscription_after_its_last_phase(
    subscriber: Subscriber, subscription: stripe.Subscription, prices: Prices
) -> None:
    schedule = planned(subscriber, subscription, prices)

    subscriber.until(at(2026, 5, 10, 14))

    released = subscriber.api.v1.subscription_schedules.retrieve(schedule.id)
    assert (released.status, released.released_subscription) == ("released", subscription.id)
    going_on = subscriber.subscription(subscription.id)
    assert (going_on.status, going_on.schedule) == ("active", None)
    assert len(subscriber.invoices()) == 3


def test_a_schedule_may_cancel_its_subscription_after_its_last_phase(
    subscriber: Subscriber, subscription: stripe.Subscription, prices: Prices
) -> None:
    planned(subscriber, subscription, prices, end_behavior="cancel")

    subscriber.until(at(2026, 5, 10, 14))

    assert subscriber.status(subscription.id) == "canceled"
    assert len(subscriber.invoices()) == 2


def test_a_released_schedule_has_no_effect(
    subscriber: Subscriber, subscription: stripe.Subscription, prices: Prices
) -> None:
    schedule = planned(subscriber, subscription, prices)

    subscriber.api.v1.subscription_schedules.release(schedule.id)
    subscriber.until(at(2026, 4, 10, 14))

    assert item_of(subscriber.subscription(subscription.id)).price.id == prices.business
    with pytest.raises(stripe.InvalidRequestError, match="released"):
        subscriber.api.v1.subscription_schedules.cancel(schedule.id)


def test_a_cancelled_schedule_ends_the_subscription(
    subscriber: Subscriber, subscription: stripe.Subscription, prices: Prices
) -> None:
    schedule = planned(subscriber, subscription, prices)

    subscriber.api.v1.subscription_schedules.cancel(schedule.id)

    assert subscriber.status(subscription.id) == "canceled"


def test_one_subscription_has_one_schedule(
    subscriber: Subscriber, subscription: stripe.Subscription, prices: Prices
) -> None:
    planned(subscriber, subscription, prices)

    with pytest.raises(stripe.InvalidRequestError, match="already attached"):
        subscriber.api.v1.subscription_schedules.create({"from_subscription": subscription.id})


@pytest.mark.parametrize("end", ["now", 5])
def test_a_phase_ends_after_it_starts(
    subscriber: Subscriber, subscription: stripe.Subscription, prices: Prices, end: Any
) -> None:
    schedule = subscriber.api.v1.subscription_schedules.create(
        {"from_subscription": subscription.id}
    )

    with pytest.raises(stripe.InvalidRequestError, match="must end after"):
        subscriber.api.v1.subscription_schedules.update(
            schedule.id, {"phases": [{"items": [{"price": prices.pro}], "end_date": end}]}
        )


@pytest.mark.parametrize("end", [{"cancel_at_period_end": True}, {"cancel_at": at(2026, 4, 20)}])
def test_the_cancellation_of_a_scheduled_subscription_is_set_by_its_schedule(
    subscriber: Subscriber, prices: Prices, end: Any
) -> None:
    subscription = subscriber.subscribe(prices.pro)
    schedule = subscriber.api.v1.subscription_schedules.create(
        {"from_subscription": subscription.id}
    )

    with pytest.raises(stripe.InvalidRequestError, match="managed by the subscription schedule"):
        subscriber.api.v1.subscriptions.update(subscription.id, end)

    subscriber.api.v1.subscription_schedules.release(schedule.id)
    assert subscriber.api.v1.subscriptions.update(subscription.id, end).cancel_at

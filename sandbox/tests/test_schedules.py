"""A change of plan that waits for its date, and an end that does."""

from typing import Any

import pytest
import stripe

from .conftest import Life, Prices, at, item_of


@pytest.fixture
def subscription(life: Life, prices: Prices) -> stripe.Subscription:
    return life.subscribe(prices.business)


def planned(
    life: Life, subscription: stripe.Subscription, prices: Prices, **more: Any
) -> stripe.SubscriptionSchedule:
    """Business until the end of the period, then Pro for a month."""
    schedule = life.api.v1.subscription_schedules.create({"from_subscription": subscription.id})
    phase = schedule.phases[0]
    return life.api.v1.subscription_schedules.update(
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
    life: Life, subscription: stripe.Subscription, prices: Prices
) -> None:
    schedule = planned(life, subscription, prices)
    assert life.subscription(subscription.id).schedule == schedule.id
    life.until(at(2026, 4, 9))
    assert item_of(life.subscription(subscription.id)).price.id == prices.business

    life.until(at(2026, 4, 10, 14))

    changed = life.subscription(subscription.id)
    assert item_of(changed).price.id == prices.pro
    assert [invoice.amount_paid for invoice in life.invoices()] == [3000, 1500]
    current = life.api.v1.subscription_schedules.retrieve(schedule.id).current_phase
    assert current
    assert current.end_date == at(2026, 5, 10)


def test_after_its_last_phase_the_subscription_is_let_go(
    life: Life, subscription: stripe.Subscription, prices: Prices
) -> None:
    schedule = planned(life, subscription, prices)

    life.until(at(2026, 5, 10, 14))

    released = life.api.v1.subscription_schedules.retrieve(schedule.id)
    assert (released.status, released.released_subscription) == ("released", subscription.id)
    going_on = life.subscription(subscription.id)
    assert (going_on.status, going_on.schedule) == ("active", None)
    assert len(life.invoices()) == 3


def test_or_it_ends_with_it(life: Life, subscription: stripe.Subscription, prices: Prices) -> None:
    planned(life, subscription, prices, end_behavior="cancel")

    life.until(at(2026, 5, 10, 14))

    assert life.status(subscription.id) == "canceled"
    assert len(life.invoices()) == 2


def test_a_released_schedule_changes_nothing_any_more(
    life: Life, subscription: stripe.Subscription, prices: Prices
) -> None:
    schedule = planned(life, subscription, prices)

    life.api.v1.subscription_schedules.release(schedule.id)
    life.until(at(2026, 4, 10, 14))

    assert item_of(life.subscription(subscription.id)).price.id == prices.business
    with pytest.raises(stripe.InvalidRequestError, match="released"):
        life.api.v1.subscription_schedules.cancel(schedule.id)


def test_a_cancelled_schedule_ends_the_subscription(
    life: Life, subscription: stripe.Subscription, prices: Prices
) -> None:
    schedule = planned(life, subscription, prices)

    life.api.v1.subscription_schedules.cancel(schedule.id)

    assert life.status(subscription.id) == "canceled"


def test_one_subscription_has_one_schedule(
    life: Life, subscription: stripe.Subscription, prices: Prices
) -> None:
    planned(life, subscription, prices)

    with pytest.raises(stripe.InvalidRequestError, match="already attached"):
        life.api.v1.subscription_schedules.create({"from_subscription": subscription.id})


@pytest.mark.parametrize("end", ["now", 5])
def test_a_phase_ends_after_it_starts(
    life: Life, subscription: stripe.Subscription, prices: Prices, end: Any
) -> None:
    schedule = life.api.v1.subscription_schedules.create({"from_subscription": subscription.id})

    with pytest.raises(stripe.InvalidRequestError, match="must end after"):
        life.api.v1.subscription_schedules.update(
            schedule.id, {"phases": [{"items": [{"price": prices.pro}], "end_date": end}]}
        )


@pytest.mark.parametrize("end", [{"cancel_at_period_end": True}, {"cancel_at": at(2026, 4, 20)}])
def test_the_end_of_a_scheduled_subscription_is_set_by_its_schedule(
    life: Life, prices: Prices, end: Any
) -> None:
    subscription = life.subscribe(prices.pro)
    schedule = life.api.v1.subscription_schedules.create({"from_subscription": subscription.id})

    with pytest.raises(stripe.InvalidRequestError, match="managed by the subscription schedule"):
        life.api.v1.subscriptions.update(subscription.id, end)

    life.api.v1.subscription_schedules.release(schedule.id)
    assert life.api.v1.subscriptions.update(subscription.id, end).cancel_at

"""Changes in the middle of a period, to the cent."""

import pytest
import stripe

from .conftest import Prices, RecordingEndpoint, Subscriber, at, item_of


def test_an_upgrade_is_billed_with_the_next_renewal(subscriber: Subscriber, prices: Prices) -> None:
    """ "on June 1 they'll be billed 250 (200 for a renewal …, plus a 50 prorating adjustment)" """
    subscription = subscriber.subscribe(prices.pro)
    subscriber.until(at(2026, 3, 26))  # 16 of 31 days have passed

    subscriber.api.v1.subscriptions.update(
        subscription.id, {"items": [{"id": item_of(subscription).id, "price": prices.business}]}
    )
    assert len(subscriber.invoices()) == 1
    subscriber.until(at(2026, 4, 10, 14))

    renewal = subscriber.invoices()[-1]
    assert [line.amount for line in renewal.lines.data] == [-726, 1452, 3000]
    assert renewal.amount_paid == 3726
    assert renewal.lines.data[0].description == "Unused time on Pro"


def test_an_upgrade_can_be_billed_immediately(
    subscriber: Subscriber, prices: Prices, endpoint: object, receiver: RecordingEndpoint
) -> None:
    subscription = subscriber.subscribe(prices.pro)
    subscriber.until(at(2026, 3, 26))

    changed = subscriber.api.v1.subscriptions.update(
        subscription.id,
        {
            "items": [{"id": item_of(subscription).id, "price": prices.business}],
            "proration_behavior": "always_invoice",
        },
    )

    invoice = subscriber.invoices()[-1]
    assert invoice.amount_paid == 726
    assert invoice.billing_reason == "subscription_update"
    assert item_of(changed).current_period_end == at(2026, 4, 10)
    previous = receiver.last("customer.subscription.updated")["data"]["previous_attributes"]
    assert "latest_invoice" in previous


def test_the_update_event_contains_the_previous_price(
    subscriber: Subscriber, prices: Prices, endpoint: object, receiver: RecordingEndpoint
) -> None:
    subscription = subscriber.subscribe(prices.pro)
    receiver.posted.clear()

    subscriber.api.v1.subscriptions.update(
        subscription.id, {"items": [{"id": item_of(subscription).id, "price": prices.business}]}
    )

    event = receiver.last("customer.subscription.updated")
    assert event["data"]["previous_attributes"]["items"]["data"][0]["price"]["id"] == prices.pro
    assert event["data"]["object"]["items"]["data"][0]["price"]["id"] == prices.business


def test_a_downgrade_credits_the_next_invoices(subscriber: Subscriber, prices: Prices) -> None:
    subscription = subscriber.subscribe(prices.business)
    subscriber.until(at(2026, 3, 26))

    subscriber.api.v1.subscriptions.update(
        subscription.id, {"items": [{"id": item_of(subscription).id, "price": prices.pro}]}
    )
    subscriber.until(at(2026, 4, 10, 14))

    renewal = subscriber.invoices()[-1]
    assert [line.amount for line in renewal.lines.data] == [-1452, 726, 1500]
    assert renewal.amount_paid == 774


def test_a_downgrade_billed_immediately_leaves_a_credit_balance(
    subscriber: Subscriber, prices: Prices
) -> None:
    subscription = subscriber.subscribe(prices.business)
    subscriber.until(at(2026, 3, 26))

    subscriber.api.v1.subscriptions.update(
        subscription.id,
        {
            "items": [{"id": item_of(subscription).id, "price": prices.pro}],
            "proration_behavior": "always_invoice",
        },
    )
    assert subscriber.api.v1.customers.retrieve(subscriber.customer).balance == -726
    subscriber.until(at(2026, 4, 10, 14))

    renewal = subscriber.invoices()[-1]
    assert (renewal.total, renewal.amount_paid) == (1500, 774)
    assert subscriber.api.v1.customers.retrieve(subscriber.customer).balance == 0


def test_without_proration_only_the_next_renewal_changes(
    subscriber: Subscriber, prices: Prices
) -> None:
    subscription = subscriber.subscribe(prices.pro)
    subscriber.until(at(2026, 3, 26))

    subscriber.api.v1.subscriptions.update(
        subscription.id,
        {
            "items": [{"id": item_of(subscription).id, "price": prices.business}],
            "proration_behavior": "none",
        },
    )
    subscriber.until(at(2026, 4, 10, 14))

    assert [invoice.amount_paid for invoice in subscriber.invoices()] == [1500, 3000]


def test_monthly_to_yearly_starts_a_new_year_and_credits_the_rest_of_the_month(
    subscriber: Subscriber, prices: Prices
) -> None:
    subscription = subscriber.subscribe(prices.pro)
    subscriber.until(at(2026, 3, 26))

    changed = subscriber.api.v1.subscriptions.update(
        subscription.id, {"items": [{"id": item_of(subscription).id, "price": prices.pro_yearly}]}
    )

    assert item_of(changed).current_period_end == at(2027, 3, 26)
    assert changed.billing_cycle_anchor == at(2026, 3, 26)
    assert subscriber.invoices()[-1].amount_paid == 14400 - 726


def test_a_change_from_free_to_paid_moves_the_billing_date(
    subscriber: Subscriber, api: stripe.StripeClient, prices: Prices
) -> None:
    free = api.v1.prices.create(
        {
            "product": prices.product,
            "currency": "usd",
            "unit_amount": 0,
            "recurring": {"interval": "month"},
        }
    ).id
    subscription = subscriber.subscribe(free)
    assert subscription.status == "active"
    subscriber.until(at(2026, 3, 20))

    changed = api.v1.subscriptions.update(
        subscription.id, {"items": [{"id": item_of(subscription).id, "price": prices.pro}]}
    )

    assert item_of(changed).current_period_end == at(2026, 4, 20)
    assert subscriber.invoices()[-1].amount_paid == 1500


def test_more_seats_are_prorated_too(subscriber: Subscriber, prices: Prices) -> None:
    subscription = subscriber.subscribe(prices.pro)
    subscriber.until(at(2026, 3, 26))

    subscriber.api.v1.subscriptions.update(
        subscription.id,
        {
            "items": [{"id": item_of(subscription).id, "quantity": 3}],
            "proration_behavior": "always_invoice",
        },
    )

    assert subscriber.invoices()[-1].amount_paid == 2177 - 726


def test_error_if_incomplete_refuses_a_failed_upgrade(
    subscriber: Subscriber, prices: Prices
) -> None:
    subscription = subscriber.subscribe(prices.pro)
    subscriber.pay_with("pm_card_chargeCustomerFail")
    subscriber.until(at(2026, 3, 26))

    with pytest.raises(stripe.CardError) as refused:
        subscriber.api.v1.subscriptions.update(
            subscription.id,
            {
                "items": [{"id": item_of(subscription).id, "price": prices.business}],
                "proration_behavior": "always_invoice",
                "payment_behavior": "error_if_incomplete",
            },
        )

    assert refused.value.code == "card_declined"
    assert item_of(subscriber.subscription(subscription.id)).price.id == prices.pro
    assert len(subscriber.invoices()) == 1


def test_a_preview_shows_the_proration_and_changes_nothing(
    subscriber: Subscriber, prices: Prices, endpoint: object, receiver: RecordingEndpoint
) -> None:
    subscription = subscriber.subscribe(prices.pro)
    subscriber.until(at(2026, 3, 26))
    receiver.posted.clear()

    preview = subscriber.api.v1.invoices.create_preview(
        {
            "subscription": subscription.id,
            "subscription_details": {
                "items": [{"id": item_of(subscription).id, "price": prices.business}],
                "proration_behavior": "always_invoice",
            },
        }
    )

    assert preview.amount_due == 726
    assert preview.id
    assert preview.id.startswith("upcoming_in_")
    assert item_of(subscriber.subscription(subscription.id)).price.id == prices.pro
    assert len(subscriber.invoices()) == 1
    assert receiver.posted == []


def test_a_preview_without_changes_is_the_next_renewal(
    subscriber: Subscriber, prices: Prices
) -> None:
    subscription = subscriber.subscribe(prices.pro)

    preview = subscriber.api.v1.invoices.create_preview({"subscription": subscription.id})

    assert preview.amount_due == 1500
    assert preview.lines.data[0].period.start == at(2026, 4, 10)


def test_a_first_partial_period_until_the_anchor_is_prorated(
    subscriber: Subscriber, prices: Prices
) -> None:
    """Ten of the twenty-eight days from 20 February to 20 March."""
    subscription = subscriber.subscribe(prices.pro, billing_cycle_anchor=at(2026, 3, 20))

    assert subscriber.invoices()[0].amount_paid == round(1500 * 10 / 28)
    assert item_of(subscription).current_period_end == at(2026, 3, 20)


def test_a_change_of_plan_during_a_trial_costs_nothing(
    subscriber: Subscriber, prices: Prices
) -> None:
    subscription = subscriber.subscribe(prices.pro, trial_period_days=14)

    subscriber.api.v1.subscriptions.update(
        subscription.id, {"items": [{"id": item_of(subscription).id, "price": prices.business}]}
    )
    subscriber.until(at(2026, 3, 24, 14))

    assert [invoice.amount_paid for invoice in subscriber.invoices()] == [0, 3000]


def test_ending_a_trial_bills_immediately(subscriber: Subscriber, prices: Prices) -> None:
    subscription = subscriber.subscribe(prices.pro, trial_period_days=14)
    subscriber.until(at(2026, 3, 12))

    active = subscriber.api.v1.subscriptions.update(subscription.id, {"trial_end": "now"})

    assert active.status == "active"
    assert item_of(active).current_period_end == at(2026, 4, 12)
    assert subscriber.invoices()[-1].amount_paid == 1500


def test_cancelling_with_proration_credits_the_rest(subscriber: Subscriber, prices: Prices) -> None:
    subscription = subscriber.subscribe(prices.pro)
    subscriber.until(at(2026, 3, 26))

    subscriber.api.v1.subscriptions.cancel(subscription.id, {"prorate": True, "invoice_now": True})

    assert subscriber.invoices()[-1].total == -726
    assert subscriber.api.v1.customers.retrieve(subscriber.customer).balance == -726


@pytest.fixture
def waiting(subscriber: Subscriber, prices: Prices) -> stripe.Subscription:
    """Start an upgrade that waits for its payment, because the card fails."""
    subscription = subscriber.subscribe(prices.pro)
    subscriber.pay_with("pm_card_chargeCustomerFail")
    subscriber.until(at(2026, 3, 26))
    return subscriber.api.v1.subscriptions.update(
        subscription.id,
        {
            "items": [{"id": item_of(subscription).id, "price": prices.business}],
            "proration_behavior": "always_invoice",
            "payment_behavior": "pending_if_incomplete",
        },
    )


def test_an_upgrade_waits_for_its_payment(
    subscriber: Subscriber, prices: Prices, waiting: stripe.Subscription
) -> None:
    assert (waiting.status, item_of(waiting).price.id) == ("active", prices.pro)
    update = waiting.pending_update
    assert update
    assert update.subscription_items
    assert update.subscription_items[0].price.id == prices.business
    assert subscriber.invoices()[-1].status == "open"

    subscriber.pay_with("pm_card_visa")
    subscriber.api.v1.invoices.pay(str(waiting.latest_invoice))

    applied = subscriber.subscription(waiting.id)
    assert item_of(applied).price.id == prices.business
    assert applied.pending_update is None
    assert subscriber.invoices()[-1].amount_paid == 726


def test_an_unpaid_pending_upgrade_expires(
    subscriber: Subscriber, prices: Prices, waiting: stripe.Subscription
) -> None:
    subscriber.until(at(2026, 3, 27, 11))

    forgotten = subscriber.subscription(waiting.id)
    assert forgotten.pending_update is None
    assert (forgotten.status, item_of(forgotten).price.id) == ("active", prices.pro)
    assert subscriber.invoices()[-1].status == "void"


def test_a_paid_upgrade_is_not_pending(subscriber: Subscriber, prices: Prices) -> None:
    subscription = subscriber.subscribe(prices.pro)
    subscriber.until(at(2026, 3, 26))

    changed = subscriber.api.v1.subscriptions.update(
        subscription.id,
        {
            "items": [{"id": item_of(subscription).id, "price": prices.business}],
            "proration_behavior": "always_invoice",
            "payment_behavior": "pending_if_incomplete",
        },
    )

    assert item_of(changed).price.id == prices.business
    assert changed.pending_update is None
    assert len(subscriber.invoices()) == 2

"""Changes in the middle of a period, to the cent."""

import pytest
import stripe

from .conftest import Doorbell, Life, Prices, at, item_of


def test_an_upgrade_is_billed_with_the_next_renewal(life: Life, prices: Prices) -> None:
    """ "on June 1 they'll be billed 250 (200 for a renewal …, plus a 50 prorating adjustment)" """
    subscription = life.subscribe(prices.pro)
    life.until(at(2026, 3, 26))  # 16 of 31 days are gone

    life.api.v1.subscriptions.update(
        subscription.id, {"items": [{"id": item_of(subscription).id, "price": prices.business}]}
    )
    assert len(life.invoices()) == 1
    life.until(at(2026, 4, 10, 14))

    renewal = life.invoices()[-1]
    assert [line.amount for line in renewal.lines.data] == [-726, 1452, 3000]
    assert renewal.amount_paid == 3726
    assert renewal.lines.data[0].description == "Unused time on Pro"


def test_an_upgrade_is_billed_at_once_when_asked(
    life: Life, prices: Prices, endpoint: object, doorbell: Doorbell
) -> None:
    subscription = life.subscribe(prices.pro)
    life.until(at(2026, 3, 26))

    changed = life.api.v1.subscriptions.update(
        subscription.id,
        {
            "items": [{"id": item_of(subscription).id, "price": prices.business}],
            "proration_behavior": "always_invoice",
        },
    )

    invoice = life.invoices()[-1]
    assert invoice.amount_paid == 726
    assert invoice.billing_reason == "subscription_update"
    assert item_of(changed).current_period_end == at(2026, 4, 10)
    previous = doorbell.last("customer.subscription.updated")["data"]["previous_attributes"]
    assert "latest_invoice" in previous


def test_the_update_event_says_which_price_it_was(
    life: Life, prices: Prices, endpoint: object, doorbell: Doorbell
) -> None:
    subscription = life.subscribe(prices.pro)
    doorbell.posted.clear()

    life.api.v1.subscriptions.update(
        subscription.id, {"items": [{"id": item_of(subscription).id, "price": prices.business}]}
    )

    event = doorbell.last("customer.subscription.updated")
    assert event["data"]["previous_attributes"]["items"]["data"][0]["price"]["id"] == prices.pro
    assert event["data"]["object"]["items"]["data"][0]["price"]["id"] == prices.business


def test_a_downgrade_credits_the_next_invoices(life: Life, prices: Prices) -> None:
    subscription = life.subscribe(prices.business)
    life.until(at(2026, 3, 26))

    life.api.v1.subscriptions.update(
        subscription.id, {"items": [{"id": item_of(subscription).id, "price": prices.pro}]}
    )
    life.until(at(2026, 4, 10, 14))

    renewal = life.invoices()[-1]
    assert [line.amount for line in renewal.lines.data] == [-1452, 726, 1500]
    assert renewal.amount_paid == 774


def test_a_downgrade_billed_at_once_leaves_a_credit_balance(life: Life, prices: Prices) -> None:
    subscription = life.subscribe(prices.business)
    life.until(at(2026, 3, 26))

    life.api.v1.subscriptions.update(
        subscription.id,
        {
            "items": [{"id": item_of(subscription).id, "price": prices.pro}],
            "proration_behavior": "always_invoice",
        },
    )
    assert life.api.v1.customers.retrieve(life.customer).balance == -726
    life.until(at(2026, 4, 10, 14))

    renewal = life.invoices()[-1]
    assert (renewal.total, renewal.amount_paid) == (1500, 774)
    assert life.api.v1.customers.retrieve(life.customer).balance == 0


def test_without_proration_only_the_next_renewal_changes(life: Life, prices: Prices) -> None:
    subscription = life.subscribe(prices.pro)
    life.until(at(2026, 3, 26))

    life.api.v1.subscriptions.update(
        subscription.id,
        {
            "items": [{"id": item_of(subscription).id, "price": prices.business}],
            "proration_behavior": "none",
        },
    )
    life.until(at(2026, 4, 10, 14))

    assert [invoice.amount_paid for invoice in life.invoices()] == [1500, 3000]


def test_monthly_to_yearly_starts_a_new_year_and_credits_the_rest_of_the_month(
    life: Life, prices: Prices
) -> None:
    subscription = life.subscribe(prices.pro)
    life.until(at(2026, 3, 26))

    changed = life.api.v1.subscriptions.update(
        subscription.id, {"items": [{"id": item_of(subscription).id, "price": prices.pro_yearly}]}
    )

    assert item_of(changed).current_period_end == at(2027, 3, 26)
    assert changed.billing_cycle_anchor == at(2026, 3, 26)
    assert life.invoices()[-1].amount_paid == 14400 - 726


def test_from_free_to_paid_the_billing_date_moves(
    life: Life, api: stripe.StripeClient, prices: Prices
) -> None:
    free = api.v1.prices.create(
        {
            "product": prices.product,
            "currency": "usd",
            "unit_amount": 0,
            "recurring": {"interval": "month"},
        }
    ).id
    subscription = life.subscribe(free)
    assert subscription.status == "active"
    life.until(at(2026, 3, 20))

    changed = api.v1.subscriptions.update(
        subscription.id, {"items": [{"id": item_of(subscription).id, "price": prices.pro}]}
    )

    assert item_of(changed).current_period_end == at(2026, 4, 20)
    assert life.invoices()[-1].amount_paid == 1500


def test_more_seats_are_prorated_too(life: Life, prices: Prices) -> None:
    subscription = life.subscribe(prices.pro)
    life.until(at(2026, 3, 26))

    life.api.v1.subscriptions.update(
        subscription.id,
        {
            "items": [{"id": item_of(subscription).id, "quantity": 3}],
            "proration_behavior": "always_invoice",
        },
    )

    assert life.invoices()[-1].amount_paid == 2177 - 726


def test_a_failed_upgrade_is_refused_whole_when_asked(life: Life, prices: Prices) -> None:
    subscription = life.subscribe(prices.pro)
    life.pay_with("pm_card_chargeCustomerFail")
    life.until(at(2026, 3, 26))

    with pytest.raises(stripe.CardError) as refused:
        life.api.v1.subscriptions.update(
            subscription.id,
            {
                "items": [{"id": item_of(subscription).id, "price": prices.business}],
                "proration_behavior": "always_invoice",
                "payment_behavior": "error_if_incomplete",
            },
        )

    assert refused.value.code == "card_declined"
    assert item_of(life.subscription(subscription.id)).price.id == prices.pro
    assert len(life.invoices()) == 1


def test_a_preview_shows_the_proration_and_changes_nothing(
    life: Life, prices: Prices, endpoint: object, doorbell: Doorbell
) -> None:
    subscription = life.subscribe(prices.pro)
    life.until(at(2026, 3, 26))
    doorbell.posted.clear()

    preview = life.api.v1.invoices.create_preview(
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
    assert item_of(life.subscription(subscription.id)).price.id == prices.pro
    assert len(life.invoices()) == 1
    assert doorbell.posted == []


def test_a_preview_of_nothing_is_the_next_renewal(life: Life, prices: Prices) -> None:
    subscription = life.subscribe(prices.pro)

    preview = life.api.v1.invoices.create_preview({"subscription": subscription.id})

    assert preview.amount_due == 1500
    assert preview.lines.data[0].period.start == at(2026, 4, 10)


def test_a_first_stub_until_the_anchor_is_prorated(life: Life, prices: Prices) -> None:
    """Ten of the twenty-eight days from 20 February to 20 March."""
    subscription = life.subscribe(prices.pro, billing_cycle_anchor=at(2026, 3, 20))

    assert life.invoices()[0].amount_paid == round(1500 * 10 / 28)
    assert item_of(subscription).current_period_end == at(2026, 3, 20)


def test_a_trial_changes_plan_for_nothing(life: Life, prices: Prices) -> None:
    subscription = life.subscribe(prices.pro, trial_period_days=14)

    life.api.v1.subscriptions.update(
        subscription.id, {"items": [{"id": item_of(subscription).id, "price": prices.business}]}
    )
    life.until(at(2026, 3, 24, 14))

    assert [invoice.amount_paid for invoice in life.invoices()] == [0, 3000]


def test_ending_a_trial_now_bills_now(life: Life, prices: Prices) -> None:
    subscription = life.subscribe(prices.pro, trial_period_days=14)
    life.until(at(2026, 3, 12))

    active = life.api.v1.subscriptions.update(subscription.id, {"trial_end": "now"})

    assert active.status == "active"
    assert item_of(active).current_period_end == at(2026, 4, 12)
    assert life.invoices()[-1].amount_paid == 1500


def test_cancelling_with_proration_credits_the_rest(life: Life, prices: Prices) -> None:
    subscription = life.subscribe(prices.pro)
    life.until(at(2026, 3, 26))

    life.api.v1.subscriptions.cancel(subscription.id, {"prorate": True, "invoice_now": True})

    assert life.invoices()[-1].total == -726
    assert life.api.v1.customers.retrieve(life.customer).balance == -726


@pytest.fixture
def waiting(life: Life, prices: Prices) -> stripe.Subscription:
    """An upgrade that waits for its payment, because the card fails."""
    subscription = life.subscribe(prices.pro)
    life.pay_with("pm_card_chargeCustomerFail")
    life.until(at(2026, 3, 26))
    return life.api.v1.subscriptions.update(
        subscription.id,
        {
            "items": [{"id": item_of(subscription).id, "price": prices.business}],
            "proration_behavior": "always_invoice",
            "payment_behavior": "pending_if_incomplete",
        },
    )


def test_an_upgrade_waits_for_its_payment(
    life: Life, prices: Prices, waiting: stripe.Subscription
) -> None:
    assert (waiting.status, item_of(waiting).price.id) == ("active", prices.pro)
    update = waiting.pending_update
    assert update
    assert update.subscription_items
    assert update.subscription_items[0].price.id == prices.business
    assert life.invoices()[-1].status == "open"

    life.pay_with("pm_card_visa")
    life.api.v1.invoices.pay(str(waiting.latest_invoice))

    applied = life.subscription(waiting.id)
    assert item_of(applied).price.id == prices.business
    assert applied.pending_update is None
    assert life.invoices()[-1].amount_paid == 726


def test_an_upgrade_that_nobody_pays_is_forgotten(
    life: Life, prices: Prices, waiting: stripe.Subscription
) -> None:
    life.until(at(2026, 3, 27, 11))

    forgotten = life.subscription(waiting.id)
    assert forgotten.pending_update is None
    assert (forgotten.status, item_of(forgotten).price.id) == ("active", prices.pro)
    assert life.invoices()[-1].status == "void"


def test_an_upgrade_that_is_paid_waits_for_nothing(life: Life, prices: Prices) -> None:
    subscription = life.subscribe(prices.pro)
    life.until(at(2026, 3, 26))

    changed = life.api.v1.subscriptions.update(
        subscription.id,
        {
            "items": [{"id": item_of(subscription).id, "price": prices.business}],
            "proration_behavior": "always_invoice",
            "payment_behavior": "pending_if_incomplete",
        },
    )

    assert item_of(changed).price.id == prices.business
    assert changed.pending_update is None
    assert len(life.invoices()) == 2

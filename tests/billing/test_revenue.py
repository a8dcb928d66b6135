"""Monthly recurring revenue: a movement for each change, which outlives the account."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, select

from saas.billing import revenue, subscriptions
from saas.billing.models import RevenueMovement, SubscriptionChange
from saas.database import db
from saas.users import account_deletion
from tests.harness import stripe_account
from tests.harness.shop import Shop
from tests.harness.waiting import eventually

ANN = "ann@example.com"


def movements(shop: Shop) -> list[tuple[str, int, str]]:
    with shop.app.app_context():
        rows = db.session.scalars(select(RevenueMovement).order_by(RevenueMovement.at)).all()
        return [(row.kind, row.amount, row.currency) for row in rows]


def sync(shop: Shop) -> None:
    with shop.app.app_context():
        subscriptions.sync(shop.user(ANN).id, cause="test")


def change(shop: Shop, subscription: str, plan: str, interval: str) -> None:
    at_stripe = stripe_account.client(shop).v1
    item = at_stripe.subscriptions.retrieve(subscription)["items"].data[0].id
    price = shop.price[plan, interval]
    at_stripe.subscriptions.update(subscription, {"items": [{"id": item, "price": price}]})
    sync(shop)


def test_each_change_of_a_subscription_is_a_movement(quiet_shop: Shop) -> None:
    shop = quiet_shop
    at_stripe = stripe_account.client(shop).v1
    _, first = stripe_account.subscriber(shop, ANN, "solo", "monthly")
    change(shop, first, "team", "yearly")
    change(shop, first, "solo", "yearly")
    at_stripe.subscriptions.cancel(first)
    sync(shop)
    stripe_account.subscriber(shop, ANN, "solo", "monthly")
    with shop.app.app_context():
        account_deletion.delete_account(shop.user(ANN))

    assert movements(shop) == [
        ("new", 1500, "eur"),
        ("expansion", 1000, "eur"),
        ("contraction", -1300, "eur"),
        ("churn", -1200, "eur"),
        ("reactivation", 1500, "eur"),
        ("churn", -1500, "eur"),
    ]
    with shop.app.app_context():
        assert set(db.session.scalars(select(RevenueMovement.user_id))) == {None}


@pytest.mark.parametrize(
    ("card", "ends"), [("pm_card_visa", "trial_converted"), (None, "trial_ended")]
)
def test_a_trial_has_no_amount_until_it_continues(
    quiet_shop: Shop, card: str | None, ends: str
) -> None:
    shop = quiet_shop
    at_stripe = stripe_account.client(shop).v1
    _, subscription = stripe_account.subscriber(shop, ANN, "solo", "monthly", trial_days=3)
    if card is None:
        at_stripe.subscriptions.cancel(subscription)
    else:
        at_stripe.subscriptions.update(subscription, {"trial_end": "now"})
    sync(shop)

    paid = [("new", 1500, "eur")] if card else []
    assert movements(shop) == [("trial_started", 0, ""), (ends, 0, ""), *paid]


def test_a_failed_payment_counts_until_it_is_given_up(quiet_shop: Shop) -> None:
    columns = {"stripe_subscription_status": "past_due", "stripe_recurring": recurring(1500)}

    assert revenue.monthly(columns) == (1500, "eur")
    assert revenue.monthly({**columns, "stripe_subscription_status": "unpaid"}) == (0, "")
    assert revenue.monthly({**columns, "stripe_recurring": None}) == (0, "")
    paused = {**recurring(1500), "is_collected": False}
    assert revenue.monthly({**columns, "stripe_recurring": paused}) == (0, "")


@pytest.mark.parametrize(
    ("amount", "interval", "count", "per_month"),
    [
        (700, "week", 1, 3033),
        (100, "day", 1, 3042),
        (4500, "month", 3, 1500),
        (1000, "year", 1, 83),
    ],
)
def test_every_interval_is_counted_per_month(
    amount: int, interval: str, count: int, per_month: int
) -> None:
    stored = {**recurring(amount), "interval": interval, "interval_count": count}

    counted = revenue.monthly({"stripe_subscription_status": "active", "stripe_recurring": stored})

    assert counted.amount == per_month


def test_the_movements_can_be_rebuilt_from_the_history(quiet_shop: Shop) -> None:
    shop = quiet_shop
    _, subscription = stripe_account.subscriber(shop, ANN, "solo", "monthly")
    change(shop, subscription, "team", "monthly")
    recorded = movements(shop)
    with shop.app.app_context():
        db.session.execute(delete(RevenueMovement))
        db.session.commit()

    result = shop.app.test_cli_runner().invoke(args=["billing", "rebuild-revenue"])

    assert result.output == "Recorded the movements of 1 user again.\n"
    assert movements(shop) == recorded == [("new", 1500, "eur"), ("expansion", 1500, "eur")]


def recurring(amount: int) -> dict[str, object]:
    return {
        "amount": amount, "full_amount": amount, "currency": "eur", "interval": "month",
        "interval_count": 1, "quantity": 1, "discounts": [], "plus_tax": False,
    }  # fmt: skip


def test_movements_older_than_the_history_stay(quiet_shop: Shop) -> None:
    """The history of three years ago is deleted, and a rebuild must not forget its revenue."""
    shop = quiet_shop
    _, subscription = stripe_account.subscriber(shop, ANN, "solo", "monthly")
    change(shop, subscription, "team", "monthly")
    with shop.app.app_context():
        first = select(SubscriptionChange.id).order_by(SubscriptionChange.counter).limit(1)
        db.session.execute(delete(SubscriptionChange).where(
            SubscriptionChange.id == first.scalar_subquery()))  # fmt: skip
        db.session.commit()
        revenue.rebuild()
    assert movements(shop) == [("new", 1500, "eur"), ("expansion", 1500, "eur")]
    with shop.app.app_context():
        for table in (SubscriptionChange, RevenueMovement):
            db.session.execute(delete(table))
        db.session.commit()

        revenue.rebuild()

    assert movements(shop) == [("new", 3000, "eur")]


def test_a_trial_whose_first_payment_fails_has_not_converted(quiet_shop: Shop) -> None:
    shop = quiet_shop
    ann, subscription = stripe_account.subscriber(shop, ANN, "solo", "monthly", trial_days=3)
    at_stripe = stripe_account.client(shop).v1
    customer = {"customer": str(ann.stripe_customer_id)}
    card = at_stripe.payment_methods.attach("pm_card_chargeCustomerFail", customer).id  # type: ignore[arg-type]  # a customer
    at_stripe.subscriptions.update(subscription, {"default_payment_method": card})
    stripe_account.advance(shop, ann.stripe_customer_id, "week")
    eventually(lambda: at_stripe.subscriptions.retrieve(subscription).status == "past_due")
    sync(shop)
    assert {kind for kind, *_ in movements(shop)} == {"trial_started", "new"}

    at_stripe.subscriptions.cancel(subscription)
    sync(shop)

    assert {kind for kind, *_ in movements(shop)[2:]} == {"trial_ended", "churn"}

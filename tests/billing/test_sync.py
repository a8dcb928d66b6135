"""Our columns match Stripe's state after any sequence of events."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from saas import database, plans
from saas.auth.models import User
from saas.billing import customers, gateway, subscriptions
from saas.billing.gateway import Overdue, Subscription
from saas.billing.models import StripeEvent, SubscriptionChange
from saas.billing.subscriptions import precedence
from saas.database import db
from saas.users import account_deletion
from tests.billing.cases import case
from tests.harness import stripe_account
from tests.harness.apps import both_databases
from tests.harness.live_shop import LiveShop, deliver_event
from tests.harness.sample_product.catalogue import HOBBY, SOLO, catalogue
from tests.harness.shop import Shop
from tests.harness.stripe_proxy import ProxiedShop, changing

NOW = datetime(2026, 11, 22, tzinfo=UTC)
PRICES: plans.Prices = {
    ("solo", "monthly"): ("price_pm", "price_pm_old"),
    ("solo", "yearly"): ("price_py",),
    ("team", "monthly"): ("price_bm",),
}


def columns(user: User) -> dict[str, Any]:
    return user.synced_columns


@both_databases
def test_the_columns_store_stripe_s_state(quiet_shop: Shop) -> None:
    ann, subscription = stripe_account.subscriber(quiet_shop, "ann@example.com", "solo", "yearly")

    truth = stripe_account.client(quiet_shop).v1.subscriptions.retrieve(subscription)
    with quiet_shop.app.app_context():
        assert ann.plan is SOLO
        assert ann.interval == "yearly"
    assert ann.stripe_subscription_id == subscription
    assert ann.stripe_subscription_status == "active"
    assert ann.stripe_price_id == quiet_shop.price["solo", "yearly"]
    assert ann.stripe_current_period_end == datetime.fromtimestamp(
        truth["items"].data[0].current_period_end, UTC
    )


@both_databases
@case(11, "metadata absent")
def test_the_content_of_an_event_is_not_trusted(quiet_shop: Shop) -> None:
    ann, subscription = stripe_account.subscriber(quiet_shop, "ann@example.com")
    lie = {
        "id": subscription,
        "object": "subscription",
        "customer": ann.stripe_customer_id,
        "status": "canceled",
        "items": {"data": []},
    }

    response = stripe_account.send_event(quiet_shop, "customer.subscription.deleted", lie)

    assert response.json() == {"outcome": "applied"}
    assert quiet_shop.user("ann@example.com").stripe_subscription_status == "active"


@both_databases
def test_an_event_sent_ten_times_at_once_has_one_effect(quiet_shop: Shop) -> None:
    ann, subscription = stripe_account.subscriber(quiet_shop, "ann@example.com", synced=False)
    subject = {"id": subscription, "object": "subscription", "customer": ann.stripe_customer_id}

    with ThreadPoolExecutor(10) as pool:
        responses = list(
            pool.map(
                lambda _: (
                    stripe_account.send_event(
                        quiet_shop, "customer.subscription.created", subject
                    ).status_code
                ),
                range(10),
            )
        )

    assert responses == [200] * 10
    with quiet_shop.app.app_context():
        (event,) = db.session.scalars(select(StripeEvent))
        assert event.processed_at is not None
        assert len(db.session.scalars(select(SubscriptionChange)).all()) == 1


@both_databases
def test_different_concurrent_events_end_with_stripe_s_state(quiet_shop: Shop) -> None:
    ann, subscription = stripe_account.subscriber(quiet_shop, "ann@example.com")
    subject = {"id": subscription, "object": "subscription", "customer": ann.stripe_customer_id}
    at_stripe = stripe_account.client(quiet_shop).v1
    item = at_stripe.subscriptions.retrieve(subscription)["items"].data[0].id

    def change_and_send_event(number: int) -> int:
        price = quiet_shop.price["team" if number % 2 else "solo", "monthly"]
        at_stripe.subscriptions.update(subscription, {"items": [{"id": item, "price": price}]})
        return stripe_account.send_event(
            quiet_shop, "customer.subscription.updated", subject, id=f"evt_{number}"
        ).status_code

    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(change_and_send_event, range(16)))

    assert responses == [200] * 16
    truth = at_stripe.subscriptions.retrieve(subscription)["items"].data[0].price.id
    assert quiet_shop.user("ann@example.com").stripe_price_id == truth


@both_databases
def test_a_stale_response_never_overwrites_a_newer_one(proxied_shop: ProxiedShop) -> None:
    """Another process syncs between our request to Stripe and our write, so we fetch again."""
    stripe_account.remove_endpoints(proxied_shop)
    ann, subscription = stripe_account.subscriber(proxied_shop, "ann@example.com")
    subject = {"id": subscription, "object": "subscription", "customer": ann.stripe_customer_id}
    is_first = iter([True])

    def overtaken(body: Any, _: Any) -> Any:
        if next(is_first, False):
            stripe_account.client(proxied_shop).v1.subscriptions.cancel(subscription)
            stripe_account.send_event(proxied_shop, "customer.subscription.deleted", subject)
        return body

    proxy, app = proxied_shop.proxy, proxied_shop.app
    with proxy.answering(changing(proxy, overtaken, "GET /v1/subs")), app.app_context():
        subscriptions.sync(ann.id, cause="the slower one")

    status = proxied_shop.user("ann@example.com").stripe_subscription_status
    assert status == "canceled"


def test_the_second_process_with_an_event_writes_nothing(quiet_shop: Shop) -> None:
    """Two processes handle one event. The other claimed it between our fetch and our write."""
    ann, subscription = stripe_account.subscriber(quiet_shop, "ann@example.com")
    subject = {"id": subscription, "object": "subscription", "customer": ann.stripe_customer_id}
    stripe_account.send_event(quiet_shop, "customer.subscription.updated", subject, id="evt_1")
    stripe_account.client(quiet_shop).v1.subscriptions.cancel(subscription)
    before = quiet_shop.user("ann@example.com")

    with quiet_shop.app.app_context():
        subscriptions.update_columns(ann.id, cause="evt_1", event_id="evt_1")

    after = quiet_shop.user("ann@example.com")
    assert after.stripe_sync_counter == before.stripe_sync_counter
    assert after.stripe_subscription_status == "active"


def test_the_sync_counter_increases_even_without_changes(quiet_shop: Shop) -> None:
    ann, _ = stripe_account.subscriber(quiet_shop, "ann@example.com")

    with quiet_shop.app.app_context():
        again = subscriptions.sync(ann.id, cause="again")

        assert again is not None
        assert again.stripe_sync_counter == ann.stripe_sync_counter + 1
        assert len(db.session.scalars(select(SubscriptionChange)).all()) == 1


@case(12, "deleted: true", "the next checkout makes a new one")
def test_deleting_a_customer_at_stripe_ends_access_and_a_purchase_creates_a_new_one(
    quiet_shop: Shop,
) -> None:
    ann, _ = stripe_account.subscriber(quiet_shop, "ann@example.com")
    old = ann.stripe_customer_id
    assert old
    stripe_account.client(quiet_shop).v1.customers.delete(old)

    stripe_account.send_event(quiet_shop, "customer.deleted", {"id": old, "object": "customer"})

    gone = quiet_shop.user("ann@example.com")
    assert gone.stripe_customer_id is None
    assert gone.stripe_subscription_status is None
    with quiet_shop.app.app_context():
        assert customers.ensure_customer(gone) != old


def test_an_event_about_an_unknown_customer_is_200_and_changes_nothing(quiet_shop: Shop) -> None:
    stripe_account.subscriber(quiet_shop, "ann@example.com")
    before = columns(quiet_shop.user("ann@example.com"))

    response = stripe_account.send_event(
        quiet_shop,
        "customer.subscription.updated",
        {"id": "sub_x", "object": "subscription", "customer": "cus_of_another_product"},
    )

    assert response.json() == {"outcome": "not ours"}
    assert columns(quiet_shop.user("ann@example.com")) == before


@case(6, "Stripe down")
def test_an_event_during_a_stripe_outage_is_recorded_and_requested_again(
    make_app: Callable[..., Flask], quiet_shop: Shop
) -> None:
    from tests.harness.servers import free_port, serving

    ann, subscription = stripe_account.subscriber(quiet_shop, "ann@example.com", synced=False)
    subject = {"id": subscription, "object": "subscription", "customer": ann.stripe_customer_id}
    env = {
        "SANDBOX_STRIPE_API_KEY": quiet_shop.key,
        "SANDBOX_STRIPE_WEBHOOK_SECRET": quiet_shop.app.config["STRIPE_WEBHOOK_SECRET"],
        "SANDBOX_URL": f"http://localhost:{free_port()}",
    }
    with serving(make_app(**env)) as url:
        response = stripe_account.send_event(
            quiet_shop, "customer.subscription.created", subject, url=url
        )

    assert response.status_code == 503
    assert response.json()["error"]["code"] == "try_again"
    with quiet_shop.app.app_context():
        event = db.session.scalars(select(StripeEvent)).one()
        assert (event.processed_at, event.attempts) == (None, 1)
        assert event.last_error
        assert event.last_error.startswith("Unavailable")

    # Stripe has recovered and delivers the same event again.
    stripe_account.send_event(quiet_shop, "customer.subscription.created", subject)
    assert quiet_shop.user("ann@example.com").stripe_subscription_status == "active"


@both_databases
@case(14, "two customers created at once")
def test_two_tabs_create_one_customer(quiet_shop: Shop) -> None:
    from saas.auth import accounts

    with quiet_shop.app.app_context():
        accounts.get_or_create("ann@example.com")

    def in_a_tab(_: int) -> str:
        with quiet_shop.app.app_context():
            return customers.ensure_customer(accounts.get_by_email("ann@example.com"))

    with ThreadPoolExecutor(6) as pool:
        created = set(pool.map(in_a_tab, range(6)))

    assert len(created) == 1
    assert len(stripe_account.client(quiet_shop).v1.customers.list().data) == 1


def test_a_duplicate_subscription_is_canceled_at_once_and_refunded(quiet_shop: Shop) -> None:
    ann, first = stripe_account.subscriber(quiet_shop, "ann@example.com", synced=False)
    at_stripe = stripe_account.client(quiet_shop).v1
    with quiet_shop.app.app_context():
        metadata = customers.metadata_for(ann)
    customer = str(ann.stripe_customer_id)
    pro = quiet_shop.price["solo", "monthly"]
    product = at_stripe.products.create({"name": "Another product of the company"})
    other = at_stripe.prices.create(
        {
            "product": product.id,
            "currency": "eur",
            "unit_amount": 700,
            "recurring": {"interval": "month"},
        }
    ).id
    second = at_stripe.subscriptions.create(
        {"customer": customer, "items": [{"price": pro}], "metadata": metadata}
    ).id
    foreign = at_stripe.subscriptions.create(
        {"customer": customer, "items": [{"price": other}], "metadata": {"made": "by hand"}}
    ).id

    with quiet_shop.app.app_context():
        for _ in range(3):
            subscriptions.sync(ann.id, cause="test")

    listed = at_stripe.subscriptions.list({"customer": customer, "status": "all"}).data
    status = {item.id: item.status for item in listed}
    assert sorted(status[item] for item in (first, second)) == ["active", "canceled"]
    assert status[foreign] == "active"  # without our metadata: unchanged
    (refund,) = at_stripe.refunds.list().data
    assert refund.amount == 1500
    assert status[str(quiet_shop.user("ann@example.com").stripe_subscription_id)] == ("active")


def test_a_refund_refused_by_stripe_does_not_block_the_plan(live_on_sqlite: LiveShop) -> None:
    """A restricted key may lack the permission to refund. It is retried until it is granted."""
    live = live_on_sqlite
    ann, first = stripe_account.subscriber(live, "twice@example.com", synced=False)
    with live.app.app_context():
        metadata = customers.metadata_for(ann)
    second = stripe_account.client(live).v1.subscriptions.create(
        {
            "customer": str(ann.stripe_customer_id),
            "items": [{"price": live.price["solo", "monthly"]}],
            "metadata": metadata,
        }
    )
    subject = {"id": second.id, "object": "subscription", "customer": ann.stripe_customer_id}

    def refuse_refunds(environ: dict[str, Any], start_response: Any) -> Any:
        if not environ["PATH_INFO"].endswith("/refunds"):
            return live.proxy.app(environ, start_response)
        start_response("403 Forbidden", [("Content-Type", "application/json")])
        return [b'{"error": {"type": "invalid_request_error", "message": "no permission"}}']

    with live.proxy.answering(refuse_refunds):
        refused = deliver_event(live, subject, id="evt_refused")

    assert refused is not None
    assert refused.status_code == 503
    assert live.user(ann.email).stripe_subscription_status == "active"
    assert stripe_account.refunds_of(live, str(ann.stripe_customer_id)) == []

    again = deliver_event(live, subject, id="evt_refused")

    assert again is not None
    assert again.json() == {"outcome": "applied"}
    assert len(stripe_account.refunds_of(live, str(ann.stripe_customer_id))) == 1


def test_a_key_of_another_account_ends_no_plan_and_deletes_no_account(
    make_app: Callable[..., Flask], quiet_shop: Shop
) -> None:
    """That account has none of our customers. Trusting it would end every user's plan."""
    ann, subscription = stripe_account.subscriber(quiet_shop, "ann@example.com")
    names = {catalogue.price_variables[key]: price for key, price in quiet_shop.price.items()}
    mistaken = make_app(
        SANDBOX_URL=quiet_shop.sandbox,
        SANDBOX_STRIPE_API_KEY=f"sk_test_{secrets.token_hex(16)}",
        **{f"SANDBOX_{name}": price for name, price in names.items()},
    )

    with mistaken.app_context():
        with pytest.raises(gateway.Unavailable, match="another account or mode"):
            subscriptions.sync(ann.id, cause="test")
        with pytest.raises(account_deletion.DeletionFailed, match="Nothing was deleted"):
            account_deletion.delete_account(ann)

    after = quiet_shop.user(ann.email)
    assert after.stripe_subscription_status == "active"
    assert after.stripe_customer_id == ann.stripe_customer_id
    assert not after.is_closing
    at_stripe = stripe_account.client(quiet_shop).v1
    assert at_stripe.subscriptions.retrieve(subscription).status == "active"


# --- the documented rules -----------------------------------------------------------------------


def subscription(id: str = "sub_1", price: str = "price_pm", **changes: Any) -> Subscription:
    values: dict[str, Any] = {
        "id": id, "status": "active", "created": NOW, "price_ids": (price,),
        "period_ends": {price: NOW + timedelta(days=30)}, "cancel_at": None,
    }  # fmt: skip
    return Subscription(**{**values, **changes})


def chosen(*result: Subscription) -> dict[str, Any]:
    app = Flask(__name__)
    app.config.from_mapping(CATALOGUE=catalogue, STRIPE_PRICES=PRICES)
    with app.app_context():
        return precedence.columns_from(list(result), Overdue(NOW - timedelta(days=1)))


def test_the_highest_ranked_subscription_counts() -> None:
    later = NOW + timedelta(days=1)

    assert (
        chosen(subscription("sub_a"), subscription("sub_b", created=later))[
            "stripe_subscription_id"
        ]
        == "sub_b"
    )
    assert (
        chosen(subscription("sub_a", "price_bm"), subscription("sub_b", created=later))[
            "stripe_subscription_id"
        ]
        == "sub_a"  # the higher plan, although the other is newer
    )
    assert (
        chosen(subscription("sub_a"), subscription("sub_b", status="canceled", created=later))[
            "stripe_subscription_id"
        ]
        == "sub_a"
    )
    assert (
        chosen(subscription("sub_a"), subscription("sub_b", "price_of_another", created=later))[
            "stripe_subscription_id"
        ]
        == "sub_a"
    )
    assert (
        chosen(subscription("sub_a", "no_longer_sold"), subscription("sub_b", status="canceled"))[
            "stripe_subscription_id"
        ]
        == "sub_a"  # it is paid for, so the user must not buy another
    )
    assert (
        chosen(subscription("sub_a", status="past_due"), subscription("sub_b", status="paused"))[
            "stripe_subscription_id"
        ]
        == "sub_a"
    )


def test_the_plan_s_item_counts_with_its_own_period() -> None:
    end = NOW + timedelta(days=365)
    mixed = subscription(
        price_ids=("price_extra", "price_bm"),
        period_ends={"price_extra": NOW, "price_bm": end},
    )

    assert chosen(mixed)["stripe_price_id"] == "price_bm"
    assert chosen(mixed)["stripe_current_period_end"] == end


def test_unusual_subscriptions_cause_no_error() -> None:
    assert chosen()["stripe_subscription_id"] is None
    assert chosen(subscription(price_ids=(), period_ends={}))["stripe_price_id"] is None
    assert chosen(subscription(status="brand_new"))["stripe_subscription_status"] == "brand_new"


@pytest.mark.parametrize(
    ("status", "past_due_days", "plan"),
    [
        ("active", None, "solo"),
        ("trialing", None, "solo"),
        ("past_due", 6, "solo"),
        ("past_due", 8, "hobby"),
        ("incomplete", None, "hobby"),
        ("incomplete_expired", None, "hobby"),
        ("unpaid", None, "hobby"),
        ("paused", None, "hobby"),
        ("canceled", None, "hobby"),
        ("brand_new", None, "hobby"),
        (None, None, "hobby"),
    ],
)
def test_the_status_decides_access(
    status: str | None, past_due_days: int | None, plan: str
) -> None:
    value = catalogue.granted(
        status=status,
        price_id="price_pm_old",
        past_due_since=NOW - timedelta(days=past_due_days) if past_due_days else None,
        at=NOW,
        grace=timedelta(days=7),
        prices=PRICES,
    )

    assert value.id == plan


def test_an_unknown_price_gives_the_free_plan() -> None:
    assert (
        catalogue.granted(
            status="active",
            price_id="price_unknown",
            past_due_since=None,
            at=NOW,
            grace=timedelta(0),
            prices=PRICES,
        )
        is HOBBY
    )


def test_stripe_is_never_called_inside_a_transaction(quiet_shop: Shop) -> None:
    ann, _ = stripe_account.subscriber(quiet_shop, "ann@example.com")

    with quiet_shop.app.app_context(), database.write_transaction():
        database.execute(update(User).values(name="Ann"))
        with pytest.raises(RuntimeError, match="must not be called inside"):
            gateway.list_subscriptions(str(ann.stripe_customer_id))

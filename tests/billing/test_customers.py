"""Only our own customers are changed, even when a Stripe account sells several products."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from saas import database
from saas.auth.models import User
from saas.billing import customers, tasks
from saas.billing.models import StripeEvent
from saas.database import db, now
from saas.users import account_deletion
from tests.billing.cases import case
from tests.harness import stripe_account
from tests.harness.apps import both_databases
from tests.harness.servers import free_port, serving
from tests.harness.shop import Shop

UNKNOWN = "00000000-0000-4000-8000-000000000000"


@both_databases
@case(11, "unknown customer with metadata")
def test_a_customer_with_our_metadata_is_adopted_by_the_named_user(quiet_shop: Shop) -> None:
    ann, subscription = stripe_account.subscriber(quiet_shop, "ann@example.com", synced=False)
    forget_customer(quiet_shop)

    assert deliver_event(quiet_shop, subscription) == "applied"

    user = quiet_shop.user("ann@example.com")
    assert user.stripe_customer_id == ann.stripe_customer_id
    assert user.stripe_subscription_id == subscription


def test_a_customer_created_by_an_earlier_version_is_adopted(quiet_shop: Shop) -> None:
    ann, subscription = stripe_account.subscriber(quiet_shop, "ann@example.com", synced=False)
    forget_customer(quiet_shop)
    earlier: Any = {"metadata": {"user": "", "person": str(ann.id)}}  # an empty value deletes a key
    v1 = stripe_account.client(quiet_shop).v1
    v1.subscriptions.update(subscription, earlier)
    v1.customers.update(str(ann.stripe_customer_id), earlier)

    assert deliver_event(quiet_shop, subscription) == "applied"

    adopted = quiet_shop.user("ann@example.com")
    assert adopted.stripe_customer_id == ann.stripe_customer_id


@pytest.mark.parametrize(
    "where",
    [
        lambda metadata: {"parent": {"subscription_details": {"metadata": metadata}}},
        lambda metadata: {
            "subscription_details": {"metadata": metadata}
        },  # API versions before 2025-03-31
        lambda metadata: {
            "lines": {"data": [{"metadata": {}}, {"metadata": metadata}]}
        },  # API versions before 2023
    ],
)
def test_the_user_of_an_invoice_is_found_in_every_api_version(
    quiet_shop: Shop, where: Callable[[dict[str, str]], dict[str, Any]]
) -> None:
    ann, subscription = stripe_account.subscriber(quiet_shop, "ann@example.com", synced=False)
    forget_customer(quiet_shop)
    invoice = {"id": "in_1", "object": "invoice", "customer": ann.stripe_customer_id}

    response = stripe_account.send_event(
        quiet_shop, "invoice.paid", {**invoice, **where(metadata_of(quiet_shop, ann))}
    )

    assert response.json() == {"outcome": "applied"}
    user = quiet_shop.user("ann@example.com")
    assert user.stripe_subscription_id == subscription


def test_a_user_with_a_customer_adopts_no_second_one(
    quiet_shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    ann, _ = stripe_account.subscriber(quiet_shop, "ann@example.com")
    metadata = metadata_of(quiet_shop, ann)
    other = subscribe(quiet_shop, customer_metadata=metadata, metadata=metadata)

    with caplog.at_level(logging.WARNING, "saas.billing"):
        assert deliver_event(quiet_shop, other) == "not ours"

    assert "names a user who has another customer" in caplog.text
    now_stored = quiet_shop.user("ann@example.com").stripe_customer_id
    assert now_stored == ann.stripe_customer_id
    assert stripe_account.client(quiet_shop).v1.subscriptions.retrieve(other).status == "active"


@case(11, "metadata of another user")
def test_metadata_that_names_another_user_does_not_move_a_stored_customer(
    quiet_shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    _, subscription = stripe_account.subscriber(quiet_shop, "ann@example.com", synced=False)
    bob, _ = stripe_account.subscriber(quiet_shop, "bob@example.com", synced=False)
    stripe_account.client(quiet_shop).v1.subscriptions.update(
        subscription, {"metadata": metadata_of(quiet_shop, bob)}
    )

    with caplog.at_level(logging.WARNING, "saas.billing"):
        assert deliver_event(quiet_shop, subscription) == "applied"

    assert "metadata names a user other than the owner" in caplog.text
    assert quiet_shop.user("ann@example.com").stripe_subscription_id == subscription
    assert quiet_shop.user("bob@example.com").stripe_subscription_id is None


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"installation": UNKNOWN, "user": "{user}"},
        {"installation": "{installation}"},
        {"installation": "{installation}", "user": "no id"},
        {"user_id": "{user}"},
    ],
    ids=["none", "other installation", "no user", "no id", "other product"],
)
@case(11, "unknown customer without metadata")
def test_subscriptions_of_another_product_to_the_same_email_are_ignored(
    quiet_shop: Shop, metadata: dict[str, str]
) -> None:
    ann, _ = stripe_account.subscriber(quiet_shop, "ann@example.com")
    ours = metadata_of(quiet_shop, ann)
    metadata = {name: value.format(**ours) for name, value in metadata.items()}
    foreign = subscribe(quiet_shop, customer_metadata=metadata, metadata=metadata)

    assert deliver_event(quiet_shop, foreign) == "not ours"

    assert stripe_account.client(quiet_shop).v1.subscriptions.retrieve(foreign).status == "active"
    assert quiet_shop.user("ann@example.com").stripe_subscription_id != foreign


@pytest.mark.parametrize("key", ["user", "person"])
@case(11, "metadata of a lost account")
def test_a_subscription_whose_account_was_lost_waits_for_an_operator(
    quiet_shop: Shop, caplog: pytest.LogCaptureFixture, key: str
) -> None:
    ann, _ = stripe_account.subscriber(quiet_shop, "ann@example.com")
    metadata = {"installation": metadata_of(quiet_shop, ann)["installation"], key: UNKNOWN}
    orphan = subscribe(quiet_shop, customer_metadata=metadata, metadata=metadata)

    with caplog.at_level(logging.WARNING, "saas.billing"):
        assert deliver_event(quiet_shop, orphan) == "no account"

    assert f"subscription {orphan} has no account" in caplog.text
    assert stripe_account.client(quiet_shop).v1.subscriptions.retrieve(orphan).status == "active"
    assert quiet_shop.user("ann@example.com").stripe_subscription_id != orphan


def test_events_without_our_metadata_cause_no_requests_to_stripe(
    quiet_shop: Shop, make_app: Callable[..., Flask]
) -> None:
    """Every endpoint receives all events of the account, so ignoring foreign ones must be cheap."""
    foreign = subscribe(quiet_shop, customer_metadata={}, metadata={"product": "another"})
    cut_off = make_app(
        SANDBOX_STRIPE_API_KEY=quiet_shop.key,
        SANDBOX_STRIPE_WEBHOOK_SECRET=quiet_shop.app.config["STRIPE_WEBHOOK_SECRET"],
        SANDBOX_URL=f"http://localhost:{free_port()}",
    )

    with serving(cut_off) as url:
        assert deliver_event(quiet_shop, foreign, url=url) == "not ours"


def test_a_reference_that_the_buyer_can_choose_is_not_trusted(quiet_shop: Shop) -> None:
    ann, _ = stripe_account.subscriber(quiet_shop, "ann@example.com", synced=False)
    forget_customer(quiet_shop)
    customer = stripe_account.client(quiet_shop).v1.customers.create({"email": "ann@example.com"})

    response = stripe_account.send_event(
        quiet_shop,
        "checkout.session.completed",
        {"id": "cs_test_payment_link", "object": "checkout.session", "customer": customer.id,
         "client_reference_id": str(ann.id), "metadata": metadata_of(quiet_shop, ann)},
    )  # fmt: skip

    assert response.json() == {"outcome": "not ours"}
    assert quiet_shop.user("ann@example.com").stripe_customer_id is None


@both_databases
@case(11, "a live subscription of a tombstone")
def test_a_subscription_of_a_deleted_account_is_canceled_and_refunded(
    quiet_shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    ann, _ = stripe_account.subscriber(quiet_shop, "ann@example.com", synced=False)
    outlived = subscribe(quiet_shop, customer_metadata={}, metadata=metadata_of(quiet_shop, ann))
    foreign = subscribe(quiet_shop, customer_metadata={}, metadata={"user": str(ann.id)})
    with quiet_shop.app.app_context():
        account_deletion.delete_account(ann)

    with caplog.at_level(logging.WARNING, "saas.billing"):
        assert deliver_event(quiet_shop, outlived) == "ended"
        assert deliver_event(quiet_shop, foreign) == "not ours"

    at_stripe = stripe_account.client(quiet_shop).v1
    assert at_stripe.subscriptions.retrieve(outlived).status == "canceled"
    assert at_stripe.subscriptions.retrieve(foreign).status == "active"
    for subscription, is_refunded in ((outlived, True), (foreign, False)):
        customer = at_stripe.subscriptions.retrieve(subscription).customer
        charges = at_stripe.charges.list({"customer": str(customer)}).data
        assert [charge.refunded for charge in charges] == [is_refunded]
    assert "of a deleted account" in caplog.text
    assert deliver_event(quiet_shop, outlived, kind="customer.subscription.deleted") == "not ours"


def test_a_periodic_task_completes_an_unfinished_adoption(quiet_shop: Shop) -> None:
    """The ledger keeps no metadata, so the task asks Stripe for the customer's owner."""
    ann, _ = stripe_account.subscriber(quiet_shop, "ann@example.com", synced=False)
    forget_customer(quiet_shop)
    with quiet_shop.app.app_context():
        with database.write_transaction() as session:
            session.add(
                StripeEvent(
                    id="evt_left", type="customer.subscription.updated", livemode=False,
                    created=now(), received_at=now().replace(year=2020),
                    customer_id=ann.stripe_customer_id,
                )
            )  # fmt: skip

        tasks.retry_events()

        assert db.session.scalars(select(StripeEvent)).one().processed_at
    assert quiet_shop.user("ann@example.com").is_subscribed


def forget_customer(shop: Shop) -> None:
    """Remove the customer's id from the user, as restoring a backup does."""
    with shop.app.app_context(), database.write_transaction():
        database.execute(update(User).values(stripe_customer_id=None))


def deliver_event(
    shop: Shop, subscription: str, *, kind: str = "customer.subscription.updated", url: str = ""
) -> str:
    """Deliver an event about a subscription in its current state, and return the outcome."""
    at_stripe = stripe_account.client(shop).v1.subscriptions.retrieve(subscription)
    response = stripe_account.send_event(
        shop, kind, at_stripe.to_dict(for_json=True), id=f"evt_{subscription}_{kind}", url=url
    )
    assert response.status_code == 200, response.text
    return str(response.json()["outcome"])


def metadata_of(shop: Shop, user: User) -> dict[str, str]:
    with shop.app.app_context():
        return customers.metadata_for(user)


def subscribe(shop: Shop, *, customer_metadata: dict[str, str], metadata: dict[str, str]) -> str:
    """Subscribe a customer with Ann's email to Solo; return the id of the subscription."""
    at_stripe = stripe_account.client(shop).v1
    customer = at_stripe.customers.create(
        {"email": "ann@example.com", "metadata": customer_metadata}
    ).id
    return stripe_account.subscribe(shop, customer, metadata)

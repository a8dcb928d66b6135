"""Events after crashes: applied once, refunded once, adopted once."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import requests
from sqlalchemy import update

from saas import database
from saas.auth import accounts
from saas.auth.models import User
from saas.billing import customers
from saas.billing.models import StripeEvent
from saas.database import db
from saas.users import account_deletion
from tests.billing.cases import case
from tests.billing.crashes.steps import assert_applied_once, email, every_step, run_tasks, status_of
from tests.harness import stripe_account
from tests.harness.live_shop import LiveShop, deliver_event


@pytest.mark.parametrize("recovered_by", ["stripe", "periodic task"])
@case(5, "kill -9 at each step")
def test_an_event_is_applied_once_after_a_crash_at_any_step(
    live: LiveShop, recovered_by: str
) -> None:
    responses: list[requests.Response | None] = []
    for die_at in every_step(
        responses,
        "INSERT stripe_events", "COMMIT", "GET /stripe/v1/subscriptions", "UPDATE users",
        "INSERT subscription_changes", "UPDATE stripe_events", "COMMIT", "the response",
    ):  # fmt: skip
        ann, subscription = stripe_account.subscriber(live, email(), synced=False)
        subject = {"id": subscription, "object": "subscription", "customer": ann.stripe_customer_id}
        event = f"evt_{subscription}"

        responses.append(deliver_event(live, subject, id=event, die_at=die_at))

        if responses[-1] is None and recovered_by == "periodic task" and is_noted(live, event):
            run_tasks(live)
        else:
            again = deliver_event(live, subject, id=event)
            assert again is not None
            assert again.status_code == 200
        assert_applied_once(live, ann, event)
        assert deliver_event(live, subject, id=event).json() == {"outcome": "seen"}  # type: ignore[union-attr]
        assert_applied_once(live, ann, event)


@case(5, "failure at each step")
def test_an_event_is_applied_once_after_a_failure_of_any_step(live: LiveShop) -> None:
    for fail_at in itertools.count(1):
        ann, subscription = stripe_account.subscriber(live, email(), synced=False)
        subject = {"id": subscription, "object": "subscription", "customer": ann.stripe_customer_id}
        event = f"evt_{subscription}"

        response = deliver_event(live, subject, id=event, fail_at=fail_at)

        assert response is not None
        if response.status_code == 200:
            assert fail_at > 7
            break
        assert response.status_code == 503
        assert live.user(ann.email).stripe_sync_counter == ann.stripe_sync_counter
        assert deliver_event(live, subject, id=event).json() == {"outcome": "applied"}  # type: ignore[union-attr]
        assert_applied_once(live, ann, event)


def is_noted(shop: LiveShop, event: str) -> bool:
    with shop.app.app_context():
        return db.session.get(StripeEvent, event) is not None


def test_a_duplicate_subscription_is_refunded_once_after_a_crash_at_any_step(
    live: LiveShop,
) -> None:
    responses: list[requests.Response | None] = []
    for die_at in every_step(
        responses,
        "INSERT stripe_events", "COMMIT", "GET /stripe/v1/subscriptions",
        "POST /stripe/v1/refunds", "DELETE /stripe/v1/subscriptions/<sub>",
        "GET /stripe/v1/subscriptions", "UPDATE users", "COMMIT", "the response",
    ):  # fmt: skip
        ann, first = stripe_account.subscriber(live, email(), synced=False)
        second = subscribe_again(live, ann)
        subject = {"id": second, "object": "subscription", "customer": ann.stripe_customer_id}
        event = f"evt_{second}"

        responses.append(deliver_event(live, subject, id=event, die_at=die_at))

        deliver_event(live, subject, id=event)
        assert_applied_once(live, ann, event)
        assert sorted(status_of(live, item) for item in (first, second)) == ["active", "canceled"]
        assert len(stripe_account.refunds_of(live, str(ann.stripe_customer_id))) == 1
        assert len(set(live.inbox.to(ann.email, "refunded"))) == 1


def subscribe_again(shop: LiveShop, user: User) -> str:
    with shop.app.app_context():
        metadata = customers.metadata_for(user)
    subscription = stripe_account.client(shop).v1.subscriptions.create(
        {
            "customer": str(user.stripe_customer_id),
            "items": [{"price": shop.price["solo", "monthly"]}],
            "metadata": metadata,
        }
    )
    return subscription.id


def test_a_customer_is_adopted_after_a_crash_at_any_step(live_on_postgres: LiveShop) -> None:
    live = live_on_postgres
    responses: list[requests.Response | None] = []
    for die_at in every_step(
        responses,
        "INSERT stripe_events", "GET /stripe/v1/customers/<cus>", "UPDATE users", "COMMIT",
        "GET /stripe/v1/subscriptions", "UPDATE users", "UPDATE stripe_events", "COMMIT",
    ):  # fmt: skip
        ann, subscription = stripe_account.subscriber(live, email(), synced=False)
        with live.app.app_context(), database.write_transaction():  # as after restoring a backup
            database.execute(update(User).where(User.id == ann.id).values(stripe_customer_id=None))
        subject = marked(live, subscription)

        responses.append(deliver_event(live, subject, id=f"evt_{subscription}", die_at=die_at))

        deliver_event(live, subject, id=f"evt_{subscription}")
        assert_applied_once(live, ann, f"evt_{subscription}")
        assert live.user(ann.email).stripe_customer_id == ann.stripe_customer_id


def test_an_orphaned_subscription_is_refunded_once_after_a_crash_at_any_step(
    live_on_sqlite: LiveShop,
) -> None:
    live = live_on_sqlite
    responses: list[requests.Response | None] = []
    for die_at in every_step(
        responses,
        "INSERT stripe_events", "COMMIT", "GET /stripe/v1/subscriptions", "POST /stripe/v1/refunds",
        "DELETE /stripe/v1/subscriptions/<sub>", "UPDATE stripe_events", "COMMIT", "the response",
    ):  # fmt: skip
        ann, subscription = stripe_account.subscriber(live, email(), synced=False)
        with live.app.app_context():
            # The account does not know its customer when it is deleted.
            with database.write_transaction():
                database.execute(
                    update(User).where(User.id == ann.id).values(stripe_customer_id=None)
                )
            account_deletion.delete_account(accounts.get_by_email(ann.email))
        subject = marked(live, subscription)

        responses.append(deliver_event(live, subject, id=f"evt_{subscription}", die_at=die_at))

        deliver_event(live, subject, id=f"evt_{subscription}")
        assert status_of(live, subscription) == "canceled"
        assert len(stripe_account.refunds_of(live, str(ann.stripe_customer_id))) == 1


def marked(shop: LiveShop, subscription: str) -> dict[str, Any]:
    """Return the subscription as an event contains it, with our metadata."""
    at_stripe = stripe_account.client(shop).v1.subscriptions.retrieve(subscription)
    message: dict[str, Any] = at_stripe.to_dict(for_json=True)
    return message

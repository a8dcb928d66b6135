"""Periodic tasks apply failed events and end plans whose webhook was missed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select, update

from saas import database
from saas.auth import accounts
from saas.auth.models import User
from saas.billing import tasks
from saas.billing.models import StripeEvent
from saas.database import db, now
from saas.users import account_deletion
from tests.harness import stripe_account
from tests.harness.servers import free_port, serving
from tests.harness.shop import Shop


def test_a_periodic_task_applies_a_failed_event(make_app: Callable[..., Flask], shop: Shop) -> None:
    stripe_account.remove_endpoints(shop)
    ann, subscription = stripe_account.subscriber(shop, "ann@example.com", synced=False)
    cut_off = make_app(
        SANDBOX_STRIPE_API_KEY=shop.key,
        SANDBOX_STRIPE_WEBHOOK_SECRET=shop.app.config["STRIPE_WEBHOOK_SECRET"],
        SANDBOX_URL=f"http://localhost:{free_port()}",
    )
    with serving(cut_off) as url:
        stripe_account.send_event(
            shop, "customer.subscription.created",
            {"id": subscription, "object": "subscription", "customer": ann.stripe_customer_id},
            url=url,
        )  # fmt: skip

    with shop.app.app_context(), time_machine.travel(now() + timedelta(minutes=3)):
        tasks.retry_events()

        assert db.session.scalars(select(StripeEvent)).one().processed_at is not None
    assert shop.user("ann@example.com").stripe_subscription_status == "active"


def test_events_that_always_fail_do_not_delay_others(shop: Shop) -> None:
    """The oldest events have failed often. A new one comes first and is applied."""
    stripe_account.remove_endpoints(shop)
    ann, _ = stripe_account.subscriber(shop, "ann@example.com", synced=False)
    with shop.app.app_context():
        with database.write_transaction() as session:
            for number in range(tasks.BATCH_SIZE):
                session.add(left_behind(f"evt_bad_{number}", "cus_nobody", days=2, attempts=9))
            session.add(left_behind("evt_new", str(ann.stripe_customer_id), days=1))

        tasks.retry_events()

        new = db.session.get(StripeEvent, "evt_new", populate_existing=True)
        assert new
        assert new.processed_at
    assert shop.user("ann@example.com").is_subscribed


def left_behind(event: str, customer: str, *, days: int, attempts: int = 0) -> StripeEvent:
    return StripeEvent(
        id=event, type="customer.subscription.updated", livemode=False, created=now(),
        received_at=now() - timedelta(days=days), customer_id=customer, attempts=attempts,
    )  # fmt: skip


def test_a_plan_that_ended_without_a_webhook_is_removed(shop: Shop) -> None:
    stripe_account.remove_endpoints(shop)
    ann, subscription = stripe_account.subscriber(shop, "ann@example.com")
    stripe_account.client(shop).v1.subscriptions.cancel(subscription)
    with shop.app.app_context():
        with database.write_transaction():
            database.execute(
                update(User)
                .where(User.id == ann.id)
                .values(
                    stripe_current_period_end=now() - timedelta(minutes=1),
                    stripe_synced_at=now() - timedelta(hours=2),
                )
            )
        tasks.sync_ended_periods()

        assert shop.user("ann@example.com").stripe_subscription_status == "canceled"


def test_a_renewed_period_keeps_the_plan(shop: Shop) -> None:
    stripe_account.remove_endpoints(shop)
    ann, _ = stripe_account.subscriber(shop, "ann@example.com")
    with shop.app.app_context():
        with database.write_transaction():
            database.execute(
                update(User).values(
                    stripe_current_period_end=now() - timedelta(minutes=1),
                    stripe_synced_at=now() - timedelta(hours=2),
                )
            )
        assert shop.user("ann@example.com").is_paid  # the clock does not decide
        tasks.sync_ended_periods()

        renewed = shop.user("ann@example.com")
    assert renewed.stripe_subscription_status == "active"
    assert renewed.stripe_current_period_end == ann.stripe_current_period_end


@pytest.mark.parametrize(
    "periodic_task",
    [
        tasks.retry_events,
        tasks.sync_ended_periods,
        account_deletion.finish_deletions,
        tasks.update_stale_emails,
    ],
)
def test_a_stripe_outage_does_not_keep_the_worker_from_sending_emails(
    periodic_task: Callable[[], None], make_app: Callable[..., Flask], shop: Shop
) -> None:
    """Ten events are waiting. After three failed requests the rest waits for the next run."""
    asked: list[str] = []

    def away(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        asked.append(environ["PATH_INFO"])
        start_response("503 Service Unavailable", [])
        return [b"{}"]

    with shop.app.app_context():
        users = [accounts.get_or_create(f"p{number}@example.com") for number in range(10)]
        with database.write_transaction() as session:
            for number, user in enumerate(users):
                session.add(left_behind(f"evt_{number}", f"cus_{number}", days=1))
                mine = update(User).where(User.id == user.id)
                database.execute(mine.values(stripe_customer_id=f"cus_{number}"))
            database.execute(
                update(User).values(
                    stripe_subscription_status="active",
                    stripe_current_period_end=now() - timedelta(hours=3),
                    stripe_email_stale_since=now(),
                    closing_at=now() - timedelta(hours=1),
                )
            )
    with serving(away) as url:
        cut_off = make_app(SANDBOX_STRIPE_API_KEY=shop.key, SANDBOX_URL=url)
        with cut_off.app_context():
            periodic_task()

    assert len(asked) == 3

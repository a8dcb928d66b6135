"""Crash at every step, recover as in production, and check the result."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import timedelta

import requests
import time_machine
from sqlalchemy import select

from saas.auth import accounts
from saas.auth.models import User
from saas.billing import subscriptions, tasks
from saas.billing.models import StripeEvent, SubscriptionChange
from saas.database import db, now
from saas.mail import outbox
from saas.mail.models import OutboxMessage
from saas.users import account_deletion
from tests.harness import stripe_account
from tests.harness.live_shop import LiveShop
from tests.harness.visitor import Page

A_MOMENT_LATER = timedelta(minutes=6)  # leases have expired, and periodic tasks are due
_numbers = itertools.count(1)


def email() -> str:
    """Return a new email. A test uses one user per step."""
    return f"crash-{next(_numbers)}@example.com"


def every_step(responses: list[requests.Response | None], *landmarks: str) -> Iterator[int]:
    """Yield numbers of steps to crash at, until a request completes. It must pass the landmarks."""
    for number in itertools.count(1):
        yield number
        response = responses[-1]
        if response is not None:
            steps = iter(response.headers["X-Steps"].split("; "))
            missing = [landmark for landmark in landmarks if landmark not in steps]
            assert not missing, (missing, response.headers["X-Steps"])
            assert number > len(landmarks)
            return


def run_tasks(shop: LiveShop) -> None:
    """Run the periodic tasks, after the leases of the crashed process have expired."""
    with shop.app.app_context(), time_machine.travel(now() + A_MOMENT_LATER, tick=True):
        tasks.retry_events()
        account_deletion.finish_deletions()
        outbox.flush()


def assert_applied_once(shop: LiveShop, user: User, event: str) -> None:
    with shop.app.app_context():
        stored = accounts.get_by_email(user.email)
        assert subscriptions.differences(stored) == {}
        assert stored.is_paid
        row = db.session.get(StripeEvent, event)
        assert row is not None
        assert row.processed_at is not None
        changes = select(SubscriptionChange).where(SubscriptionChange.user_id == user.id)
        (change,) = db.session.scalars(changes)
        assert change.cause == event
    assert_emails_sent_once(shop, user)


def assert_emails_sent_once(shop: LiveShop, user: User) -> None:
    """Every enqueued email was delivered. A second copy has the same Message-ID."""
    run_tasks(shop)
    with shop.app.app_context():
        mine = select(OutboxMessage).where(OutboxMessage.subject_id == user.id)
        promised = db.session.scalars(mine).all()
    assert {message.kind for message in promised} >= {"welcome"}
    assert len({message.kind for message in promised}) == len(promised)
    assert all(message.handed_over_at for message in promised)
    handed = shop.inbox.to(user.email)
    assert len(set(handed)) == len(promised)
    assert len(handed) <= len(promised) + 1


def assert_no_deleted_user_is_charged(shop: LiveShop, user: User, subscription: str) -> None:
    with shop.app.app_context():
        if db.session.get(User, user.id) is None:
            assert status_of(shop, subscription) == "canceled"


def status_of(shop: LiveShop, subscription: str) -> str:
    return str(stripe_account.client(shop).v1.subscriptions.retrieve(subscription).status)


def ask_to_sign_in(shop: LiveShop, address: str, die_at: int) -> requests.Response | None:
    with requests.Session() as browser:
        form = Page(browser.get(f"{shop.url}/login", timeout=30)).form("/login")
        network = {"X-Forwarded-For": f"10.0.0.{next(_numbers) % 250}", "Origin": shop.url}
        data = {**form.fields, "email": address}
        return shop.ask("POST", "/login", die_at, browser, data=data, headers=network)

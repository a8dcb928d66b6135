"""Crashes at any moment, while Stripe and users send requests."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain

import requests
from sqlalchemy import func, select

from saas.auth import accounts
from saas.auth.models import SignInLink, User
from saas.billing import subscriptions
from saas.billing.models import StripeEvent, SubscriptionChange
from saas.database import db
from tests.billing.crashes.steps import (
    ask_to_sign_in,
    assert_no_deleted_user_is_charged,
    email,
    run_tasks,
    status_of,
)
from tests.harness import stripe_account
from tests.harness.live_shop import WORKERS, LiveShop, kill_a_worker
from tests.harness.waiting import eventually


def test_random_crashes_under_load_lose_nothing(live: LiveShop) -> None:
    """Processes are killed during webhooks from Stripe, account deletions and sign-ins."""
    users = [stripe_account.subscriber(live, email()) for _ in range(6)]
    leaving, staying = users[:2], users[2:]
    addresses = [email() for _ in range(12)]
    live.enable_events(True)

    with dying_at_random(live), ThreadPoolExecutor(10) as pool:
        work = [
            pool.map(partial(change_plans, live), [subscription for _, subscription in staying]),
            pool.map(partial(leave, live), [user for user, _ in leaving]),
            pool.map(partial(sign_in, live), addresses),
        ]
    assert len(list(chain(*work))) == 18  # and no process failed by itself
    live.kill()  # and finally all processes at once
    live.start()
    eventually(lambda: not undelivered(live), seconds=60)
    live.enable_events(False)
    run_tasks(live)

    assert_all_applied(live, [user for user, _ in staying])
    for user, subscription in leaving:
        assert_no_deleted_user_is_charged(live, user, subscription)
        # Or the crash came before the start: then nothing has changed.
        assert is_gone(live, user) or status_of(live, subscription) == "active"
    for address in addresses:
        handed = live.inbox.to(address)
        assert len(set(handed)) == count_enqueued(live, address)
        assert len(handed) <= len(set(handed)) + 1


@contextmanager
def dying_at_random(shop: LiveShop) -> Iterator[None]:
    rng, over = random.Random(7), threading.Event()

    def reap() -> None:
        while not over.wait(rng.uniform(0, 0.3)):  # random on purpose; it waits for nothing
            kill_a_worker(shop, rng.randrange(WORKERS))

    reaper = threading.Thread(target=reap)
    reaper.start()
    try:
        yield
    finally:
        over.set()
        reaper.join()


def change_plans(shop: LiveShop, subscription: str) -> None:
    at_stripe = stripe_account.client(shop).v1
    item = at_stripe.subscriptions.retrieve(subscription)["items"].data[0].id
    for plan in ("team", "solo") * 8:
        at_stripe.subscriptions.update(
            subscription, {"items": [{"id": item, "price": shop.price[plan, "monthly"]}]}
        )


def leave(shop: LiveShop, user: User) -> None:
    browser, header = shop.signed_in(user)
    with browser:
        shop.ask("DELETE", "/api/user", 0, browser, headers=header)


def sign_in(shop: LiveShop, address: str) -> None:
    with suppress(requests.RequestException):  # perhaps in the middle of the response
        ask_to_sign_in(shop, address, 0)


def assert_all_applied(shop: LiveShop, users: list[User]) -> None:
    with shop.app.app_context():
        left = select(StripeEvent.id).where(StripeEvent.processed_at.is_(None))
        assert db.session.scalars(left).all() == []
        for user in users:
            assert subscriptions.differences(accounts.get_by_email(user.email)) == {}
            assert_gapless_history(user)


def undelivered(shop: LiveShop) -> int:
    """Return the events that Stripe has not delivered yet and still retries."""
    (row,) = shop.sandbox_store.fetch_all("SELECT count(*) FROM deliveries WHERE state = 'pending'")
    return int(row[0])


def assert_gapless_history(user: User) -> None:
    """Each change starts where the previous one ended: no change is missing or recorded twice."""
    changes = db.session.scalars(
        select(SubscriptionChange)
        .where(SubscriptionChange.user_id == user.id)
        .order_by(SubscriptionChange.counter)
    ).all()
    for earlier, later in itertools.pairwise(changes):
        assert earlier.after == later.before
        assert earlier.counter < later.counter


def is_gone(shop: LiveShop, user: User) -> bool:
    with shop.app.app_context():
        return db.session.get(User, user.id) is None


def count_enqueued(shop: LiveShop, address: str) -> int:
    with shop.app.app_context():
        asked = select(func.count()).select_from(SignInLink).where(SignInLink.email == address)
        return db.session.scalar(asked) or 0

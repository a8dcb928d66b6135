"""Killed at any step: nothing is lost, and nothing happens twice.

A server process gets SIGKILL just before every single step of handling an event, of closing an
account and of sending a mail, one step after the other until there is none left; which steps there
are is heard from the running process (see `tests.billing.crashing`). Then somebody mends it, as in
production: Stripe delivers again, the person tries again, or a sweep comes by.
"""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from itertools import chain
from typing import Any

import pytest
import requests
import time_machine
from sqlalchemy import func, select, update

from saas import database
from saas.auth import accounts
from saas.auth.models import SignInLink, User
from saas.billing import gateway, ownership, subscriptions, sweeps
from saas.billing.models import ClosedAccount, StripeEvent, SubscriptionChange
from saas.database import db, now
from saas.mail import outbox
from saas.mail.models import OutboxMessage
from saas.users import closing
from tests.billing import stripe_side
from tests.billing.cases import case
from tests.billing.live import WORKERS, LiveShop, kill_a_worker, tell
from tests.visitor import Page, eventually

A_MOMENT_LATER = timedelta(minutes=6)  # when leases are over and sweeps look again
_numbers = itertools.count(1)


def email() -> str:
    """Somebody new: a test lives through as many people as there are steps."""
    return f"mortal-{next(_numbers)}@example.com"


def every_step(answers: list[requests.Response | None], *landmarks: str) -> Iterator[int]:
    """Numbers of steps to die at, until one was answered; its steps must pass these landmarks."""
    for number in itertools.count(1):
        yield number
        answer = answers[-1]
        if answer is not None:
            steps = iter(answer.headers["X-Steps"].split("; "))
            missing = [each for each in landmarks if each not in steps]
            assert not missing, (missing, answer.headers["X-Steps"])
            assert number > len(landmarks)
            return


@pytest.mark.parametrize("mended_by", ["stripe", "the sweep"])
@case(5, "kill -9 at each step")
def test_an_event_is_applied_once_at_whatever_step_we_died(live: LiveShop, mended_by: str) -> None:
    answers: list[requests.Response | None] = []
    for die_at in every_step(
        answers,
        "INSERT stripe_events", "COMMIT", "GET /stripe/v1/subscriptions", "UPDATE users",
        "INSERT subscription_changes", "UPDATE stripe_events", "COMMIT", "the answer",
    ):  # fmt: skip
        ann, subscription = stripe_side.subscriber(live, email(), synced=False)
        subject = {"id": subscription, "object": "subscription", "customer": ann.stripe_customer_id}
        event = f"evt_{subscription}"

        answers.append(tell(live, subject, id=event, die_at=die_at))

        if answers[-1] is None and mended_by == "the sweep" and is_noted(live, event):
            sweep(live)
        else:
            again = tell(live, subject, id=event)
            assert again is not None
            assert again.status_code == 200
        is_applied_once(live, ann, event)
        assert tell(live, subject, id=event).json() == {"outcome": "seen"}  # type: ignore[union-attr]
        is_applied_once(live, ann, event)


@case(5, "failure at each step")
def test_an_event_is_applied_once_whichever_step_failed(live: LiveShop) -> None:
    for fail_at in itertools.count(1):
        ann, subscription = stripe_side.subscriber(live, email(), synced=False)
        subject = {"id": subscription, "object": "subscription", "customer": ann.stripe_customer_id}
        event = f"evt_{subscription}"

        answer = tell(live, subject, id=event, fail_at=fail_at)

        assert answer is not None
        if answer.status_code == 200:
            assert fail_at > 7
            break
        assert answer.status_code == 503
        assert stripe_side.person(live, ann.email).stripe_sync_counter == ann.stripe_sync_counter
        assert tell(live, subject, id=event).json() == {"outcome": "applied"}  # type: ignore[union-attr]
        is_applied_once(live, ann, event)


def is_noted(shop: LiveShop, event: str) -> bool:
    with shop.app.app_context():
        return db.session.get(StripeEvent, event) is not None


def sweep(shop: LiveShop) -> None:
    """What the worker does every minute, when everything that was begun has been given up."""
    with shop.app.app_context(), time_machine.travel(now() + A_MOMENT_LATER, tick=True):
        sweeps.apply_what_was_left()
        closing.finish_closing()
        outbox.flush()


def is_applied_once(shop: LiveShop, person: User, event: str) -> None:
    with shop.app.app_context():
        stored = accounts.get(person.email)
        assert subscriptions.differences(stored) == {}
        assert stored.is_paid
        row = db.session.get(StripeEvent, event)
        assert row is not None
        assert row.processed_at is not None
        changes = select(SubscriptionChange).where(SubscriptionChange.user_id == person.id)
        (change,) = db.session.scalars(changes)
        assert change.cause == event
    mails_are_there_once(shop, person)


def mails_are_there_once(shop: LiveShop, person: User) -> None:
    """Every promised mail was handed over; a second copy has the same Message-ID."""
    sweep(shop)
    with shop.app.app_context():
        mine = select(OutboxMessage).where(OutboxMessage.subject_id == person.id)
        promised = db.session.scalars(mine).all()
    assert {message.kind for message in promised} >= {"welcome"}
    assert len({message.kind for message in promised}) == len(promised)
    assert all(message.handed_over_at for message in promised)
    handed = shop.postbox.to(person.email)
    assert len(set(handed)) == len(promised)
    assert len(handed) <= len(promised) + 1


def test_a_second_subscription_is_refunded_once_at_whatever_step_we_died(live: LiveShop) -> None:
    answers: list[requests.Response | None] = []
    for die_at in every_step(
        answers,
        "INSERT stripe_events", "COMMIT", "GET /stripe/v1/subscriptions",
        "POST /stripe/v1/refunds", "DELETE /stripe/v1/subscriptions/<sub>",
        "GET /stripe/v1/subscriptions", "UPDATE users", "COMMIT", "the answer",
    ):  # fmt: skip
        ann, first = stripe_side.subscriber(live, email(), synced=False)
        second = subscribe_again(live, ann)
        subject = {"id": second, "object": "subscription", "customer": ann.stripe_customer_id}
        event = f"evt_{second}"

        answers.append(tell(live, subject, id=event, die_at=die_at))

        tell(live, subject, id=event)
        is_applied_once(live, ann, event)
        assert sorted(status_of(live, each) for each in (first, second)) == ["active", "canceled"]
        assert len(stripe_side.refunds_of(live, str(ann.stripe_customer_id))) == 1
        assert len(set(live.postbox.to(ann.email, "refunded"))) == 1


def subscribe_again(shop: LiveShop, person: User) -> str:
    with shop.app.app_context():
        marks = ownership.metadata_of(person)
    made = stripe_side.client(shop).v1.subscriptions.create(
        {
            "customer": str(person.stripe_customer_id),
            "items": [{"price": shop.price["pro", "monthly"]}],
            "metadata": marks,
        }
    )
    return made.id


def test_a_customer_is_adopted_at_whatever_step_we_died(live_on_postgres: LiveShop) -> None:
    live = live_on_postgres
    answers: list[requests.Response | None] = []
    for die_at in every_step(
        answers,
        "INSERT stripe_events", "GET /stripe/v1/customers/<cus>", "UPDATE users", "COMMIT",
        "GET /stripe/v1/subscriptions", "UPDATE users", "UPDATE stripe_events", "COMMIT",
    ):  # fmt: skip
        ann, subscription = stripe_side.subscriber(live, email(), synced=False)
        with live.app.app_context(), database.writing():  # as a restored backup does
            database.execute(update(User).where(User.id == ann.id).values(stripe_customer_id=None))
        subject = marked(live, subscription)

        answers.append(tell(live, subject, id=f"evt_{subscription}", die_at=die_at))

        tell(live, subject, id=f"evt_{subscription}")
        is_applied_once(live, ann, f"evt_{subscription}")
        assert stripe_side.person(live, ann.email).stripe_customer_id == ann.stripe_customer_id


def marked(shop: LiveShop, subscription: str) -> dict[str, Any]:
    """The subscription as an event carries it, with our marks."""
    found = stripe_side.client(shop).v1.subscriptions.retrieve(subscription)
    told: dict[str, Any] = found.to_dict(for_json=True)
    return told


def test_what_outlived_its_account_is_refunded_once_at_whatever_step_we_died(
    live_on_sqlite: LiveShop,
) -> None:
    live = live_on_sqlite
    answers: list[requests.Response | None] = []
    for die_at in every_step(
        answers,
        "INSERT stripe_events", "COMMIT", "GET /stripe/v1/subscriptions", "POST /stripe/v1/refunds",
        "DELETE /stripe/v1/subscriptions/<sub>", "UPDATE stripe_events", "COMMIT", "the answer",
    ):  # fmt: skip
        ann, subscription = stripe_side.subscriber(live, email(), synced=False)
        with live.app.app_context():
            with database.writing():  # the account does not know of its customer when it closes
                database.execute(
                    update(User).where(User.id == ann.id).values(stripe_customer_id=None)
                )
            closing.close_account(accounts.get(ann.email))
        subject = marked(live, subscription)

        answers.append(tell(live, subject, id=f"evt_{subscription}", die_at=die_at))

        tell(live, subject, id=f"evt_{subscription}")
        assert status_of(live, subscription) == "canceled"
        assert len(stripe_side.refunds_of(live, str(ann.stripe_customer_id))) == 1


@pytest.mark.parametrize("mended_by", ["the person", "the sweep"])
@case(26, "killed half-way")
def test_an_account_is_closed_at_whatever_step_we_died(live: LiveShop, mended_by: str) -> None:
    answers: list[requests.Response | None] = []
    for die_at in every_step(
        answers,
        "UPDATE users", "COMMIT", "GET /stripe/v1/checkout/sessions",
        "POST /stripe/v1/checkout/sessions/<cs_test>/expire", "GET /stripe/v1/subscriptions",
        "DELETE /stripe/v1/subscriptions/<sub>", "DELETE /stripe/v1/customers/<cus>",
        "INSERT closed_accounts", "DELETE users", "COMMIT", "the answer",
    ):  # fmt: skip
        ann, subscription = stripe_side.subscriber(live, email())
        open_checkout(live, ann)
        browser, header = live.signed_in(ann)

        answers.append(live.ask("DELETE", "/api/user", die_at, browser, headers=header))

        nobody_is_gone_and_still_charged(live, ann, subscription)
        if mended_by == "the sweep" and is_closing(live, ann):
            sweep(live)
        elif answers[-1] is None:
            again = live.ask("DELETE", "/api/user", 0, browser, headers=header)
            assert again is not None
            assert again.status_code in (200, 401), again.text  # 401: it was closed already
        is_closed_once(live, ann, subscription)
        farewell = live.postbox.to(ann.email, "is closed")
        assert len(set(farewell)) == 1
        assert len(farewell) <= 2
        browser.close()


def open_checkout(shop: LiveShop, person: User) -> None:
    """A page to pay on that somebody left open in another tab."""
    with shop.app.app_context():
        gateway.start_checkout(
            customer_id=str(person.stripe_customer_id),
            price_id=shop.price["pro", "monthly"],
            metadata=ownership.metadata_of(person),
            key=f"tab of {person.id}",
            success_url=f"{shop.url}/billing/return",
            cancel_url=f"{shop.url}/pricing",
        )


def is_closing(shop: LiveShop, person: User) -> bool:
    with shop.app.app_context():
        found = db.session.get(User, person.id)
        return found is not None and found.is_closing


def nobody_is_gone_and_still_charged(shop: LiveShop, person: User, subscription: str) -> None:
    with shop.app.app_context():
        if db.session.get(User, person.id) is None:
            assert status_of(shop, subscription) == "canceled"


def status_of(shop: LiveShop, subscription: str) -> str:
    return str(stripe_side.client(shop).v1.subscriptions.retrieve(subscription).status)


def is_closed_once(shop: LiveShop, person: User, subscription: str) -> None:
    sweep(shop)  # the mail, if it was not handed over
    at_stripe = stripe_side.client(shop).v1
    with shop.app.app_context():
        assert db.session.get(User, person.id) is None
        buried = select(func.count()).where(ClosedAccount.person_id == person.id)
        assert db.session.scalar(buried) == 1
    assert status_of(shop, subscription) == "canceled"
    assert getattr(at_stripe.customers.retrieve(str(person.stripe_customer_id)), "deleted", False)
    late = {"id": subscription, "object": "subscription", "customer": person.stripe_customer_id}
    answer = tell(shop, late, id=f"evt_late_{person.id}", kind="customer.subscription.deleted")
    assert answer is not None
    assert answer.status_code == 200


@case(5, "mails once")
def test_a_mail_arrives_at_whatever_step_we_died(live: LiveShop) -> None:
    answers: list[requests.Response | None] = []
    twice: list[int] = []
    for die_at in every_step(
        answers,
        "INSERT sign_in_links", "INSERT outbox_messages", "COMMIT", "UPDATE outbox_messages",
        "COMMIT", "SMTP EHLO", "SMTP DATA", "SMTP the mail", "SMTP QUIT",
        "UPDATE outbox_messages", "COMMIT", "the answer",
    ):  # fmt: skip
        address = email()

        answers.append(ask_to_sign_in(live, address, die_at))

        sweep(live)
        handed = live.postbox.to(address)
        if not handed:  # nothing had been promised yet, and no answer was given: asked again
            ask_to_sign_in(live, address, 0)
            handed = live.postbox.to(address)
        assert len(set(handed)) == 1
        if len(handed) > 1:
            twice.append(die_at)
        assert len(handed) <= 2

    steps = str(answers[-1].headers["X-Steps"]).split("; ")  # type: ignore[union-attr]
    accepted = steps.index("SMTP QUIT") + 1
    noted = len(steps) - steps[::-1].index("COMMIT")
    assert twice == list(range(accepted, noted + 1))  # between its acceptance and our note of it


def ask_to_sign_in(shop: LiveShop, address: str, die_at: int) -> requests.Response | None:
    with requests.Session() as browser:
        form = Page(browser.get(f"{shop.url}/login", timeout=30)).form("/login")
        network = {"X-Forwarded-For": f"10.0.0.{next(_numbers) % 250}", "Origin": shop.url}
        data = {**form.fields, "email": address}
        return shop.ask("POST", "/login", die_at, browser, data=data, headers=network)


def test_killed_at_random_under_load_everything_still_comes_true(live: LiveShop) -> None:
    """Webhooks that Stripe sends by itself, closings and sign-ins, while processes die."""
    people = [stripe_side.subscriber(live, email()) for _ in range(6)]
    leaving, staying = people[:2], people[2:]
    addresses = [email() for _ in range(12)]
    live.listen_to_stripe(True)

    with dying_at_random(live), ThreadPoolExecutor(10) as pool:
        work = [
            pool.map(partial(change_plans, live), [subscription for _, subscription in staying]),
            pool.map(partial(leave, live), [person for person, _ in leaving]),
            pool.map(partial(sign_in, live), addresses),
        ]
    assert len(list(chain(*work))) == 18  # and none of them failed by itself
    live.kill()  # and in the end everything at once
    live.start()
    eventually(lambda: not undelivered(live), seconds=60)
    live.listen_to_stripe(False)
    sweep(live)

    everything_was_applied(live, [person for person, _ in staying])
    for person, subscription in leaving:
        nobody_is_gone_and_still_charged(live, person, subscription)
        # Or we died before it was begun: then nothing at all has changed.
        assert is_gone(live, person) or status_of(live, subscription) == "active"
    for address in addresses:
        handed = live.postbox.to(address)
        assert len(set(handed)) == promised_to(live, address)
        assert len(handed) <= len(set(handed)) + 1


@contextmanager
def dying_at_random(shop: LiveShop) -> Iterator[None]:
    dice, over = random.Random(7), threading.Event()

    def reap() -> None:
        while not over.wait(dice.uniform(0, 0.3)):  # no waiting for anything: random is the point
            kill_a_worker(shop, dice.randrange(WORKERS))

    reaper = threading.Thread(target=reap)
    reaper.start()
    try:
        yield
    finally:
        over.set()
        reaper.join()


def change_plans(shop: LiveShop, subscription: str) -> None:
    at_stripe = stripe_side.client(shop).v1
    item = at_stripe.subscriptions.retrieve(subscription)["items"].data[0].id
    for plan in ("business", "pro") * 8:
        at_stripe.subscriptions.update(
            subscription, {"items": [{"id": item, "price": shop.price[plan, "monthly"]}]}
        )


def leave(shop: LiveShop, person: User) -> None:
    browser, header = shop.signed_in(person)
    with browser:
        shop.ask("DELETE", "/api/user", 0, browser, headers=header)


def sign_in(shop: LiveShop, address: str) -> None:
    with suppress(requests.ConnectionError):
        ask_to_sign_in(shop, address, 0)


def everything_was_applied(shop: LiveShop, people: list[User]) -> None:
    with shop.app.app_context():
        left = select(StripeEvent.id).where(StripeEvent.processed_at.is_(None))
        assert db.session.scalars(left).all() == []
        for person in people:
            assert subscriptions.differences(accounts.get(person.email)) == {}
            has_a_gapless_history(person)


def undelivered(shop: LiveShop) -> int:
    """Events that Stripe has not yet been able to deliver; it goes on trying."""
    (row,) = shop.sandbox_store.rows("SELECT count(*) FROM deliveries WHERE state = 'pending'")
    return int(row[0])


def has_a_gapless_history(person: User) -> None:
    """Each change begins where the one before ended, so none is missing and none is double."""
    changes = db.session.scalars(
        select(SubscriptionChange)
        .where(SubscriptionChange.user_id == person.id)
        .order_by(SubscriptionChange.counter)
    ).all()
    for earlier, later in itertools.pairwise(changes):
        assert earlier.after == later.before
        assert earlier.counter < later.counter


def is_gone(shop: LiveShop, person: User) -> bool:
    with shop.app.app_context():
        return db.session.get(User, person.id) is None


def promised_to(shop: LiveShop, address: str) -> int:
    with shop.app.app_context():
        asked = select(func.count()).select_from(SignInLink).where(SignInLink.email == address)
        return db.session.scalar(asked) or 0

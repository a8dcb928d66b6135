"""Races of two processes with ten threads each: in the end our columns match Stripe's state.

The number of requests to Stripe is limited. A sync that loses the compare-and-swap fetches again.
If it loses a second time, the winner started after it and has already written a newer state. So an
event fetches the subscriptions at most twice, however many arrive at once.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import requests
import stripe
import time_machine
from flask import Flask
from sqlalchemy import func, select, text, update

from saas import database
from saas.auth import accounts
from saas.auth.models import User
from saas.billing import customers, subscriptions
from saas.billing.models import (
    ClosedAccount,
    RevenueMovement,
    StripeEvent,
    SubscriptionChange,
)
from saas.database import db, now
from saas.users import account_deletion
from tests.billing.buying import pay_at_stripe
from tests.billing.cases import case
from tests.harness import stripe_account
from tests.harness.live_shop import THREADS, WORKERS, LiveShop, deliver_event
from tests.harness.stripe_account import CARD

AT_ONCE = WORKERS * THREADS
ASKED_AT_MOST = 2  # for each event
CALLS_OF_A_PROCESS = 5  # at a time, to Stripe; all events may reach the same process
PREVIEW = "POST /v1/invoices/create_preview"
_numbers = itertools.count(1)


def email() -> str:
    return f"racer-{next(_numbers)}@example.com"


def subject_of(user: User, subscription: str) -> dict[str, Any]:
    return {"id": subscription, "object": "subscription", "customer": user.stripe_customer_id}


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Call all functions at the same time, and return the results in the order of the calls."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [result.result() for result in [pool.submit(call) for call in calls]]


def until_accepted(send: Callable[[], Any]) -> Any:
    """Send a request again while the answer is 503: all may have reached the same process."""
    while (response := send()).status_code == 503:
        time.sleep(0.1)
    return response


def event_sender(
    shop: LiveShop, user: User, subscription: str, event: str = ""
) -> Callable[[], Any]:
    """Return a function that delivers an event until it is accepted, as Stripe does."""
    event = event or f"evt_{uuid.uuid4().hex}"
    subject = subject_of(user, subscription)
    return lambda: until_accepted(lambda: deliver_event(shop, subject, id=event))


@pytest.fixture(autouse=True)
def _nothing_deadlocks(live: LiveShop) -> Any:
    yield
    with live.app.app_context():
        if db.engine.dialect.name == "postgresql":
            known = text(
                "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
            )
            assert db.session.scalar(known) == 0


def assert_in_sync(shop: LiveShop, user: User) -> None:
    """The copy matches Stripe's state, and the history leads to it without a gap."""
    with shop.app.app_context():
        assert subscriptions.differences(accounts.get_by_email(user.email)) == {}
        changes = db.session.scalars(
            select(SubscriptionChange)
            .where(SubscriptionChange.user_id == user.id)
            .order_by(SubscriptionChange.counter)
        ).all()
        assert all(a.after == b.before for a, b in itertools.pairwise(changes))
        left = select(StripeEvent.id).where(
            StripeEvent.processed_at.is_(None),
            StripeEvent.customer_id == user.stripe_customer_id,
        )
        assert db.session.scalars(left).all() == []


def history(shop: LiveShop, user: User) -> list[str]:
    with shop.app.app_context():
        causes = select(SubscriptionChange.cause).where(SubscriptionChange.user_id == user.id)
        return list(db.session.scalars(causes))


@case(1, "in parallel, from two processes")
def test_one_event_in_every_thread_at_once_has_one_effect(live: LiveShop) -> None:
    ann, subscription = stripe_account.subscriber(live, email(), synced=False)
    event = f"evt_{subscription}"

    live.proxy.calls.clear()
    with live.proxy.gathering(CALLS_OF_A_PROCESS):  # no thread writes before five have fetched
        send = event_sender(live, ann, subscription, event)
        responses = at_once(*[send] * AT_ONCE)

    assert [response.status_code for response in responses] == [200] * AT_ONCE
    assert history(live, ann) == [event]
    assert live.proxy.calls.count("GET /v1/subscriptions") <= ASKED_AT_MOST * AT_ONCE
    assert live.proxy.calls.count(PREVIEW) <= ASKED_AT_MOST * AT_ONCE
    assert set(live.proxy.calls) == {"GET /v1/subscriptions", PREVIEW}
    assert_in_sync(live, ann)


@case(2)
def test_concurrent_events_of_one_customer_end_with_stripe_s_state(live: LiveShop) -> None:
    ann, subscription = stripe_account.subscriber(live, email())
    at_stripe = stripe_account.client(live).v1
    item = at_stripe.subscriptions.retrieve(subscription)["items"].data[0].id

    def change_and_send_event(number: int) -> Any:
        price = live.price["team" if number % 2 else "solo", "monthly"]
        at_stripe.subscriptions.update(subscription, {"items": [{"id": item, "price": price}]})
        return event_sender(live, ann, subscription)()

    live.proxy.calls.clear()
    responses = at_once(*[lambda n=n: change_and_send_event(n) for n in range(3 * AT_ONCE)])

    assert {response.status_code for response in responses} == {200}
    assert len({response.headers["X-Process"] for response in responses}) == WORKERS
    assert live.proxy.calls.count("GET /v1/subscriptions") <= ASKED_AT_MOST * len(responses)
    assert_in_sync(live, ann)
    truth = at_stripe.subscriptions.retrieve(subscription)["items"].data[0].price.id
    assert live.user(ann.email).stripe_price_id == truth


def test_repeated_events_of_many_users_do_not_block_each_other(live: LiveShop) -> None:
    rng = random.Random(3)
    users = [stripe_account.subscriber(live, email(), synced=False) for _ in range(8)]
    events = [event_sender(live, *one) for one in users for _ in range(4)] * 3
    rng.shuffle(events)

    live.proxy.calls.clear()
    responses = at_once(*events)

    assert {response.status_code for response in responses} == {200}
    assert live.proxy.calls.count("GET /v1/subscriptions") <= ASKED_AT_MOST * len(events)
    for user, _ in users:
        assert_in_sync(live, user)
        assert len(history(live, user)) == 1


@case(27, "running it during webhooks")
def test_commands_and_returns_from_checkout_run_beside_webhooks(live: LiveShop) -> None:
    ann, subscription = stripe_account.subscriber(live, email())
    at_stripe = stripe_account.client(live).v1
    headers = as_a_browser(live, ann)

    def sync() -> int:
        return live.app.test_cli_runner().invoke(args=["billing", "sync", ann.email]).exit_code

    def return_from_checkout() -> int:
        response = live.ask("GET", "/billing/return", 0, headers=dict(headers))
        return response.status_code if response is not None else 0

    def cancel_and_resume(when: bool) -> int:
        at_stripe.subscriptions.update(subscription, {"cancel_at_period_end": when})
        return int(event_sender(live, ann, subscription)().status_code)

    responses = at_once(
        *[lambda n=n: cancel_and_resume(n % 2 == 0) for n in range(12)],
        *[return_from_checkout] * 6,
        *[sync] * 6,
    )

    assert responses == [200] * 12 + [303] * 6 + [0] * 6
    assert_in_sync(live, ann)


def test_a_duplicate_detected_by_many_threads_is_refunded_once(live: LiveShop) -> None:
    ann, first = stripe_account.subscriber(live, email(), synced=False)
    at_stripe = stripe_account.client(live).v1
    metadata = at_stripe.subscriptions.retrieve(first).metadata
    second = at_stripe.subscriptions.create(
        {
            "customer": str(ann.stripe_customer_id),
            "items": [{"price": live.price["solo", "monthly"]}],
            "metadata": dict(metadata.to_dict()),
        }
    ).id

    responses = at_once(*[event_sender(live, ann, item) for item in (first, second) * 5])

    assert {response.status_code for response in responses} == {200}
    statuses = [at_stripe.subscriptions.retrieve(item).status for item in (first, second)]
    assert sorted(map(str, statuses)) == ["active", "canceled"]
    assert len(stripe_account.refunds_of(live, str(ann.stripe_customer_id))) == 1


@pytest.mark.postgres
def test_a_second_payment_detected_by_many_threads_is_refunded_once(
    live_with_lifetime: LiveShop,
) -> None:
    live = live_with_lifetime
    with live.app.app_context():
        ann = accounts.get_or_create(email())
        customers.ensure_customer(ann)
    ann = live.user(ann.email)
    sessions = [pay_at_stripe(live, ann) for _ in range(3)]

    def send(session: dict[str, Any]) -> Callable[[], Any]:
        event, kind = f"evt_{uuid.uuid4().hex}", "checkout.session.completed"
        return lambda: until_accepted(lambda: deliver_event(live, session, id=event, kind=kind))

    responses = at_once(*[send(session) for session in sessions * 5])

    assert {response.status_code for response in responses} == {200}
    assert_in_sync(live, ann)
    assert len(stripe_account.refunds_of(live, str(ann.stripe_customer_id))) == 2
    with live.app.app_context():
        purchases = [paid.is_valid for paid, _ in accounts.get_by_email(ann.email).purchases]
    assert sorted(purchases) == [False, False, True]


@pytest.mark.postgres
def test_a_double_click_on_a_one_time_plan_opens_one_page(live_with_lifetime: LiveShop) -> None:
    live = live_with_lifetime
    with live.app.app_context():
        ann = accounts.get_or_create(email())
    headers, data = as_a_browser(live, ann), {"plan": "lifetime", "interval": "once"}

    def buy(nonce: str) -> Any:
        form = {**data, "nonce": nonce}
        return until_accepted(
            lambda: live.ask("POST", "/billing/checkout", 0, headers=dict(headers), data=form)
        )

    responses = at_once(*[lambda n=n: buy(f"{n // 2:x}") for n in range(8)])
    pages = {response.headers["Location"] for response in responses}
    for page in pages:
        requests.post(page, data=CARD, timeout=30, allow_redirects=False)

    assert [page.status for page in pages_of(live, ann)].count("complete") == 1
    charges = stripe_account.client(live).v1.charges.list(
        {"customer": str(live.user(ann.email).stripe_customer_id)}
    )
    assert [charge.amount for charge in charges.data] == [29900]


@case(14, "two tabs", "double click")
def test_of_checkouts_opened_at_once_one_stays_open(live: LiveShop) -> None:
    """With many tabs and two processes, only one page can be paid."""
    for plans_of_tabs in (["solo"] * 6, ["solo", "team"] * 4):
        with live.app.app_context():
            ann = accounts.get_or_create(email())
        headers = as_a_browser(live, ann)

        def buy(number: int, plan: str, headers: dict[str, str] = headers) -> Any:
            data = {"plan": plan, "interval": "monthly", "nonce": f"{number:x}"}
            return until_accepted(
                lambda: live.ask("POST", "/billing/checkout", 0, headers=dict(headers), data=data)
            )

        responses = at_once(*[lambda n=n, p=p: buy(n, p) for n, p in enumerate(plans_of_tabs)])

        assert {response.status_code for response in responses} == {303}
        opened = [page.url for page in pages_of(live, ann) if page.status == "open"]
        assert len(opened) == 1
        assert opened[0] in {response.headers["Location"] for response in responses}


def test_a_checkout_paid_while_another_is_opened_starts_one_trial(live: LiveShop) -> None:
    """The other request saw no subscription, and would offer the trial again."""
    with live.app.app_context():
        ann = accounts.get_or_create(email())
    headers = as_a_browser(live, ann)

    def buy(plan: str) -> Any:
        data = {"plan": plan, "interval": "monthly", "nonce": uuid.uuid4().hex}
        return live.ask("POST", "/billing/checkout", 0, headers=dict(headers), data=data)

    page = buy("solo").headers["Location"]
    with ThreadPoolExecutor(1) as pool, live.proxy.holding("POST /v1/checkout/sessions") as arrived:
        asked = pool.submit(buy, "team")
        assert arrived.wait(10)
        requests.post(page, data=CARD, timeout=30, allow_redirects=False)
    response = asked.result()

    assert "/stripe/portal/" in response.headers["Location"]
    assert sorted(str(page.status) for page in pages_of(live, ann)) == ["complete", "expired"]
    result = stripe_account.client(live).v1.subscriptions.list({"status": "all"}).data
    customer = live.user(ann.email).stripe_customer_id
    assert len([subscription for subscription in result if subscription.customer == customer]) == 1


@case(26, "twice", "racing a webhook")
def test_account_deletion_beside_other_requests_leaves_nothing_to_pay(live: LiveShop) -> None:
    ann, subscription = stripe_account.subscriber(live, email())
    headers = as_a_browser(live, ann)

    def ask(method: str, path: str, **data: str) -> Callable[[], Any]:
        return lambda: live.ask(method, path, 0, headers=dict(headers), data=data)

    def sync() -> Any:
        with live.app.app_context():
            subscriptions.sync(ann.id, cause="a race")

    responses = at_once(
        *[event_sender(live, ann, subscription) for _ in range(6)],
        *[ask("DELETE", "/api/user")] * 2,
        *[ask("POST", "/billing/checkout", plan="team", interval="yearly")] * 4,
        *[ask("GET", "/billing/return")] * 3,
        *[event_sender(live, ann, subscription) for _ in range(6)],
        *[sync] * 2,
    )  # fmt: skip

    events, pages = [*responses[:6], *responses[15:21]], responses[6:15]
    assert {response.status_code for response in events} == {200}
    assert {response.status_code for response in pages} <= {200, 303, 401, 503}  # never 500
    assert 200 in {response.status_code for response in responses[6:8]}  # the account was closed
    assert_not_charged(live, ann)


def test_a_checkout_that_races_account_deletion_sells_nothing(live: LiveShop) -> None:
    """A user without a subscription deletes the account while checkouts are opened."""
    with live.app.app_context():
        ann = accounts.get_or_create(email())
    headers = as_a_browser(live, ann)

    def buy(number: int) -> Any:
        data = {"plan": "solo", "interval": "monthly", "nonce": f"{number:x}"}
        return live.ask("POST", "/billing/checkout", 0, headers=dict(headers), data=data)

    responses = at_once(
        *[lambda n=n: buy(n) for n in range(6)],
        lambda: live.ask("DELETE", "/api/user", 0, headers=dict(headers)),
        *[lambda n=n: buy(n) for n in range(6, 12)],
    )

    # 503 when the customer was deleted between two steps: nothing was changed.
    assert {response.status_code for response in responses} <= {200, 303, 401, 503}
    assert responses[6].status_code == 200
    assert_not_charged(live, ann)


def test_a_checkout_created_while_account_deletion_starts_is_expired(
    live: LiveShop,
) -> None:
    with live.app.app_context():
        ann = accounts.get_or_create(email())
    headers, data = as_a_browser(live, ann), {"plan": "solo", "interval": "monthly"}

    with ThreadPoolExecutor(1) as pool, live.proxy.holding("POST /v1/checkout/sessions") as arrived:
        asked = pool.submit(
            live.ask, "POST", "/billing/checkout", 0, headers=dict(headers), data=data
        )
        assert arrived.wait(10)
        with live.app.app_context(), database.write_transaction():
            database.execute(update(User).where(User.id == ann.id).values(closing_at=now()))
    response = asked.result()

    assert response is not None
    assert response.headers["Location"] == "/dashboard/billing"
    (page,) = pages_of(live, ann)
    assert page.status == "expired"


@case(26, "racing an open checkout that is paid afterwards")
def test_a_checkout_paid_during_account_deletion_is_refunded(live: LiveShop) -> None:
    with live.app.app_context():
        ann = accounts.get_or_create(email())
    headers = as_a_browser(live, ann)
    data = {"plan": "solo", "interval": "monthly"}
    page = live.ask("POST", "/billing/checkout", 0, headers=dict(headers), data=data)
    assert page is not None

    with ThreadPoolExecutor(1) as pool, live.proxy.holding() as arrived:
        closed = pool.submit(live.ask, "DELETE", "/api/user", 0, headers=dict(headers))
        assert arrived.wait(10)  # it is about to list the open pages
        requests.post(page.headers["Location"], data=CARD, timeout=30, allow_redirects=False)
    response = closed.result()

    assert response is not None
    assert response.status_code == 200
    assert_not_charged(live, ann, pages="complete")
    (paid,) = pages_of(live, ann)
    (charge,) = stripe_account.client(live).v1.charges.list({"customer": str(paid.customer)}).data
    assert charge.refunded


@case(26, "racing an open checkout that is paid afterwards")
def test_a_payment_in_progress_during_account_deletion_is_refunded(
    live: LiveShop,
) -> None:
    """The page cannot be expired, and its subscription starts after the others were listed."""
    with live.app.app_context():
        ann = accounts.get_or_create(email())
    headers = as_a_browser(live, ann)
    data = {"plan": "solo", "interval": "monthly"}
    page = live.ask("POST", "/billing/checkout", 0, headers=dict(headers), data=data)
    assert page is not None

    def pay_late(environ: dict[str, Any], start_response: Any) -> Any:
        if environ["PATH_INFO"].endswith("/expire"):
            start_response("400 Bad Request", [("Content-Type", "application/json")])
            return [b'{"error": {"type": "invalid_request_error", "message": "in payment"}}']
        if environ["REQUEST_METHOD"] == "DELETE":
            requests.post(page.headers["Location"], data=CARD, timeout=30, allow_redirects=False)
        return live.proxy.app(environ, start_response)

    with live.proxy.answering(pay_late):
        response = live.ask("DELETE", "/api/user", 0, headers=dict(headers))

    assert response is not None
    assert response.status_code == 200
    assert_not_charged(live, ann, pages="complete")
    (paid,) = pages_of(live, ann)
    (charge,) = stripe_account.client(live).v1.charges.list({"customer": str(paid.customer)}).data
    assert charge.refunded


@case(26, "with Stripe down", "twice")
def test_concurrent_account_deletions_do_not_undo_each_other(live: LiveShop) -> None:
    """Stripe fails during both requests. Both responses say that deletion has begun."""
    ann, subscription = stripe_account.subscriber(live, email())
    headers = as_a_browser(live, ann)
    first_asks, second_is_told = threading.Event(), threading.Event()

    def away(_: dict[str, Any], start_response: Any) -> Any:
        if not first_asks.is_set():
            first_asks.set()
            second_is_told.wait(5)
        start_response("503 Service Unavailable", [("Content-Type", "application/json")])
        return [b"{}"]

    with ThreadPoolExecutor(1) as pool, live.proxy.answering(away):
        first = pool.submit(live.ask, "DELETE", "/api/user", 0, headers=dict(headers))
        assert first_asks.wait(10)
        second = live.ask("DELETE", "/api/user", 0, headers=dict(headers))
        second_is_told.set()
        responses = [first.result(), second]

    message = [response.json()["error"]["code"] for response in responses if response is not None]
    assert message == ["closing", "closing"]
    with live.app.app_context(), time_machine.travel(now() + timedelta(minutes=5), tick=True):
        account_deletion.finish_deletions()
    assert_not_charged(live, ann)
    assert stripe_account.client(live).v1.subscriptions.retrieve(subscription).status == "canceled"


def test_of_two_new_emails_stripe_ends_with_the_last_in_any_order_of_requests(
    live: LiveShop,
) -> None:
    ann, _ = stripe_account.subscriber(live, email())
    customer, last = str(ann.stripe_customer_id), email()
    with (
        ThreadPoolExecutor(1) as pool,
        live.proxy.holding(f"POST /v1/customers/{customer}") as arrived,
    ):
        slow = pool.submit(move_to, email(), live.app_behind_proxy, ann)
        assert arrived.wait(20)
        move_to(last, live.app, ann)
    slow.result()

    assert stripe_account.client(live).v1.customers.retrieve(customer).email == last
    assert live.user(last).stripe_email_stale_since is None


def move_to(address: str, app: Flask, user: User) -> None:
    with app.app_context(), database.write_transaction():
        database.execute(update(User).where(User.id == user.id).values(email=address))
        customers.mark_email_stale(user)


def pages_of(shop: LiveShop, user: User) -> list[stripe.checkout.Session]:
    pages = stripe_account.client(shop).v1.checkout.sessions.list({"limit": 100})
    mine = str(user.id)
    return [page for page in pages.auto_paging_iter() if page.client_reference_id == mine]


def as_a_browser(shop: LiveShop, user: User) -> dict[str, str]:
    """Return the headers of a signed-in browser, for concurrent requests."""
    browser, header = shop.signed_in(user)
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    browser.close()
    return {**header, "Cookie": cookie, "Origin": shop.url}


def assert_not_charged(shop: LiveShop, user: User, pages: str = "expired") -> None:
    """The account is deleted, and its customers have no live subscription and no open checkout.

    The movements of deleted accounts add up to nothing: the end of each is counted once.
    """
    at_stripe = stripe_account.client(shop).v1
    with shop.app.app_context():
        assert db.session.get(User, user.id) is None
        buried = select(func.count()).where(ClosedAccount.user_id == user.id)
        assert db.session.scalar(buried) == 1
        of_deleted = select(func.sum(RevenueMovement.amount))
        assert not db.session.scalar(of_deleted.where(RevenueMovement.user_id.is_(None)))
    customers = at_stripe.customers.list({"limit": 100}).auto_paging_iter()
    assert user.email not in [customer.email for customer in customers]
    assert {page.status for page in pages_of(shop, user)} <= {pages}
    for subscription in at_stripe.subscriptions.list({"limit": 100}).auto_paging_iter():
        assert subscription.metadata.to_dict().get("user") != str(user.id)

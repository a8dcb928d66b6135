"""When workers are killed at work, no email and no event is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from saas_sandbox import create_sandbox
from sqlalchemy import select, update

from saas import database
from saas.auth import magic_links
from saas.billing.models import StripeEvent
from saas.database import db
from saas.mail.models import OutboxMessage
from saas.schedule import TaskLease
from tests.harness import stripe_account
from tests.harness.apps import both_databases
from tests.harness.servers import free_port, serving
from tests.harness.shop import Shop, open_shop
from tests.harness.stripe_proxy import StripeProxy
from tests.harness.visitor import Visitor
from tests.harness.waiting import eventually
from tests.harness.workers import workers

PEOPLE = [f"person{number}@example.com" for number in range(8)]
A_WHILE = timedelta(minutes=10)


@pytest.fixture
def proxy() -> Iterator[tuple[StripeProxy, str]]:
    """A sandbox of this test's own behind a proxy, and the proxy's URL."""
    sandbox_app = create_sandbox()
    proxy = StripeProxy(sandbox_app)
    with serving(proxy) as url:
        yield proxy, url
    sandbox_app.extensions["sandbox"].close()


def let_time_pass(app: Flask) -> None:
    """Let leases expire and make periodic tasks due, as after some minutes."""
    with app.app_context(), database.write_transaction():
        for column in (OutboxMessage.due_at, TaskLease.due_at, StripeEvent.received_at):
            model = column.class_
            rows = db.session.execute(select(*model.__table__.primary_key.columns, column)).all()
            for *key, at in rows:
                if at is not None:
                    (name,) = model.__table__.primary_key.columns
                    earlier = {column.key: at - A_WHILE}
                    database.execute(update(model).where(name == key[0]).values(**earlier))


def handed_over(app: Flask) -> int:
    with app.app_context():
        mails = db.session.scalars(select(OutboxMessage)).all()
        return sum(mail.handed_over_at is not None for mail in mails)


def queues(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    if name == "redis":
        return str(request.getfixturevalue("redis"))
    if name == "postgres":
        url = str(request.getfixturevalue("database_url"))
        return url.replace("postgresql://", "postgresql+psycopg://")
    return f"sqlite:///{tmp_path}/jobs.db"


@pytest.mark.parametrize(
    ("database_url", "queue", "after"),
    [
        ("sqlite", "sqlite", False),
        ("sqlite", "sqlite", True),
        pytest.param("postgres", "postgres", False, marks=pytest.mark.postgres),
        pytest.param("postgres", "postgres", True, marks=pytest.mark.postgres),
        ("sqlite", "redis", False),
    ],
    indirect=["database_url"],
)
def test_workers_killed_while_they_deliver_lose_no_email(
    queue: str, after: bool, request: pytest.FixtureRequest, tmp_path: Path,
    make_app: Callable[..., Flask], proxy: tuple[StripeProxy, str], database_url: str,
) -> None:  # fmt: skip
    """Killed before the mail server accepted the email, or before we recorded that it did."""
    sandbox, url = proxy
    jobs_url = queues(queue, tmp_path, request)
    app = make_app(JOBS_URL=jobs_url, SANDBOX_URL=url, SAAS_ENV="development")
    with app.app_context():
        for email in PEOPLE:
            magic_links.send(email, "/dashboard")
    with workers(DATABASE_URL=database_url, JOBS_URL=jobs_url, SANDBOX_URL=url) as crew:
        with sandbox.holding("POST /resend/emails", after=after) as held:
            crew.start(2)
            eventually(lambda: held.count >= 2, 40)  # some are delivering emails
            crew.kill()
        assert handed_over(app) == 0

        let_time_pass(app)
        crew.start()
        eventually(lambda: handed_over(app) == len(PEOPLE), 40)
        assert crew.stop() == [0]

    reader = Visitor("http://localhost:5000", url)
    for email in PEOPLE:
        assert (
            len(reader.emails_to(email)) == 1
        )  # the mailbox recognizes an email that arrives again
    reader.close()


@both_databases
def test_workers_killed_while_they_apply_events_lose_no_event(
    tmp_path: Path,
    make_app: Callable[..., Flask],
    proxy: tuple[StripeProxy, str],
    database_url: str,
) -> None:
    stripe, url = proxy
    with contextmanager(open_shop)(make_app, url, SANDBOX_URL=url) as shop:
        _receive_without_stripe(make_app, shop)
        env = _settings(shop, DATABASE_URL=database_url, JOBS_URL=f"sqlite:///{tmp_path}/jobs.db")
        let_time_pass(shop.app)
        with workers(**env) as crew:
            with stripe.holding("GET /v1/subscriptions") as held:
                crew.start(2)
                eventually(lambda: held.count, 40)  # only one runs the task and calls Stripe
                assert held.count == 1
                crew.kill()
            assert _unprocessed(shop.app) == 4

            let_time_pass(shop.app)
            crew.start()
            eventually(lambda: _unprocessed(shop.app) == 0, 40)
            assert crew.stop() == [0]
        for email in PEOPLE[:4]:
            assert shop.user(email).stripe_subscription_status == "active"


def _receive_without_stripe(make_app: Callable[..., Flask], shop: Shop) -> None:
    """Events of four users arrive during a Stripe outage: recorded, and not applied."""
    at_stripe = stripe_account.client(shop).v1
    for endpoint in at_stripe.webhook_endpoints.list().data:
        at_stripe.webhook_endpoints.delete(endpoint.id)
    cut_off = make_app(
        SANDBOX_STRIPE_API_KEY=shop.key,
        SANDBOX_STRIPE_WEBHOOK_SECRET=shop.app.config["STRIPE_WEBHOOK_SECRET"],
        SANDBOX_URL=f"http://localhost:{free_port()}",
    )
    with serving(cut_off) as url:
        for number, email in enumerate(PEOPLE[:4]):
            user, subscription = stripe_account.subscriber(shop, email, synced=False)
            subject: dict[str, Any] = {"id": subscription, "object": "subscription"}
            subject["customer"] = user.stripe_customer_id
            kind = "customer.subscription.created"
            response = stripe_account.send_event(shop, kind, subject, id=f"evt_{number}", url=url)
            assert response.status_code == 503


def _settings(shop: Shop, **env: str) -> dict[str, str]:
    return {
        **shop.price_variables, **env, "SANDBOX_URL": shop.sandbox, "APP_URL": shop.url,
        "SANDBOX_STRIPE_API_KEY": shop.key,
    }  # fmt: skip


def _unprocessed(app: Flask) -> int:
    with app.app_context():
        events = db.session.scalars(select(StripeEvent)).all()
        return sum(event.processed_at is None for event in events)


@pytest.mark.parametrize(
    "url", ["postgresql://nobody@127.0.0.1:1/nothing", "redis://127.0.0.1:1/0"]
)
def test_emails_are_sent_without_a_queue(
    url: str, make_app: Callable[..., Flask], proxy: tuple[StripeProxy, str], database_url: str,
) -> None:  # fmt: skip
    _, sandbox = proxy
    app = make_app(JOBS_URL=url, SANDBOX_URL=sandbox, SAAS_ENV="development")
    with workers(DATABASE_URL=database_url, JOBS_URL=url, SANDBOX_URL=sandbox) as crew:
        crew.start()
        for number, email in enumerate(PEOPLE[:2], 1):
            with app.app_context():
                magic_links.send(email, "/dashboard")
            let_time_pass(app)
            eventually(lambda number=number: handed_over(app) == number, 40)
        assert crew.stop() == [0]

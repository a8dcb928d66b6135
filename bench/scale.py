"""Compare what a request or task costs with a thousand users and with a million.

    make bench-scale                 PostgreSQL, started for this
    make bench-scale USERS=100000    fewer

A fifth of the users have a subscription. The database makes the rows itself, in minutes. Times are
medians of the whole call in this process; only their ratio means something. The bar is 1.5.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from sqlalchemy import text

from bench import pages
from saas import database, metrics
from saas.auth import accounts, roles, sessions
from saas.billing import history, tasks
from saas.database import db
from saas.mail import outbox
from saas.users.export import export_user
from tests.harness import stripe_account
from tests.harness.clients import start_session

FEW, BAR, TIMES = 1_000, 1.5, 30

# The numbers from :first to :last; every fifth user pays. md5 makes unique ids of them.
ROWS = (
    """
    INSERT INTO users (id, email, name, role, created_at, verified_at,
        stripe_customer_id, stripe_customer_generation, stripe_sync_counter,
        stripe_subscription_id, stripe_subscription_status, stripe_price_id,
        stripe_current_period_end, stripe_synced_at)
    SELECT md5('user' || n)::uuid, 'person' || n || '@example.com', 'Person ' || n, 'user',
        now() - interval '1 day', now(),
        CASE WHEN n % 5 = 0 THEN 'cus_' || n END, 0, 1,
        CASE WHEN n % 5 = 0 THEN 'sub_' || n END,
        CASE WHEN n % 5 = 0 THEN 'active' END,
        CASE WHEN n % 5 = 0 THEN :price END,
        CASE WHEN n % 5 = 0 THEN now() + interval '20 days' END,
        CASE WHEN n % 5 = 0 THEN now() END
    FROM generate_series(CAST(:first AS int), CAST(:last AS int)) n
    """,
    """
    INSERT INTO sessions (id, token_hash, user_id, created_at, last_seen_at, expires_at, user_agent)
    SELECT md5('session' || n)::uuid, decode(md5('token' || n) || md5('x' || n), 'hex'),
        md5('user' || n)::uuid, now(), now(), now() + interval '60 days', 'a browser'
    FROM generate_series(CAST(:first AS int), CAST(:last AS int)) n
    """,
    """
    INSERT INTO outbox_messages (id, key, kind, subject_id, created_at, attempts, handed_over_at)
    SELECT md5('mail' || n)::uuid, 'welcome:' || n, 'welcome', md5('user' || n)::uuid, now(), 1,
        now()
    FROM generate_series(CAST(:first AS int), CAST(:last AS int)) n
    """,
    """
    INSERT INTO stripe_events (id, type, created, livemode, customer_id, received_at,
        processed_at, attempts)
    SELECT 'evt_' || n, 'customer.subscription.updated', now(), false, 'cus_' || n,
        now() - n * interval '1 second', now(), 1
    FROM generate_series(CAST(:first AS int), CAST(:last AS int)) n
    """,
    """
    INSERT INTO subscription_changes (id, user_id, counter, at, cause, before, after)
    SELECT md5('change' || n)::uuid, md5('user' || n)::uuid, 1, now() - interval '2 days',
        'evt_' || n, '{}', '{}'
    FROM generate_series(CAST(:first AS int), CAST(:last AS int)) n WHERE n % 5 = 0
    """,
)


def main() -> int:
    """Measure with few and with many users, print the ratios, and return the exit code."""
    parser = argparse.ArgumentParser(prog="make bench-scale", description=__doc__)
    parser.add_argument("--users", type=int, default=1_000_000)
    many = parser.parse_args().users
    logging.disable()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        shop, _ = pages.opened_shop(Path(name), stack, "postgres")
        calls = {**prepared(shop), **admin_calls(shop)}
        price = shop.price[shop.lowest_plan, "monthly"]
        fill(shop.app, price, 1, FEW)
        few = measured(shop.app, calls)
        began = time.monotonic()
        fill(shop.app, price, FEW + 1, many)
        print(f"{many:,} users were made in {time.monotonic() - began:.0f} s")
        slow = report(few, measured(shop.app, calls))
        print(f"memory of this process: {psutil.Process().memory_info().rss / 1e6:.0f} MB")
    return int(slow)


def report(few: dict[str, float], many: dict[str, float]) -> bool:
    """Print a line for each call; return whether one exceeds the bar."""
    for name in few:
        ratio = many[name] / few[name]
        print(f"{name:<34} {few[name]:8.2f} ms {many[name]:8.2f} ms   x {ratio:5.2f}"
              f"{'   above the bar' if ratio > BAR else ''}")  # fmt: skip
    return any(many[name] / few[name] > BAR for name in few)


def prepared(shop: Any) -> dict[str, Callable[[], Any]]:
    """Return what is measured. The user who asks has a subscription in the sandbox."""
    user, subscription = stripe_account.subscriber(shop, "bench@example.com")
    stripe_account.remove_endpoints(shop)
    name, value, _ = start_session(shop.app, user)
    client = shop.app.test_client(use_cookies=False)
    numbers = iter(range(10**9))

    def get(path: str) -> Callable[[], Any]:
        return lambda: client.get(
            path, headers={"Cookie": f"{name}={value}"}, base_url=shop.app.config["APP_URL"]
        )

    def webhook() -> None:
        payload, headers = stripe_account.subscription_event(shop, user, subscription)
        response = client.post("/api/webhooks/stripe", data=payload, headers=headers)
        if response.json != {"outcome": "applied"}:
            raise SystemExit(f"the webhook returned {response.status_code}: {response.text}")

    return {
        "GET /dashboard": get("/dashboard"),
        "GET /dashboard/billing": get("/dashboard/billing"),
        "GET /dashboard/settings": get("/dashboard/settings"),
        "webhook, applied": webhook,
        "account by email": lambda: accounts.find_by_email("person77@example.com"),
        "sign-up": lambda: accounts.get_or_create(f"new{next(numbers)}@example.com"),
        "export of a user": lambda: export_user(accounts.get_by_email("bench@example.com")),
        "history of a user": lambda: history.list_for_user(user.id),
        "last administrator?": lambda: roles.is_last_admin(user),
        "users list, first 1,000": lambda: list(islice(accounts.list_all(), FEW)),
        "task: ended periods": tasks.sync_ended_periods,
        "task: ending trials": tasks.sync_ending_trials,
        "task: stale emails": tasks.update_stale_emails,
        "task: failed events": tasks.retry_events,
        "task: due emails": outbox.deliver_due,
        "task: expired sessions": sessions.delete_expired_sessions,
        "scrape of the metrics": lambda: list(metrics.DatabaseValues(shop.app).collect()),
    }


def admin_calls(shop: Any) -> dict[str, Callable[[], Any]]:
    """Return the pages of an administrator."""
    with shop.app.app_context():
        admin = accounts.get_or_create("boss@example.com", role="admin")
    shop.app.test_cli_runner().invoke(args=["admin", "figures"])
    name, value, _ = start_session(shop.app, admin)
    client = shop.app.test_client(use_cookies=False)
    lists = ("", "/users", "/users?sort=email", f"/users?plan={shop.lowest_plan}",
             "/users?status=active", "/users?status=past_due", "/users?q=person77@example.com",
             "/events", "/events?state=failed", "/events?type=customer.deleted", "/emails",
             "/emails?kind=recovered", "/emails?state=failed", "/audit")  # fmt: skip

    def get(path: str) -> Any:
        headers = {"Cookie": f"{name}={value}"}
        response = client.get(path, headers=headers, base_url=shop.app.config["APP_URL"])
        if response.status_code != 200:
            raise SystemExit(f"{path} returned {response.status_code}")

    return {f"GET /admin{path}": partial(get, f"/admin{path}") for path in lists}


def fill(app: Any, price: str, first: int, last: int) -> None:
    """Insert rows in parts, update the database's statistics, and let it finish writing."""
    with app.app_context():
        for start in range(first, last + 1, 100_000):
            values = {"first": start, "last": min(start + 99_999, last), "price": price}
            for statement in ROWS:
                with database.write_transaction() as session:
                    session.execute(text(statement), values)
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
            connection.execute(text("CHECKPOINT"))  # or it is written during the measurement


def measured(app: Any, calls: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Return the milliseconds of each call: the lower median of two rounds, for a busy machine."""
    first, second = _round(app, calls), _round(app, calls)
    return {name: min(first[name], second[name]) for name in calls}


def _round(app: Any, calls: dict[str, Callable[[], Any]]) -> dict[str, float]:
    results = {}
    for name, call in calls.items():
        times = []
        for _ in range(TIMES):
            with app.app_context():
                began = time.perf_counter()
                call()
                times.append(time.perf_counter() - began)
        results[name] = median(times[3:]) * 1000
    return results


if __name__ == "__main__":
    sys.exit(main())

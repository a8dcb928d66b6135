"""Send webhooks: rows stored with their event are signed and sent after the commit.

Delivery is at least once and in no guaranteed order. It is retried after any response but 2xx: soon
at first, so that a restart loses nothing, then less often for three days.
https://docs.stripe.com/webhooks#retries
"""

import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import requests
import stripe

from saas_sandbox.store import Store
from saas_sandbox.stripe.accounts import find_account
from saas_sandbox.stripe.engine import events
from saas_sandbox.stripe.engine.resource import Resource

TIMEOUT = (2, 10)
RETRY_SECONDS = 3 * 86400
MAX_RETRY_DELAY = 3600
MAX_WORKERS = 4
MAX_RESPONSE_LENGTH = 2000

# While a clock advances, deliveries of its account wait, because there may be thousands.
ADVANCING_ACCOUNTS = (
    "(SELECT account FROM objects WHERE type = 'test_helpers.test_clock' AND status = 'advancing')"
)


@dataclass(frozen=True)
class EndpointResponse:
    """The response of the endpoint; a status of None means no response."""

    status: int | None
    text: str

    @property
    def accepted(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


Post = Callable[[str, bytes, dict[str, str]], EndpointResponse]


@dataclass(frozen=True)
class Delivery:
    """One signed request to one endpoint."""

    id: int
    account: str
    attempts: int
    url: str
    body: bytes
    headers: dict[str, str]


def post_over_http(url: str, body: bytes, headers: dict[str, str]) -> EndpointResponse:
    """Send a POST request like Stripe: do not follow redirects, but verify certificates."""
    try:
        with requests.Session() as session:
            session.trust_env = False
            response = session.post(
                url, data=body, headers=headers, timeout=TIMEOUT, allow_redirects=False
            )
            return EndpointResponse(response.status_code, response.text[:MAX_RESPONSE_LENGTH])
    except (requests.RequestException, UnicodeError) as error:
        return EndpointResponse(None, f"{type(error).__name__}: {error}"[:MAX_RESPONSE_LENGTH])


class WebhookSender:
    """Sends due deliveries, a few at a time."""

    def __init__(self, store: Store, post: Post, real_now: Callable[[], float]) -> None:
        self.store = store
        self.post = post
        self.real_now = real_now
        self._executor = ThreadPoolExecutor(MAX_WORKERS, thread_name_prefix="delivery")
        self._in_flight: dict[int, Future[None]] = {}

    def send_due(self) -> bool:
        """Send due deliveries and wait for the responses; return True if any were sent."""
        deliveries = self._list_due()
        for delivery in deliveries:
            self._send(delivery)
        return bool(deliveries)

    def start_due(self, wake: Callable[[], None]) -> None:
        """Send due deliveries without waiting; `wake` is called when responses arrive."""
        free = MAX_WORKERS * 2 - len(self._in_flight)
        for delivery in self._list_due(free) if free > 0 else []:
            future = self._executor.submit(self._send, delivery)
            self._in_flight[delivery.id] = future
            future.add_done_callback(partial(self._finish, delivery.id, wake))

    def next_due(self) -> float | None:
        """Return the time when the next delivery is due, or None."""
        busy = ",".join(str(id) for id in list(self._in_flight)) or "0"
        row = self.store.fetch_one(
            "SELECT min(next_at) FROM deliveries "  # noqa: S608 numbers of our own
            f"WHERE next_at IS NOT NULL AND id NOT IN ({busy}) "
            f"AND account NOT IN {ADVANCING_ACCOUNTS}"
        )
        return row[0] if row else None

    def close(self) -> None:
        """Wait for the deliveries in flight."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _finish(self, id: int, wake: Callable[[], None], _: Future[None]) -> None:
        self._in_flight.pop(id, None)
        wake()

    def _list_due(self, limit: int = 100) -> list[Delivery]:
        busy = ",".join(str(id) for id in list(self._in_flight)) or "0"
        rows = self.store.fetch_all(
            "SELECT * FROM deliveries WHERE next_at <= ? "  # noqa: S608 numbers of our own
            f"AND id NOT IN ({busy}) AND account NOT IN {ADVANCING_ACCOUNTS} "
            "ORDER BY next_at, id LIMIT ?",
            self.real_now(), limit,
        )  # fmt: skip
        return [delivery for row in rows if (delivery := self._build_delivery(row))]

    def _build_delivery(self, row: sqlite3.Row) -> Delivery | None:
        account = find_account(self.store, row["account"], self.real_now)
        endpoint = account and account.find("webhook_endpoint", row["endpoint"])
        event = account and account.find("event", row["event"])
        if not endpoint or not event or endpoint.get("deleted"):
            self._abandon(row["id"])
            return None
        body = events.serialize(event)
        return Delivery(
            id=row["id"],
            account=row["account"],
            attempts=row["attempts"],
            url=endpoint["url"],
            body=body.encode(),
            headers=build_headers(endpoint, body),
        )

    def _send(self, delivery: Delivery) -> None:
        try:
            response = self.post(delivery.url, delivery.body, delivery.headers)
        except Exception as error:  # not a 2xx response: do not retry immediately
            response = EndpointResponse(
                None, f"{type(error).__name__}: {error}"[:MAX_RESPONSE_LENGTH]
            )
        attempts = delivery.attempts + 1
        state, next_at = "delivered", None
        if not response.accepted:
            next_at = self._next_attempt(attempts)
            state = "pending" if next_at else "failed"
        with self.store.transaction():
            self.store.execute(
                "UPDATE deliveries SET state = ?, attempts = ?, next_at = ?, "
                "status = ?, response = ? WHERE id = ?",
                state, attempts, next_at, response.status, response.text, delivery.id,
            )  # fmt: skip

    def _next_attempt(self, attempts: int) -> float | None:
        waited = sum(get_retry_delay(n) for n in range(1, attempts))
        return None if waited > RETRY_SECONDS else self.real_now() + get_retry_delay(attempts)

    def _abandon(self, id: int) -> None:
        self.store.execute(
            "UPDATE deliveries SET state = 'abandoned', next_at = NULL WHERE id = ?", id
        )


def get_retry_delay(attempts: int) -> float:
    """Return the seconds until the next retry: 1, 2, 4 … up to an hour."""
    return float(min(2 ** (attempts - 1), MAX_RETRY_DELAY))


def build_headers(endpoint: Resource, body: str) -> dict[str, str]:
    """Return headers with a signature made by the SDK, in real time."""
    secret: str = endpoint["_internal"]["secret"]
    signature = stripe.WebhookSignature.generate_signature_header(body, secret, int(time.time()))
    return {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "Stripe/1.0 (sandbox)",
        "Stripe-Signature": signature,
    }


def redeliver(store: Store, account: str, delivery: int) -> None:
    """Deliver once more now, even if an earlier delivery succeeded."""
    store.execute(
        "UPDATE deliveries SET state = 'pending', attempts = 0, next_at = 0 "
        "WHERE id = ? AND account = ?",
        delivery, account,
    )  # fmt: skip


def list_for_event(store: Store, account: str, event: str) -> list[dict[str, Any]]:
    """Return the deliveries of an event, oldest first."""
    rows = store.fetch_all(
        "SELECT * FROM deliveries WHERE account = ? AND event = ? ORDER BY id", account, event
    )
    return [dict(row) for row in rows]

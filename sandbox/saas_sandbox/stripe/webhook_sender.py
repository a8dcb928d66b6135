"""Send webhooks: rows stored with their event are signed and sent after the commit.

Delivery is at least once, in no guaranteed order, and retried after any response but 2xx: soon at
first, so that a restart loses nothing, then less often for three days.
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
PATIENCE = 3 * 86400
SLOWEST = 3600
AT_ONCE = 4
KEPT = 2000

# While a clock advances, deliveries of its account wait, because there may be thousands.
TRAVELLING = (
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
    delivery: int
    account: str
    attempts: int
    url: str
    body: bytes
    headers: dict[str, str]


def over_http(url: str, body: bytes, headers: dict[str, str]) -> EndpointResponse:
    """POST like Stripe: redirects are not followed, certificates are verified."""
    try:
        with requests.Session() as session:
            session.trust_env = False
            response = session.post(
                url, data=body, headers=headers, timeout=TIMEOUT, allow_redirects=False
            )
            return EndpointResponse(response.status_code, response.text[:KEPT])
    except (requests.RequestException, UnicodeError) as error:
        return EndpointResponse(None, f"{type(error).__name__}: {error}"[:KEPT])


class WebhookSender:
    """Sends due deliveries, a few at a time."""

    def __init__(self, store: Store, post: Post, real_now: Callable[[], float]) -> None:
        self.store = store
        self.post = post
        self.real_now = real_now
        self._hands = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="delivery")
        self._under_way: dict[int, Future[None]] = {}

    def run(self) -> bool:
        """Send what is due and wait for the responses; return True if something was sent."""
        parcels = self._due()
        for parcel in parcels:
            self._hand_over(parcel)
        return bool(parcels)

    def start(self, wake: Callable[[], None]) -> None:
        """Send what is due without waiting; `wake` is called when responses arrive."""
        free = AT_ONCE * 2 - len(self._under_way)
        for parcel in self._due(free) if free > 0 else []:
            future = self._hands.submit(self._hand_over, parcel)
            self._under_way[parcel.delivery] = future
            future.add_done_callback(partial(self._arrived, parcel.delivery, wake))

    def next_due(self) -> float | None:
        busy = ",".join(str(id) for id in list(self._under_way)) or "0"
        row = self.store.fetch_one(
            "SELECT min(next_at) FROM deliveries "  # noqa: S608 numbers of our own
            f"WHERE next_at IS NOT NULL AND id NOT IN ({busy}) AND account NOT IN {TRAVELLING}"
        )
        return row[0] if row else None

    def close(self) -> None:
        self._hands.shutdown(wait=True, cancel_futures=True)

    def _arrived(self, id: int, wake: Callable[[], None], _: Future[None]) -> None:
        self._under_way.pop(id, None)
        wake()

    def _due(self, limit: int = 100) -> list[Delivery]:
        busy = ",".join(str(id) for id in list(self._under_way)) or "0"
        rows = self.store.fetch_all(
            "SELECT * FROM deliveries WHERE next_at <= ? "  # noqa: S608 numbers of our own
            f"AND id NOT IN ({busy}) AND account NOT IN {TRAVELLING} "
            "ORDER BY next_at, id LIMIT ?",
            self.real_now(), limit,
        )  # fmt: skip
        return [parcel for row in rows if (parcel := self._packed(row))]

    def _packed(self, row: sqlite3.Row) -> Delivery | None:
        account = find_account(self.store, row["account"], self.real_now)
        endpoint = account and account.find("webhook_endpoint", row["endpoint"])
        event = account and account.find("event", row["event"])
        if not endpoint or not event or endpoint.get("deleted"):
            self._give_up(row["id"])
            return None
        body = events.serialize(event)
        return Delivery(
            delivery=row["id"],
            account=row["account"],
            attempts=row["attempts"],
            url=endpoint["url"],
            body=body.encode(),
            headers=signed(endpoint, body),
        )

    def _hand_over(self, delivery: Delivery) -> None:
        try:
            response = self.post(delivery.url, delivery.body, delivery.headers)
        except Exception as error:  # not a 2xx response: do not retry immediately
            response = EndpointResponse(None, f"{type(error).__name__}: {error}"[:KEPT])
        attempts = delivery.attempts + 1
        state, next_at = "delivered", None
        if not response.accepted:
            next_at = self._next_try(attempts)
            state = "pending" if next_at else "failed"
        with self.store.transaction():
            self.store.execute(
                "UPDATE deliveries SET state = ?, attempts = ?, next_at = ?, "
                "status = ?, response = ? WHERE id = ?",
                state, attempts, next_at, response.status, response.text, delivery.delivery,
            )  # fmt: skip

    def _next_try(self, attempts: int) -> float | None:
        waited = sum(pause(n) for n in range(1, attempts))
        return None if waited > PATIENCE else self.real_now() + pause(attempts)

    def _give_up(self, id: int) -> None:
        self.store.execute(
            "UPDATE deliveries SET state = 'abandoned', next_at = NULL WHERE id = ?", id
        )


def pause(attempts: int) -> float:
    """Return the seconds until the next retry: 1, 2, 4 … up to an hour."""
    return float(min(2 ** (attempts - 1), SLOWEST))


def signed(endpoint: Resource, body: str) -> dict[str, str]:
    """Return headers with a signature made by the SDK, in real time."""
    secret: str = endpoint["_internal"]["secret"]
    signature = stripe.WebhookSignature.generate_signature_header(body, secret, int(time.time()))
    return {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "Stripe/1.0 (sandbox)",
        "Stripe-Signature": signature,
    }


def redeliver(store: Store, account: str, delivery: int) -> None:
    """Deliver once more now, whatever the previous result."""
    store.execute(
        "UPDATE deliveries SET state = 'pending', attempts = 0, next_at = 0 "
        "WHERE id = ? AND account = ?",
        delivery, account,
    )  # fmt: skip


def list_for_event(store: Store, account: str, event: str) -> list[dict[str, Any]]:
    rows = store.fetch_all(
        "SELECT * FROM deliveries WHERE account = ? AND event = ? ORDER BY id", account, event
    )
    return [dict(row) for row in rows]

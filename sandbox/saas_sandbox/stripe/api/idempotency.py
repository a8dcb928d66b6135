"""Idempotency keys: execute once per key, store the response, refuse concurrent requests.

"The idempotency layer compares incoming parameters to those of the original request and errors if
they’re not the same"; "If incoming parameters fail validation, or the request conflicts with
another request that’s executing concurrently, we don’t save the idempotent result".
https://docs.stripe.com/api/idempotent_requests
"""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.errors import StripeError, invalid

MAX_KEY_LENGTH = 255

StoredResponse = tuple[int, dict[str, Any]]


class InFlight:
    """The keys of requests in progress, each with the fingerprint of its request."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fingerprints: dict[tuple[str, str], str] = {}

    @contextmanager
    def lock(self, api_key: str, key: str | None, fingerprint: str) -> Iterator[None]:
        """Hold the key while its request runs. Requests without a key run concurrently."""
        if key is None:
            yield
            return

        self._acquire(api_key, key, fingerprint)
        try:
            yield
        finally:
            with self._lock:
                del self._fingerprints[api_key, key]

    def _acquire(self, api_key: str, key: str, fingerprint: str) -> None:
        with self._lock:
            running = self._fingerprints.get((api_key, key))
            if running is None:
                self._fingerprints[api_key, key] = fingerprint
        if running == fingerprint:
            raise _key_in_use(key)
        if running is not None:
            raise _key_reused(key)


def validate_key(key: str | None) -> str | None:
    if key and len(key) > MAX_KEY_LENGTH:
        raise invalid(f"Idempotency keys can be at most {MAX_KEY_LENGTH} characters long.")
    return key or None


def compute_fingerprint(path: str, values: dict[str, Any]) -> str:
    """Return the fingerprint by which repeated requests are compared."""
    return hashlib.sha256(json.dumps([path, values]).encode()).hexdigest()


def find_response(account: Account, key: str, fingerprint: str) -> StoredResponse | None:
    """Return the stored response of a key."""
    row = account.store.fetch_one(
        "SELECT * FROM idempotent_responses WHERE account = ? AND key = ?", account.id, key
    )
    if row is None:
        return None
    if row["request"] != fingerprint:
        raise _key_reused(key)
    return row["status"], json.loads(row["body"])


def save_response(account: Account, key: str, fingerprint: str, response: StoredResponse) -> None:
    status, body = response
    account.store.execute(
        "INSERT INTO idempotent_responses VALUES (?, ?, ?, ?, ?)",
        account.id, key, fingerprint, status, json.dumps(body),
    )  # fmt: skip


def _key_in_use(key: str) -> StripeError:
    return StripeError(
        "There is currently another in-progress request using this Idempotent Key (that probably "
        "means you submitted twice, and the other request is still going through): "
        f"{key}. Please try again later.",
        status=409,
        type="idempotency_error",
        code="idempotency_key_in_use",
    )


def _key_reused(key: str) -> StripeError:
    return StripeError(
        "Keys for idempotent requests can only be used with the same parameters they were "
        f"first used with. Try using a key other than '{key}' if you meant to execute a "
        "different request.",
        type="idempotency_error",
    )

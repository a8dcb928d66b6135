"""Accounts by API key. Each key has its own, so that tests and projects share no data."""

import hashlib
import json
import re
import sqlite3
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.portal_settings import build_default_configuration
from saas_sandbox.stripe.faults.injection import plan_delivery

from ..store import Store

KEY_PATTERN = re.compile(r"^sk_test_[A-Za-z0-9_]{16,}$")

# Settings that Stripe has in its Dashboard, and the sandbox in its own dashboard.
DEFAULT_SETTINGS: dict[str, Any] = {
    "after_retries": "cancel",
    "retry_days": [3, 5, 7],
    "tax_percent": None,
    "tax_settings": {},
}


def get_or_create_account(
    store: Store, key: str, base_url: str, real_now: Callable[[], float]
) -> Account:
    """Return the account of a key, creating it on first use with the URL of its hosted pages."""
    id = derive_account_id(key)
    row = store.fetch_one("SELECT * FROM accounts WHERE id = ?", id)
    if row is None:
        return _create_account(store, id, base_url, real_now)

    account = _from_row(store, row, real_now)
    if account.base_url != base_url:
        account.base_url = base_url
        account.save_settings()
    return account


def _from_row(store: Store, row: sqlite3.Row, real_now: Callable[[], float]) -> Account:
    settings = deepcopy(DEFAULT_SETTINGS) | json.loads(row["settings"])
    return Account(
        store, row["id"], row["base_url"], settings, row["created"], real_now, plan_delivery
    )


def find_account(store: Store, id: str, real_now: Callable[[], float]) -> Account | None:
    row = store.fetch_one("SELECT * FROM accounts WHERE id = ?", id)
    return _from_row(store, row, real_now) if row else None


def derive_account_id(key: str) -> str:
    return "acct_1" + hashlib.sha256(key.encode()).hexdigest()[:15]


def _create_account(store: Store, id: str, base_url: str, real_now: Callable[[], float]) -> Account:
    now = int(real_now())
    store.execute(
        "INSERT INTO accounts (id, created, base_url, settings) VALUES (?, ?, ?, '{}')",
        id, now, base_url,
    )  # fmt: skip
    account = Account(store, id, base_url, deepcopy(DEFAULT_SETTINGS), now, real_now, plan_delivery)
    account.add(build_default_configuration(account))
    return account

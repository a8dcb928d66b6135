"""Many subscribers at once: created by the sandbox's admin API, and copied into our columns."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import requests
from flask import Flask
from sqlalchemy import insert

from saas import database
from saas.auth.models import User
from saas.billing import gateway
from saas.database import db

ROWS_AT_ONCE = 1000


def fill(sandbox: str, key: str, price: str, count: int) -> None:
    """Create this many subscriptions at Stripe, each with its own customer."""
    response = requests.post(
        f"{sandbox}/stripe/control/fill",
        json={"price": price, "subscriptions": count},
        headers={"Authorization": f"Bearer {key}"},
        timeout=600,
    )
    response.raise_for_status()


def copy_into_columns(app: Flask) -> int:
    """Create a synced user for every subscription at Stripe, and return their number."""
    created = 0
    with app.app_context():
        users = _rows()
        while rows := list(islice(users, ROWS_AT_ONCE)):
            with database.write_transaction() as session:
                session.execute(insert(User), rows)
            created += len(rows)
        db.session.remove()
    return created


def _rows() -> Iterator[dict[str, Any]]:
    after, number = None, 0
    while True:
        page = gateway.subscription_page(after)
        for item in page.listed:
            number += 1
            yield _row(item, number)
        after = page.next
        if not after:
            return


def _row(listed: gateway.ListedSubscription, number: int) -> dict[str, Any]:
    subscription = listed.subscription
    (price,) = subscription.price_ids
    costs = gateway.recurring_amount(subscription, price)
    return {
        "id": database.uuid7(),
        "email": f"person{number}@example.com",
        "role": "user",
        "created_at": datetime.now(UTC),
        "stripe_customer_id": listed.customer_id,
        "stripe_customer_generation": 0,
        "stripe_sync_counter": 1,
        "stripe_subscription_id": subscription.id,
        "stripe_subscription_status": subscription.status,
        "stripe_price_id": price,
        "stripe_current_period_end": subscription.period_end(price),
        "stripe_recurring": costs.to_json() if costs else None,
    }

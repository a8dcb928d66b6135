"""A shop with something on every admin page, and the paths of the pages."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from playwright.sync_api import Browser, BrowserContext
from sqlalchemy import insert, update

from saas import database
from saas.auth import accounts
from saas.billing import grants
from saas.billing.models import RevenueMovement, StripeEvent
from saas.database import db, now
from saas.mail.models import OutboxMessage
from tests.harness import stripe_account
from tests.harness.shop import Shop
from tests.harness.visitor import Visitor

ADMIN, ANN = "admin@example.com", "ann@example.com"


def furnish(shop: Shop) -> dict[str, str]:
    """Create users with plans, failures, grants and some history; return the paths by name."""
    stripe_account.subscriber(shop, ANN, "solo")
    stripe_account.subscriber(shop, "bob@example.com", "team", "yearly")
    stripe_account.subscriber(shop, "cay@example.com", "team", trial_days=14)
    with shop.app.app_context():
        accounts.get_or_create(ADMIN, role="admin")
        ann = accounts.get_by_email(ANN)
        accounts.rename(ann, "Ann Archer")
        grants.grant(ann, "team", reason="Winner of the raffle", until=None, by="operator")
        for number in range(60):
            accounts.get_or_create(f"reader-{number:02}@example.com")
        with database.write_transaction() as session:
            session.execute(insert(RevenueMovement), [_movement(months) for months in range(1, 7)])
            gone = -sum(_movement(months)["amount"] for months in range(1, 7))
            session.execute(
                insert(RevenueMovement), [{**_movement(1), "kind": "churn", "amount": gone}]
            )
            broken = {"processed_at": None, "attempts": 3, "last_error": "Stripe did not respond"}
            event = db.session.query(StripeEvent.id).limit(1).scalar_subquery()
            session.execute(update(StripeEvent).where(StripeEvent.id == event).values(broken))
            refused = {"due_at": None, "handed_over_at": None, "last_error": "550 mailbox full"}
            session.execute(update(OutboxMessage).values(refused))
    user = f"/admin/users/{ann.id}"
    return {
        "overview": "/admin", "users": "/admin/users", "user": f"{user}?stripe=1",
        "grant": f"{user}/grant", "delete": f"{user}/delete", "events": "/admin/events",
        "emails": "/admin/emails", "audit": "/admin/audit",
    }  # fmt: skip


def browser_of(visitor: Visitor, chromium: Browser, **options: Any) -> BrowserContext:
    """Return a browser in which the visitor is signed in."""
    context = chromium.new_context(**options)
    context.add_cookies([{"name": "session", "value": visitor.cookie, "url": visitor.base}])
    return context


def _movement(months: int) -> dict[str, Any]:
    at = now() - timedelta(days=30 * months)
    return {"id": database.uuid7(), "at": at, "user_id": None, "kind": "new", "plan": "solo",
            "amount": 9000 - 1000 * months, "currency": "eur"}  # fmt: skip

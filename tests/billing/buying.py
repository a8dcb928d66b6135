"""Buy the one-time plan of the tests, as a user at Checkout."""

from __future__ import annotations

from typing import Any

import requests

from saas.auth.models import User
from saas.billing import customers
from tests.harness import stripe_account
from tests.harness.shop import Shop
from tests.harness.stripe_account import CARD
from tests.harness.visitor import Page, Visitor

ANN = "ann@example.com"


def choose(visitor: Visitor, plan: str = "lifetime", interval: str = "once") -> Page:
    visitor.visit("/pricing")
    return visitor.submit("/billing/checkout", having={"plan": plan}, interval=interval)


def pay(visitor: Visitor) -> Page:
    return visitor.submit(visitor.page.path, **CARD)


def buy(visitor: Visitor) -> Page:
    choose(visitor)
    return pay(visitor)


def pay_at_stripe(shop: Shop, user: User, number: str = CARD["number"]) -> dict[str, Any]:
    """Pay once on a checkout page of its own, as in another tab; return Stripe's session."""
    sessions = stripe_account.client(shop).v1.checkout.sessions
    with shop.app.app_context():
        metadata = customers.metadata_for(user)
    session = sessions.create(
        {
            "mode": "payment",
            "customer": str(user.stripe_customer_id),
            "line_items": [{"price": shop.price["lifetime", "once"], "quantity": 1}],
            "metadata": metadata,
            "success_url": f"{shop.url}/billing/return?once=1",
            "cancel_url": f"{shop.url}/pricing",
        }
    )
    requests.post(
        str(session.url), data={**CARD, "number": number}, timeout=30, allow_redirects=False
    )
    return dict(sessions.retrieve(session.id).to_dict())


def plan_of(visitor: Visitor) -> str:
    profile = visitor.request("GET", "/api/user").json()["user"]
    return str(profile["subscription"]["plan"])


def payment_of(shop: Shop) -> str:
    [purchase, *_] = shop.user(ANN).stripe_purchases or []
    return str(purchase["payment"])


def emails_of(visitor: Visitor) -> list[str]:
    return [str(email["subject"]) for email in visitor.emails_to(ANN)]

"""Buy the one-time plan of the tests, as a user at Checkout."""

from __future__ import annotations

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


def plan_of(visitor: Visitor) -> str:
    profile = visitor.request("GET", "/api/user").json()["user"]
    return str(profile["subscription"]["plan"])


def payment_of(shop: Shop) -> str:
    [purchase, *_] = shop.user(ANN).stripe_purchases or []
    return str(purchase["payment"])


def emails_of(visitor: Visitor) -> list[str]:
    return [str(email["subject"]) for email in visitor.emails_to(ANN)]

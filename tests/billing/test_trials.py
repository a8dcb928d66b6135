"""Trials with and without a card, and what becomes of them without one."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from saas.plans import Trial
from tests.harness import stripe_account
from tests.harness.shop import Shop
from tests.harness.stripe_account import CARD
from tests.harness.visitor import Visitor
from tests.harness.waiting import eventually

ANN = "ann@example.com"


def start(visitor: Visitor, **card: str) -> str:
    """Start Solo on the checkout page, and return the text of that page."""
    visitor.sign_in(ANN)
    visitor.visit("/pricing")
    having = {"plan": "solo", "interval": "monthly"}
    checkout = visitor.submit("/billing/checkout", having=having).text
    visitor.submit(visitor.page.path, **card)
    return checkout


def profile(visitor: Visitor) -> dict[str, Any]:
    subscription: dict[str, Any] = visitor.request("GET", "/api/user").json()["user"][
        "subscription"
    ]
    return subscription


def email(visitor: Visitor, subject: str) -> str:
    def texts() -> list[str]:
        received = visitor.emails_to(ANN)
        return [str(item["text"]) for item in received if subject in item["subject"]]

    return eventually(texts)[0]


def test_a_trial_without_a_card_starts_without_asking_for_one(shop: Shop, visitor: Visitor) -> None:
    shop.change_plan("solo", trial=Trial(days=14, card_required=False))
    assert "14 days free, no card" in visitor.visit("/pricing").text

    checkout = start(visitor)

    assert "Card number" not in checkout
    assert (profile(visitor)["plan"], profile(visitor)["status"]) == ("solo", "trialing")
    text = email(visitor, "Your trial of Solo has begun")
    assert "You haven't given a payment method, so nothing is charged: Solo ends then" in text
    assert "Cancel before then" not in text


def test_a_trial_with_a_card_asks_for_it(shop: Shop, visitor: Visitor) -> None:
    shop.change_plan("solo", trial=Trial(days=1))
    offer = visitor.visit("/pricing").text
    assert "1 day free" in offer
    assert "no card" not in offer

    checkout = start(visitor, **CARD)

    assert "Card number" in checkout
    assert "Cancel before then and you won't be charged." in email(visitor, "has begun")


@pytest.mark.parametrize(
    ("then", "says", "status", "ends"),
    [
        ("cancel", "Solo ends then", "canceled", "Solo has ended"),
        ("pause", "Solo pauses then", "paused", "Solo is paused"),
    ],
)
def test_without_a_card_the_trial_ends_as_the_catalogue_says(
    shop: Shop, visitor: Visitor, then: Literal["cancel", "pause"], says: str, status: str,
    ends: str,
) -> None:  # fmt: skip
    shop.change_plan("solo", trial=Trial(2, card_required=False, missing_payment_method=then))
    start(visitor)
    notice = email(visitor, "Your trial of Solo ends on")
    assert f"Without one, {says}" in notice
    assert "Add one to keep it for €15 a month." in notice

    stripe_account.advance(shop, shop.user(ANN).stripe_customer_id, "week")

    eventually(lambda: profile(visitor)["plan"] == "hobby")
    eventually(lambda: profile(visitor)["status"] == status)
    email(visitor, ends)
    assert "free" not in visitor.visit("/pricing").text.partition("Solo")[2][:40]  # the one trial


def test_a_paused_trial_continues_when_its_user_adds_a_card_and_says_so(
    shop: Shop, visitor: Visitor
) -> None:
    shop.change_plan("solo", trial=Trial(2, False, "pause"))
    start(visitor)
    stripe_account.advance(shop, shop.user(ANN).stripe_customer_id, "week")
    eventually(lambda: profile(visitor)["status"] == "paused")
    banner = "Solo is paused. It continues for €15 a month, charged now."
    assert banner in " ".join(visitor.visit("/dashboard").text.split())

    form = visitor.submit("/billing/resume")  # there is no card yet
    assert profile(visitor)["status"] == "paused"
    page = visitor.submit(form.path, **CARD)
    assert "Your payment method is saved" in page.text
    assert profile(visitor)["status"] == "paused"  # nothing is charged before the user says so
    page = visitor.submit("/billing/resume")

    assert (profile(visitor)["plan"], profile(visitor)["status"]) == ("solo", "active")
    assert "is paused" not in page.text.partition("History")[0]
    customer = str(shop.user(ANN).stripe_customer_id)
    [charge] = stripe_account.client(shop).v1.charges.list({"customer": customer}).data
    assert charge.amount == 1500


def test_a_card_added_during_the_trial_continues_the_plan(shop: Shop, visitor: Visitor) -> None:
    shop.change_plan("solo", trial=Trial(14, card_required=False))
    start(visitor)
    customer = str(shop.user(ANN).stripe_customer_id)
    at_stripe = stripe_account.client(shop).v1
    card = at_stripe.payment_methods.attach("pm_card_visa", {"customer": customer}).id
    at_stripe.customers.update(customer, {"invoice_settings": {"default_payment_method": card}})

    stripe_account.advance(shop, customer, "month")

    eventually(lambda: profile(visitor)["status"] == "active")
    assert profile(visitor)["plan"] == "solo"

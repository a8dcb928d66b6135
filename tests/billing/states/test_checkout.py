"""Checkout pages that are paid, abandoned or paid with a delay."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from saas import database
from saas.auth import accounts
from saas.auth.models import User
from tests.billing.cases import case
from tests.billing.states.actions import (
    advance,
    at_stripe,
    deliver_session_event,
    deliver_update,
    new_email,
    new_event,
    outcome,
    pay,
    plan,
    stored,
)
from tests.harness.live_shop import LiveShop, deliver_event


@case(13, "the return before the webhook", "no webhook")
def test_returning_from_checkout_gives_the_plan_before_the_webhook(
    shop: LiveShop, ann: User
) -> None:
    browser, _ = shop.signed_in(ann)
    with browser:
        response = shop.ask("GET", "/billing/return", 0, browser)

    assert response is not None
    assert response.status_code == 303
    assert plan(shop, ann) == "solo"
    assert deliver_update(shop, ann) == "applied"  # the late webhook
    assert plan(shop, ann) == "solo"


@case(16, "complete but unpaid", "async payment succeeded", "async payment failed")
@pytest.mark.parametrize(
    ("bank", "kind", "ends_with", "message"),
    [
        ("000123456789", "checkout.session.async_payment_succeeded", "solo", "You are on Solo"),
        ("000111111116", "checkout.session.async_payment_failed", "hobby", "Solo failed"),
    ],
)
def test_a_delayed_payment_gives_the_plan_when_it_succeeds(
    shop: LiveShop, bank: str, kind: str, ends_with: str, message: str
) -> None:
    with shop.app.app_context():
        bob = accounts.get_or_create(new_email())
    session = pay(shop, bob, number=bank)
    bob = stored(shop, bob)
    assert session.payment_status == "unpaid"
    outcome(deliver_session_event(shop, session, "checkout.session.completed"))
    assert plan(shop, bob) == "hobby"
    assert shop.inbox.to(bob.email) == []  # not failed, and not started

    advance(shop, bob, "week")
    outcome(deliver_session_event(shop, session, kind))

    assert plan(shop, bob) == ends_with
    assert len(shop.inbox.to(bob.email, message)) == 1


@case(16, "expired session", "mode payment or setup")
@pytest.mark.parametrize("mode", ["payment", "setup", "subscription"])
def test_a_checkout_session_without_a_plan_gives_no_plan(shop: LiveShop, mode: str) -> None:
    with shop.app.app_context():
        bob = accounts.get_or_create(new_email())
        customer = at_stripe(shop).customers.create({"email": bob.email}).id
        with database.write_transaction():
            database.execute(
                update(User).where(User.id == bob.id).values(stripe_customer_id=customer)
            )
    session = {
        "id": "cs_test_1", "object": "checkout.session", "customer": customer, "mode": mode,
        "status": "expired" if mode == "subscription" else "complete", "payment_status": "paid",
    }  # fmt: skip
    kind = "checkout.session.expired" if mode == "subscription" else "checkout.session.completed"

    response = deliver_event(shop, session, id=new_event(), kind=kind)

    assert outcome(response) in ("applied", "ignored")
    assert plan(shop, bob) == "hobby"

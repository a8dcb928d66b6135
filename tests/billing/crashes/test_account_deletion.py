"""Account deletion after crashes: deleted once, and not charged."""

from __future__ import annotations

import pytest
import requests
from sqlalchemy import func, select

from saas.auth.models import User
from saas.billing import customers, gateway
from saas.billing.models import ClosedAccount
from saas.database import db
from tests.billing.cases import case
from tests.billing.crashes.steps import (
    assert_no_deleted_user_is_charged,
    email,
    every_step,
    run_tasks,
    status_of,
)
from tests.harness import stripe_account
from tests.harness.live_shop import LiveShop, deliver_event


@pytest.mark.parametrize("recovered_by", ["user", "periodic task"])
@case(26, "killed halfway")
def test_an_account_is_deleted_once_after_a_crash_at_any_step(
    live: LiveShop, recovered_by: str
) -> None:
    responses: list[requests.Response | None] = []
    for die_at in every_step(
        responses,
        "UPDATE users", "COMMIT", "GET /stripe/v1/checkout/sessions",
        "POST /stripe/v1/checkout/sessions/<cs_test>/expire", "GET /stripe/v1/subscriptions",
        "DELETE /stripe/v1/subscriptions/<sub>", "DELETE /stripe/v1/customers/<cus>",
        "INSERT closed_accounts", "DELETE users", "COMMIT", "the response",
    ):  # fmt: skip
        ann, subscription = stripe_account.subscriber(live, email())
        open_checkout(live, ann)
        browser, header = live.signed_in(ann)

        responses.append(live.ask("DELETE", "/api/user", die_at, browser, headers=header))

        assert_no_deleted_user_is_charged(live, ann, subscription)
        if recovered_by == "periodic task" and is_closing(live, ann):
            run_tasks(live)
        elif responses[-1] is None:
            again = live.ask("DELETE", "/api/user", 0, browser, headers=header)
            assert again is not None
            assert again.status_code in (200, 401), again.text  # 401: it was already deleted
        assert_closed_once(live, ann, subscription)
        farewell = live.inbox.to(ann.email, "is closed")
        assert len(set(farewell)) == 1
        assert len(farewell) <= 2
        browser.close()


def open_checkout(shop: LiveShop, user: User) -> None:
    """Open a checkout page, as in another tab."""
    with shop.app.app_context():
        gateway.create_checkout_session(
            customer_id=str(user.stripe_customer_id),
            price_id=shop.price["solo", "monthly"],
            metadata=customers.metadata_for(user),
            key=f"tab of {user.id}",
            success_url=f"{shop.url}/billing/return",
            cancel_url=f"{shop.url}/pricing",
        )


def is_closing(shop: LiveShop, user: User) -> bool:
    with shop.app.app_context():
        current = db.session.get(User, user.id)
        return current is not None and current.is_closing


def assert_closed_once(shop: LiveShop, user: User, subscription: str) -> None:
    run_tasks(shop)  # the email, if it was not delivered
    at_stripe = stripe_account.client(shop).v1
    with shop.app.app_context():
        assert db.session.get(User, user.id) is None
        buried = select(func.count()).where(ClosedAccount.user_id == user.id)
        assert db.session.scalar(buried) == 1
    assert status_of(shop, subscription) == "canceled"
    assert getattr(at_stripe.customers.retrieve(str(user.stripe_customer_id)), "deleted", False)
    late = {"id": subscription, "object": "subscription", "customer": user.stripe_customer_id}
    response = deliver_event(
        shop, late, id=f"evt_late_{user.id}", kind="customer.subscription.deleted"
    )
    assert response is not None
    assert response.status_code == 200

"""Prices, items and subscriptions in unusual numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from saas.auth import accounts
from saas.auth.models import User
from saas.billing import subscriptions
from tests.billing.cases import case
from tests.billing.states.actions import (
    at_stripe,
    deliver_update,
    item,
    items,
    plan,
    stored,
    stripe_listing,
    subscribe,
    subscription_body,
    subscription_of,
)
from tests.harness.live_shop import LiveShop


@case(20, "a second, older price")
def test_an_older_price_gives_its_plan_too(
    shop: LiveShop, ann: User, make_app: Callable[..., Flask]
) -> None:
    deliver_update(shop, ann)
    sold = {**shop.env, "SANDBOX_URL": shop.sandbox}
    sold["SANDBOX_STRIPE_SOLO_MONTHLY_PRICE_ID"] = f"price_new,{shop.price['solo', 'monthly']}"
    raised = make_app(**sold)

    with raised.app_context():
        subscriptions.sync(ann.id, cause="a raised price")
        assert accounts.get_by_email(ann.email).plan.id == "solo"


@case(20, "unknown price", "no items", "quantity 0 or none")
@pytest.mark.parametrize(
    ("price", "more", "value"),
    [
        ("price_of_nobody", {}, "hobby"),
        (None, {}, "hobby"),
        ("solo", {"quantity": 0}, "solo"),
        ("solo", {"quantity": None}, "solo"),
    ],
    ids=["unknown price", "no items", "quantity 0", "no quantity"],
)
def test_unusual_items_cause_no_error_and_keep_the_known_columns(
    shop: LiveShop, ann: User, price: str | None, more: dict[str, Any], value: str
) -> None:
    known = shop.price["solo", "monthly"]
    result = [item(shop, ann, known if price == "solo" else price, **more)] if price else []

    with stripe_listing(shop, ann, subscription_body(shop, ann, items=items(*result))):
        assert deliver_update(shop, ann) == "applied"

    assert plan(shop, ann) == value


@case(20, "several items", "items with different periods")
def test_the_period_is_that_of_the_plan_s_item(shop: LiveShop, ann: User) -> None:
    extra = item(shop, ann, "price_extra", days=3)
    main = item(shop, ann, shop.price["team", "yearly"], days=365)

    with stripe_listing(shop, ann, subscription_body(shop, ann, items=items(extra, main))):
        deliver_update(shop, ann)

    user = stored(shop, ann)
    assert plan(shop, ann) == "team"
    assert user.stripe_current_period_end.timestamp() == main["current_period_end"]  # type: ignore[union-attr]


@case(20, "more than 10 subscriptions")
def test_the_live_subscription_is_found_among_many_ended_ones(shop: LiveShop, ann: User) -> None:
    at_stripe(shop).subscriptions.cancel(subscription_of(shop, ann).id)
    living = subscribe(shop, ann, shop.price["team", "monthly"])
    for _ in range(12):  # never paid, so that a webhook in between cancels nothing
        price = shop.price["solo", "monthly"]
        started = subscribe(shop, ann, price, payment_behavior="default_incomplete")
        at_stripe(shop).subscriptions.cancel(started)

    deliver_update(shop, ann)

    assert stored(shop, ann).stripe_subscription_id == living

"""Setting Stripe up for the catalogue, again and again."""

from __future__ import annotations

import dataclasses

import pytest

from saas import plans
from saas.billing import setup
from tests.billing import stripe_side
from tests.conftest import Shop


def test_setting_up_again_makes_nothing_new(shop: Shop) -> None:
    at_stripe = stripe_side.client(shop).v1
    before = [price.id for price in at_stripe.prices.list().data]

    with shop.app.app_context():
        variables = setup.set_up()

    assert [price.id for price in at_stripe.prices.list().data] == before
    assert len(at_stripe.webhook_endpoints.list().data) == 1
    portals = at_stripe.billing_portal.configurations.list().data
    assert [portal.is_default for portal in portals].count(False) == 1
    assert variables["STRIPE_PRO_MONTHLY_PRICE_ID"] == shop.price["pro", "monthly"]
    assert "STRIPE_WEBHOOK_SECRET" not in variables  # Stripe tells it once


def test_a_raised_price_takes_nobody_s_plan_away(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = shop.price["pro", "monthly"]
    dearer = dataclasses.replace(plans.PRO, monthly=1900)
    monkeypatch.setattr(plans, "BY_ID", {**plans.BY_ID, "pro": dearer})

    with shop.app.app_context():
        variables = setup.set_up()

    new, kept = variables["STRIPE_PRO_MONTHLY_PRICE_ID"].split(",")
    assert kept == old
    price = stripe_side.client(shop).v1.prices.retrieve(new)
    assert (price.unit_amount, price.lookup_key) == (1900, "pro_monthly")

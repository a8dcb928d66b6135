"""Stripe as the merchant of record: one variable, and what doctor says about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

from saas.config import ConfigError
from tests.harness import stripe_account
from tests.harness.apps import settings
from tests.harness.sample_product.catalogue import LIFETIME
from tests.harness.shop import Shop, open_shop
from tests.harness.stripe_account import CARD

SAAS_FOR_BUSINESS = "txcd_10103001"  # https://docs.stripe.com/tax/tax-codes


@pytest.fixture
def managed_shop(make_app: Callable[..., Flask], sandbox: str) -> Iterator[Shop]:
    for shop in open_shop(make_app, sandbox, STRIPE_MANAGED_PAYMENTS="true"):
        shop.sell(LIFETIME)
        yield shop


def set_tax_codes(shop: Shop) -> None:
    products = stripe_account.client(shop).v1.products
    for product in products.list({"limit": 100}).data:
        products.update(product.id, {"tax_code": SAAS_FOR_BUSINESS})


def doctor(shop: Shop) -> str:
    result: Any = shop.app.test_cli_runner().invoke(args=["billing", "doctor"])
    return str(result.output)


@pytest.mark.parametrize(("plan", "interval"), [("solo", "monthly"), ("lifetime", "once")])
def test_checkout_sells_through_stripe(managed_shop: Shop, plan: str, interval: str) -> None:
    set_tax_codes(managed_shop)
    visitor = managed_shop.visitor()
    visitor.sign_in("ann@example.com")
    visitor.visit("/pricing")

    having = {"plan": plan, "interval": interval}
    page = visitor.submit("/billing/checkout", having=having)

    assert "Sold through Link" in page.text
    assert "Thank you!" in visitor.submit(page.path, **CARD).text


def test_doctor_names_products_without_a_tax_code(managed_shop: Shop) -> None:
    before = doctor(managed_shop)
    set_tax_codes(managed_shop)
    after = doctor(managed_shop)

    assert "The product Solo (saas_solo) has no tax code" in before
    assert "https://dashboard.stripe.com/products/saas_solo" in before
    assert "tax code" not in after


def test_it_is_not_combined_with_stripe_tax() -> None:
    with pytest.raises(ConfigError) as refused:
        settings(STRIPE_MANAGED_PAYMENTS="true", STRIPE_AUTOMATIC_TAX="true")

    assert "cannot be used together with STRIPE_AUTOMATIC_TAX" in str(refused.value)

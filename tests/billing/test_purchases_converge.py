"""One-time plans after a deleted account, a restored backup, a lost setting and an unpaid bill."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from click.testing import Result
from sqlalchemy import delete, update

from saas import database
from saas.auth.models import User
from saas.billing import subscriptions
from saas.plans import Plan
from saas.users import account_deletion
from tests.billing.buying import ANN, buy, choose, emails_of, pay, payment_of, plan_of
from tests.harness import stripe_account
from tests.harness.apps import both_databases
from tests.harness.sample_product.catalogue import LIFETIME
from tests.harness.shop import Shop
from tests.harness.stripe_account import CARD
from tests.harness.visitor import Visitor
from tests.harness.waiting import eventually

BANK_ACCOUNT = "000123456789"


def run(shop: Shop, *args: str) -> Result:
    return shop.app.test_cli_runner().invoke(args=["billing", *args])


def change_row(shop: Shop, **columns: Any) -> None:
    """Change the row of Ann, as restoring an older backup does."""
    with shop.app.app_context(), database.write_transaction():
        database.execute(update(User).where(User.email == ANN).values(**columns))


def pay_by_bank(shop: Shop, visitor: Visitor) -> str:
    """Order a bank debit, which takes three days; return the test clock of the customer."""
    choose(visitor)
    customer = str(shop.user(ANN).stripe_customer_id)
    visitor.submit(visitor.page.path, **{**CARD, "number": BANK_ACCOUNT})
    assert "Your payment isn't confirmed yet" in visitor.page.text
    stripe_account.advance(shop, customer, "day")
    at_stripe = stripe_account.client(shop).v1
    clock = str(at_stripe.customers.retrieve(customer).test_clock)
    clocks = at_stripe.test_helpers.test_clocks
    eventually(lambda: clocks.retrieve(clock).status == "ready")
    return clock


def clear_bank_debit(shop: Shop, clock: str) -> None:
    clocks = stripe_account.client(shop).v1.test_helpers.test_clocks
    week = clocks.retrieve(clock).frozen_time + 7 * 86400
    clocks.advance(clock, {"frozen_time": week})


def test_a_bank_debit_gives_the_plan_when_it_clears(
    shop: Shop, visitor: Visitor, lifetime: Plan
) -> None:
    visitor.sign_in(ANN)
    clock = pay_by_bank(shop, visitor)
    assert plan_of(visitor) == "hobby"

    clear_bank_debit(shop, clock)

    eventually(lambda: plan_of(visitor) == "solo")


def test_a_bank_debit_that_clears_after_the_deletion_of_the_account_is_refunded(
    shop: Shop, visitor: Visitor, lifetime: Plan
) -> None:
    visitor.sign_in(ANN)
    clock = pay_by_bank(shop, visitor)
    customer = str(shop.user(ANN).stripe_customer_id)
    at_stripe = stripe_account.client(shop).v1
    [charge] = at_stripe.charges.list({"customer": customer}).data
    with shop.app.app_context():
        account_deletion.delete_account(shop.user(ANN))
    assert stripe_account.refunds_of(shop, customer) == []

    clear_bank_debit(shop, clock)

    eventually(lambda: at_stripe.charges.retrieve(charge.id).amount_refunded == 29900)


def test_a_purchase_before_the_deletion_of_the_account_is_not_refunded(
    shop: Shop, visitor: Visitor, lifetime: Plan
) -> None:
    visitor.sign_in(ANN)
    buy(visitor)
    customer, payment = str(shop.user(ANN).stripe_customer_id), payment_of(shop)
    second = int(time.time())
    eventually(lambda: time.time() >= second + 1)  # Stripe's times are whole seconds
    with shop.app.app_context():
        account_deletion.delete_account(shop.user(ANN))

    part: Any = {"payment_intent": payment, "amount": 100}
    stripe_account.client(shop).v1.refunds.create(part)  # its event arrives after the deletion

    eventually(lambda: "charge.refunded" in run(shop, "events").output)
    assert len(stripe_account.refunds_of(shop, customer)) == 1


def test_a_bank_debit_counts_though_its_customer_was_deleted_in_stripe_meanwhile(
    shop: Shop, visitor: Visitor, lifetime: Plan
) -> None:
    visitor.sign_in(ANN)
    clock = pay_by_bank(shop, visitor)
    customer = str(shop.user(ANN).stripe_customer_id)
    stripe_account.client(shop).v1.customers.delete(customer)
    eventually(lambda: shop.user(ANN).stripe_customer_id is None)

    clear_bank_debit(shop, clock)

    eventually(lambda: plan_of(visitor) == "solo")


def test_a_refund_ends_the_plan_though_its_customer_was_deleted_in_stripe(
    shop: Shop, visitor: Visitor, lifetime: Plan
) -> None:
    visitor.sign_in(ANN)
    buy(visitor)
    payment, at_stripe = payment_of(shop), stripe_account.client(shop).v1
    at_stripe.customers.delete(str(shop.user(ANN).stripe_customer_id))
    eventually(lambda: shop.user(ANN).stripe_customer_id is None)

    at_stripe.refunds.create({"payment_intent": payment})

    eventually(lambda: plan_of(visitor) == "hobby")


@both_databases
@pytest.mark.parametrize("has_other_customer", [False, True])
def test_verify_finds_a_purchase_that_a_restored_backup_does_not_have(
    quiet_shop: Shop, has_other_customer: bool
) -> None:
    quiet_shop.sell(LIFETIME)
    visitor = quiet_shop.visitor()
    visitor.sign_in(ANN)
    buy(visitor)
    customer = quiet_shop.user(ANN).stripe_customer_id
    params: Any = {"email": ANN}
    other = stripe_account.client(quiet_shop).v1.customers.create(params).id
    known = other if has_other_customer else None
    change_row(quiet_shop, stripe_customer_id=known, stripe_purchases=None)

    result = run(quiet_shop, "verify", "--json")
    run(quiet_shop, "sync", "--all")

    columns = json.loads(result.stdout)["columns"]
    assert (result.exit_code, "stripe_purchases" in columns) == (1, True)
    assert plan_of(visitor) == "solo"
    assert quiet_shop.user(ANN).stripe_customer_id == known or customer
    assert run(quiet_shop, "verify").exit_code == 0


@pytest.mark.parametrize("choice", ["--recreate", "--refund"])
def test_a_purchase_whose_account_was_lost_is_an_orphan(quiet_shop: Shop, choice: str) -> None:
    quiet_shop.sell(LIFETIME)
    visitor = quiet_shop.visitor()
    visitor.sign_in(ANN)
    buy(visitor)
    [purchase] = quiet_shop.user(ANN).stripe_purchases or []
    with quiet_shop.app.app_context(), database.write_transaction():
        database.execute(delete(User).where(User.email == ANN))

    result = run(quiet_shop, "verify")
    resolved = run(quiet_shop, "adopt-orphans", choice, "--yes", "--json")

    assert purchase["session"] in result.stdout
    assert json.loads(resolved.stdout)["purchase"] == purchase["session"]
    if choice == "--recreate":
        assert (quiet_shop.user(ANN).stripe_purchases or [])[0]["session"] == purchase["session"]
    else:
        assert "refunded: 299.00 eur" in json.loads(resolved.stdout)["outcome"]
    again = run(quiet_shop, "adopt-orphans", choice, "--yes", "--json")
    assert (again.exit_code, again.stdout) == (0, "")


def test_a_purchase_survives_the_loss_of_its_price_variable(
    shop: Shop, visitor: Visitor, lifetime: Plan
) -> None:
    visitor.sign_in(ANN)
    buy(visitor)
    prices = shop.app.config["STRIPE_PRICES"]
    price = prices["lifetime", "once"][0]
    shop.app.config["STRIPE_PRICES"] = {
        key: ids for key, ids in prices.items() if key != ("lifetime", "once")
    }
    run(shop, "sync", ANN)
    assert plan_of(visitor) == "hobby"
    assert f"1 bought {price}, which is not configured" in run(shop, "doctor").output

    shop.app.config["STRIPE_PRICES"] = prices
    run(shop, "sync", ANN)

    assert plan_of(visitor) == "solo"


def test_an_overdue_subscription_that_is_not_needed_ends_at_once(
    shop: Shop, visitor: Visitor, lifetime: Plan
) -> None:
    ann, subscription = stripe_account.subscriber(shop, ANN, "solo")
    at_stripe = stripe_account.client(shop).v1
    customer = str(ann.stripe_customer_id)
    card = at_stripe.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": customer})
    settings: Any = {"invoice_settings": {"default_payment_method": card.id}}
    at_stripe.customers.update(customer, settings)
    stripe_account.advance(shop, customer)
    eventually(lambda: shop.user(ANN).is_past_due)
    visitor.sign_in(ANN)
    offer = " ".join(visitor.visit("/pricing").text.split())
    assert "Your subscription to Solo then ends immediately and isn't charged again" in offer

    page = buy(visitor)

    ended = at_stripe.subscriptions.retrieve(subscription)
    assert ended.status == "canceled"
    assert "Your last payment failed" not in page.text
    [invoice] = at_stripe.invoices.list({"customer": customer, "status": "open"}).data
    assert invoice.auto_advance is False  # it is not collected any more
    eventually(lambda: "You have bought Lifetime" in emails_of(visitor))
    assert "Solo has ended" not in emails_of(visitor)


def test_a_subscription_with_something_else_on_it_is_left_to_the_operator(
    shop: Shop, visitor: Visitor, lifetime: Plan
) -> None:
    _, subscription = stripe_account.subscriber(shop, ANN, "solo")
    at_stripe = stripe_account.client(shop).v1
    price: Any = {
        "currency": "eur", "unit_amount": 500, "recurring": {"interval": "month"},
        "product": at_stripe.products.create({"name": "Support"}).id,
    }  # fmt: skip
    extra: Any = {"items": [{"price": at_stripe.prices.create(price).id}]}
    at_stripe.subscriptions.update(subscription, extra)
    visitor.sign_in(ANN)

    choose(visitor)
    pay(visitor)
    with shop.app.app_context():
        subscriptions.sync(shop.user(ANN).id, cause="test")

    going_on = at_stripe.subscriptions.retrieve(subscription)
    assert (going_on.status, going_on.cancel_at) == ("active", None)

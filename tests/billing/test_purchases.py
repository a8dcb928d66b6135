"""One-time plans: bought once at Checkout, kept until they are refunded or lost in a dispute."""

from __future__ import annotations

from typing import Any

import pytest

from saas.billing import subscriptions
from saas.plans import Plan
from saas.users import account_deletion
from tests.billing.buying import ANN, buy, choose, emails_of, pay, payment_of, plan_of
from tests.harness import stripe_account
from tests.harness.apps import both_databases
from tests.harness.shop import Shop
from tests.harness.stripe_account import CARD
from tests.harness.visitor import Visitor
from tests.harness.waiting import eventually

BANK_ACCOUNT = "000123456789"
REFUND_FAILS = "4000 0000 0000 5126"
IS_DISPUTED = "4000 0000 0000 0259"


@both_databases
def test_a_plan_is_bought_once_and_shown_with_its_receipt(
    shop: Shop, visitor: Visitor, lifetime: Plan
) -> None:
    visitor.sign_in(ANN)
    offer = " ".join(visitor.visit("/pricing").text.split())
    assert "€299 once One payment, no subscription" in offer

    assert "€299" in choose(visitor).text
    page = pay(visitor)

    assert page.path == "/dashboard/billing"
    assert "You have bought Lifetime. Thank you!" in page.text
    assert "You bought Lifetime for €299 on" in page.text
    assert "Bought Lifetime for €299" in page.text
    assert plan_of(visitor) == "solo"
    receipt = next(link for link in page.links if "/receipts/" in link)
    assert visitor.visit(receipt).url.startswith(f"{shop.sandbox}/stripe/receipts/ch_")
    eventually(lambda: "You have bought Lifetime" in emails_of(visitor))


def test_the_webhook_alone_suffices_when_the_buyer_does_not_return(
    visitor: Visitor, lifetime: Plan
) -> None:
    visitor.sign_in(ANN)
    choose(visitor)

    visitor.submit(visitor.page.path, follow=False, **CARD)  # the browser is closed here

    eventually(lambda: plan_of(visitor) == "solo")


def test_an_owner_is_not_sold_the_same_again(visitor: Visitor, lifetime: Plan) -> None:
    visitor.sign_in(ANN)
    buy(visitor)
    visitor.visit("/pricing")
    token = next(form.fields["csrf_token"] for form in visitor.page.forms if form.fields)

    def order(plan: str, interval: str) -> str:
        data = {"plan": plan, "interval": interval, "csrf_token": token}
        return visitor.request("POST", "/billing/checkout", data=data, allow_redirects=True).text

    assert "Buy Lifetime" not in visitor.page.text
    assert "Included in your plan" in visitor.page.text  # Solo
    assert "Upgrade to Team" in visitor.page.text
    assert "You have bought Lifetime already." in order("lifetime", "once")
    assert "Lifetime includes everything in Solo, so nothing was bought." in order(
        "solo", "monthly"
    )
    assert "/stripe/checkout/" in choose(visitor, "team", "monthly").url  # a higher plan is sold


def test_a_subscription_to_the_same_plan_ends_with_its_period(
    shop: Shop, visitor: Visitor, lifetime: Plan
) -> None:
    _, subscription = stripe_account.subscriber(shop, ANN, "solo")
    visitor.sign_in(ANN)
    offer = visitor.visit("/pricing").text
    assert "Your subscription to Solo then ends with its period and isn't charged again" in offer

    buy(visitor)

    ending = stripe_account.client(shop).v1.subscriptions.retrieve(subscription)
    assert ending.status == "active"
    assert ending.cancel_at_period_end or ending.cancel_at
    eventually(lambda: "You have bought Lifetime" in emails_of(visitor))
    [bought] = [mail for mail in visitor.emails_to(ANN) if "bought" in mail["subject"]]
    assert "Your subscription to Solo ends on" in bought["text"]
    assert not any("is canceled" in subject for subject in emails_of(visitor))


def test_a_subscription_to_a_higher_plan_continues(
    shop: Shop, visitor: Visitor, lifetime: Plan
) -> None:
    _, subscription = stripe_account.subscriber(shop, ANN, "team")
    visitor.sign_in(ANN)
    assert "Your subscription to Team continues" in visitor.visit("/pricing").text

    buy(visitor)

    going_on = stripe_account.client(shop).v1.subscriptions.retrieve(subscription)
    assert (going_on.cancel_at_period_end, going_on.cancel_at) == (False, None)
    assert plan_of(visitor) == "team"


def test_a_part_of_the_payment_refunded_changes_nothing_but_the_history(
    shop: Shop, visitor: Visitor, lifetime: Plan
) -> None:
    visitor.sign_in(ANN)
    buy(visitor)

    refund: Any = {"payment_intent": payment_of(shop), "amount": 10000}
    stripe_account.client(shop).v1.refunds.create(refund)

    eventually(lambda: "€100 for Lifetime refunded" in visitor.visit("/dashboard/billing").text)
    assert "We refunded €100 of it." in visitor.page.text
    assert plan_of(visitor) == "solo"
    part = "A part of your payment for Lifetime was refunded"
    eventually(lambda: part in emails_of(visitor))


def test_a_full_refund_ends_the_plan(shop: Shop, visitor: Visitor, lifetime: Plan) -> None:
    visitor.sign_in(ANN)
    buy(visitor)

    stripe_account.client(shop).v1.refunds.create({"payment_intent": payment_of(shop)})

    eventually(lambda: plan_of(visitor) == "hobby")
    page = visitor.visit("/dashboard/billing").text
    assert "Payment for Lifetime refunded: Lifetime ended" in page
    assert "You bought Lifetime" not in page
    eventually(lambda: "Your payment for Lifetime was refunded" in emails_of(visitor))
    assert "Buy Lifetime" in visitor.visit("/pricing").text


def test_a_refund_that_the_bank_refuses_gives_the_plan_back(
    shop: Shop, visitor: Visitor, lifetime: Plan
) -> None:
    visitor.sign_in(ANN)
    choose(visitor)
    visitor.submit(visitor.page.path, **{**CARD, "number": REFUND_FAILS})

    stripe_account.client(shop).v1.refunds.create({"payment_intent": payment_of(shop)})
    eventually(lambda: plan_of(visitor) == "hobby")

    eventually(lambda: plan_of(visitor) == "solo")
    assert "The refund for Lifetime failed" in visitor.visit("/dashboard/billing").text
    eventually(lambda: "Your refund for Lifetime failed" in emails_of(visitor))


def test_who_has_a_granted_plan_is_not_thanked_before_the_payment_arrives(
    shop: Shop, visitor: Visitor, lifetime: Plan
) -> None:
    visitor.sign_in(ANN)
    grant = ["users", "grant", ANN, "team", "--reason", "a gift"]
    assert shop.app.test_cli_runner().invoke(args=grant).exit_code == 0
    choose(visitor)

    page = visitor.submit(visitor.page.path, **{**CARD, "number": BANK_ACCOUNT})

    assert "Your payment isn't confirmed yet" in page.text


def test_the_email_about_a_subscription_s_end_names_the_plan_that_stays(
    shop: Shop, visitor: Visitor, lifetime: Plan
) -> None:
    _, subscription = stripe_account.subscriber(shop, ANN, "team")
    visitor.sign_in(ANN)
    buy(visitor)

    stripe_account.client(shop).v1.subscriptions.cancel(subscription)

    eventually(lambda: "Team has ended" in emails_of(visitor))
    [ended] = [mail for mail in visitor.emails_to(ANN) if mail["subject"] == "Team has ended"]
    assert "Your account is now on Solo" in ended["text"]
    assert plan_of(visitor) == "solo"


@pytest.mark.parametrize(
    ("evidence", "plan", "sentence", "subject"),
    [
        (
            "winning_evidence", "solo", "stands: the dispute was won",
            "Your payment for Lifetime stands",
        ),
        ("losing_evidence", "hobby", "lost in a dispute: Lifetime ended", "Lifetime has ended"),
    ],
)  # fmt: skip
def test_a_dispute_ends_the_plan_only_when_it_is_lost(
    shop: Shop, visitor: Visitor, lifetime: Plan, evidence: str, plan: str, sentence: str,
    subject: str,
) -> None:  # fmt: skip
    visitor.sign_in(ANN)
    choose(visitor)
    visitor.submit(visitor.page.path, **{**CARD, "number": IS_DISPUTED})
    eventually(lambda: "Your bank disputes" in visitor.visit("/dashboard/billing").text)
    assert plan_of(visitor) == "solo"
    eventually(lambda: "Your bank disputes your payment for Lifetime" in emails_of(visitor))

    disputes = stripe_account.client(shop).v1.disputes
    [dispute] = disputes.list({"payment_intent": payment_of(shop)}).data
    disputes.update(dispute.id, {"evidence": {"uncategorized_text": evidence}, "submit": True})

    eventually(lambda: sentence in visitor.visit("/dashboard/billing").text)
    assert plan_of(visitor) == plan
    eventually(lambda: subject in emails_of(visitor))


def test_two_paid_pages_cost_once(shop: Shop, visitor: Visitor, lifetime: Plan) -> None:
    """The second tab was open before the first was paid, and Stripe took both payments."""
    stripe_account.remove_endpoints(shop)
    visitor.sign_in(ANN)
    buy(visitor)
    first = payment_of(shop)
    at_stripe = stripe_account.client(shop).v1
    [session] = at_stripe.checkout.sessions.list({"payment_intent": first}).data
    price = shop.price["lifetime", "once"]
    second: Any = {
        "mode": "payment", "customer": session.customer, "success_url": shop.url,
        "line_items": [{"price": price, "quantity": 1}], "metadata": session.metadata.to_dict(),
    }  # fmt: skip
    page = at_stripe.checkout.sessions.create(second)
    visitor.visit(str(page.url))
    pay(visitor)

    with shop.app.app_context():
        subscriptions.sync(shop.user(ANN).id, cause="test")

    kept, refunded = shop.user(ANN).stripe_purchases or []
    assert (kept["refunded"], refunded["refunded"]) == (0, 29900)
    assert plan_of(visitor) == "solo"
    twice = "Lifetime was paid twice, and the second payment was refunded"
    assert twice in visitor.visit("/dashboard/billing").text
    eventually(lambda: "Your second payment for Lifetime was refunded" in emails_of(visitor))
    with shop.app.app_context():  # a repeated sync refunds nothing more
        subscriptions.sync(shop.user(ANN).id, cause="test")
    assert len(stripe_account.refunds_of(shop, str(session.customer))) == 1


def test_a_purchase_survives_the_deletion_of_its_customer_in_stripe(
    shop: Shop, visitor: Visitor, lifetime: Plan
) -> None:
    visitor.sign_in(ANN)
    buy(visitor)
    customer, payment = str(shop.user(ANN).stripe_customer_id), payment_of(shop)
    at_stripe = stripe_account.client(shop).v1

    at_stripe.customers.delete(customer)
    eventually(lambda: shop.user(ANN).stripe_customer_id is None)
    assert plan_of(visitor) == "solo"

    at_stripe.refunds.create({"payment_intent": payment})
    with shop.app.app_context():
        subscriptions.sync(shop.user(ANN).id, cause="test")
    assert plan_of(visitor) == "hobby"


def test_a_page_left_open_cannot_be_paid_after_the_account_was_deleted(
    shop: Shop, visitor: Visitor, lifetime: Plan
) -> None:
    visitor.sign_in(ANN)
    choose(visitor)
    page, customer = visitor.page.path, str(shop.user(ANN).stripe_customer_id)
    with shop.app.app_context():
        account_deletion.delete_account(shop.user(ANN))

    assert visitor.submit(page, **CARD).status == 409
    assert stripe_account.client(shop).v1.charges.list({"customer": customer}).data == []


def test_a_price_of_a_plan_that_left_the_catalogue_gives_nothing(
    shop: Shop, visitor: Visitor, lifetime: Plan
) -> None:
    visitor.sign_in(ANN)
    buy(visitor)
    prices = shop.app.config["STRIPE_PRICES"]
    shop.app.config["STRIPE_PRICES"] = {
        key: ids for key, ids in prices.items() if key != ("lifetime", "once")
    }

    assert plan_of(visitor) == "hobby"
    assert visitor.visit("/dashboard/billing").status == 200


def command(shop: Shop, *args: str) -> tuple[int, str]:
    result = shop.app.test_cli_runner().invoke(args=["billing", *args])
    return result.exit_code, result.stdout


def test_verify_finds_a_purchase_whose_event_was_lost_and_sync_repairs_it(
    shop: Shop, visitor: Visitor, lifetime: Plan
) -> None:
    stripe_account.remove_endpoints(shop)
    visitor.sign_in(ANN)
    choose(visitor)
    visitor.submit(visitor.page.path, follow=False, **CARD)

    code, differences = command(shop, "verify", "--json")
    assert (code, "stripe_purchases" in differences) == (1, True)
    command(shop, "sync", "--all")

    assert plan_of(visitor) == "solo"
    assert command(shop, "verify")[0] == 0

    stripe_account.client(shop).v1.refunds.create({"payment_intent": payment_of(shop)})
    code, differences = command(shop, "verify", "--json")
    assert (code, "stripe_purchases" in differences) == (1, True)


def test_catch_up_applies_a_lost_decision_about_a_dispute(
    shop: Shop, visitor: Visitor, lifetime: Plan
) -> None:
    stripe_account.remove_endpoints(shop)
    visitor.sign_in(ANN)
    choose(visitor)
    visitor.submit(visitor.page.path, **{**CARD, "number": IS_DISPUTED})
    command(shop, "catch-up")
    disputes = stripe_account.client(shop).v1.disputes
    [dispute] = disputes.list({"payment_intent": payment_of(shop)}).data
    disputes.close(dispute.id)

    code, _ = command(shop, "catch-up")

    assert (code, plan_of(visitor)) == (0, "hobby")


def test_a_receipt_of_another_user_does_not_exist(
    shop: Shop, visitor: Visitor, lifetime: Plan
) -> None:
    visitor.sign_in(ANN)
    buy(visitor)
    [purchase] = shop.user(ANN).stripe_purchases or []
    eve = shop.visitor()
    eve.sign_in("eve@example.com")

    path = f"/dashboard/billing/receipts/{purchase['session']}"
    assert eve.request("GET", path).status_code == 404

"""From a plan on the pricing page to the portal, opened at that change."""

from __future__ import annotations

from typing import Any

from tests.harness import stripe_account
from tests.harness.mailbox import email_of
from tests.harness.shop import Shop
from tests.harness.stripe_account import sync
from tests.harness.stripe_proxy import ProxiedShop, recording


def test_a_change_of_plan_keeps_the_seats(quiet_shop: Shop) -> None:
    ann, pro = stripe_account.subscriber(quiet_shop, email_of(quiet_shop))
    at_stripe = stripe_account.client(quiet_shop).v1
    item = at_stripe.subscriptions.retrieve(pro)["items"].data[0]
    at_stripe.subscriptions.update(pro, {"items": [{"id": item.id, "quantity": 3}]})
    sync(quiet_shop, ann)
    visitor = quiet_shop.visitor()
    visitor.sign_in(email_of(quiet_shop))
    visitor.visit("/pricing")

    visitor.submit("/billing/checkout", having={"plan": "team", "interval": "monthly"})
    page = visitor.page
    visitor.submit(page.path)

    (changed,) = at_stripe.subscriptions.retrieve(pro)["items"].data
    assert (changed.price.id, changed.quantity) == (quiet_shop.price["team", "monthly"], 3)


def test_a_subscription_of_several_items_opens_the_portal_at_its_start(
    proxied_shop: ProxiedShop,
) -> None:
    """Three seats of Solo and an add-on: Stripe's portal cannot change several items."""
    user, pro = stripe_account.subscriber(proxied_shop, email_of(proxied_shop))
    at_stripe = stripe_account.client(proxied_shop).v1
    product = at_stripe.products.create({"name": "Add-on"}).id
    item = at_stripe.subscriptions.retrieve(pro)["items"].data[0]
    add_on: Any = {
        "currency": "eur", "product": product, "unit_amount": 500,
        "recurring": {"interval": "month"},
    }  # fmt: skip
    added = [
        {"price_data": add_on},
        {"price": proxied_shop.price["solo", "monthly"], "quantity": 3},
    ]
    at_stripe.subscriptions.update(
        pro,
        {"items": [{"id": item.id, "deleted": True}, *added]},  # type: ignore[list-item]
    )
    ann = proxied_shop.visitor()
    ann.sign_in(email_of(proxied_shop))
    sent: list[dict[str, list[str]]] = []

    with recording(proxied_shop.proxy, "POST /v1/billing_portal/sessions", sent):
        ann.visit("/pricing")
        page = ann.submit("/billing/checkout", having={"plan": "team", "interval": "monthly"})

    assert not [name for name in sent[0] if name.startswith("flow_data")]
    assert page.status == 200
    assert user.stripe_customer_id

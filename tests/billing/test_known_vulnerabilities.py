"""Published vulnerabilities of similar systems do not exist here."""

from __future__ import annotations

import pytest

from tests.harness import stripe_account
from tests.harness.mailbox import email_of
from tests.harness.stripe_proxy import ProxiedShop, recording
from tests.harness.visitor import Visitor

PRICES = ("price", "price_id", "price_data[unit_amount]", "line_items[0][price]", "amount")


@pytest.fixture
def shop(proxied_shop: ProxiedShop) -> ProxiedShop:
    return proxied_shop


def signed_in(shop: ProxiedShop, email: str) -> Visitor:
    visitor = shop.visitor()
    visitor.sign_in(email)
    return visitor


def test_the_browser_cannot_choose_the_price(shop: ProxiedShop) -> None:
    """CVE-2026-4547: the client chooses the price."""
    at_stripe = stripe_account.client(shop).v1
    product = at_stripe.products.create({"name": "Almost nothing"}).id
    cheap = at_stripe.prices.create(
        {
            "product": product,
            "currency": "eur",
            "unit_amount": 1,
            "recurring": {"interval": "month"},
        }
    ).id
    ann = signed_in(shop, email_of(shop))
    chosen = {name: "1" if "amount" in name else cheap for name in PRICES}

    ann.visit("/pricing")
    page = ann.submit("/billing/checkout", having={"plan": "solo"}, **chosen)
    ann.visit("/pricing")
    refused = ann.submit("/billing/checkout", having={"plan": "solo"}, follow=False, interval=cheap)

    (session,) = at_stripe.checkout.sessions.list({"expand": ["data.line_items"]}).data
    assert session.url == page.url
    assert session.line_items
    assert [item.price.id for item in session.line_items.data if item.price] == [
        shop.price["solo", "monthly"]
    ]
    assert refused.response.headers["Location"] == "/pricing"


def test_a_user_cannot_open_the_portal_of_another_customer(shop: ProxiedShop) -> None:
    """CVE-2026-4549: the portal of another customer."""
    bob, _ = stripe_account.subscriber(shop, f"bob-{email_of(shop)}")
    own, _ = stripe_account.subscriber(shop, email_of(shop))
    ann = signed_in(shop, email_of(shop))
    sent: list[dict[str, list[str]]] = []
    others = dict.fromkeys(("customer", "customer_id", "user_id"), str(bob.stripe_customer_id))

    with recording(shop.proxy, "POST /v1/billing_portal/sessions", sent):
        ann.visit("/dashboard/billing")
        ann.submit("/billing/portal", **others)

    assert [item["customer"] for item in sent] == [[own.stripe_customer_id]]
    invoices = ann.visit(f"/dashboard/billing/invoices?customer={bob.stripe_customer_id}")
    assert invoices.status == 200
    assert str(bob.stripe_customer_id) not in invoices.response.text


@pytest.mark.parametrize("path", ["/dashboard/settings/name", "/billing/checkout"])
def test_no_form_writes_the_customer_id(shop: ProxiedShop, path: str) -> None:
    """CVE-2026-134317: mass assignment of the customer id."""
    bob, _ = stripe_account.subscriber(shop, f"bob-{email_of(shop)}")
    ann = signed_in(shop, email_of(shop))
    columns = {
        "stripe_customer_id": str(bob.stripe_customer_id), "stripe_price_id": "price_1",
        "stripe_subscription_status": "active", "stripe_sync_counter": "7", "role": "admin",
    }  # fmt: skip

    ann.visit("/pricing" if "checkout" in path else "/dashboard/settings")
    ann.submit(path, follow=False, **columns, **({} if "checkout" in path else {"name": "Ann"}))
    response = ann.request("PATCH", "/api/user", json={**columns, "name": "Ann"})

    after = shop.user(email_of(shop))
    assert response.status_code >= 400
    assert after.stripe_customer_id != bob.stripe_customer_id
    assert (after.stripe_subscription_status, after.stripe_price_id) == (None, None)
    assert after.role == "user"

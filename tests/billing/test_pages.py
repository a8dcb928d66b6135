"""Billing pages: banners, invoices, trials, codes, tax, and the email for receipts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from sqlalchemy import update

from saas import database
from saas.auth import accounts
from saas.auth.models import User
from saas.billing import checkout, customers, gateway, subscriptions, tasks
from saas.database import now
from saas.plans import Trial
from tests.billing.cases import case
from tests.harness import stripe_account
from tests.harness.apps import both_databases
from tests.harness.mailbox import email_of
from tests.harness.servers import free_port, serving
from tests.harness.shop import Shop, open_shop
from tests.harness.stripe_account import CARD, stripe_settings, sync, use_card
from tests.harness.visitor import Visitor
from tests.harness.waiting import eventually


@pytest.fixture
def trials(shop: Shop) -> None:
    """Offer a trial of fourteen days of Solo."""
    shop.change_plan("solo", trial=Trial(days=14))


def buy(visitor: Visitor, plan: str = "solo", **fields: str) -> None:
    visitor.visit("/pricing")
    visitor.submit("/billing/checkout", having={"plan": plan, "interval": "monthly"})
    visitor.submit(visitor.page.path, **{**CARD, **fields})


def test_a_failed_payment_has_a_banner_with_a_date_until_it_is_paid(
    quiet_shop: Shop, visitor_of_quiet_shop: Visitor
) -> None:
    ann, _ = stripe_account.subscriber(quiet_shop, email_of(quiet_shop))
    use_card(quiet_shop, ann.stripe_customer_id, "pm_card_chargeCustomerFail")
    stripe_account.advance(quiet_shop, ann.stripe_customer_id)
    sync(quiet_shop, ann)
    # Stripe's clock is a month ahead.
    with quiet_shop.app.app_context(), database.write_transaction():
        database.execute(update(User).values(stripe_past_due_since=now() - timedelta(days=1)))
    visitor = visitor_of_quiet_shop
    visitor.sign_in(email_of(quiet_shop))
    ends = now() + timedelta(days=6)

    message = visitor.visit("/dashboard").text
    assert "Your last payment failed." in message
    assert f"You keep Solo until {ends:%-d %B %Y}" in " ".join(message.split())
    assert "/stripe/portal/" in visitor.submit("/billing/portal").url

    with quiet_shop.app.app_context(), database.write_transaction():
        database.execute(update(User).values(stripe_past_due_since=now() - timedelta(days=8)))
    message = visitor.visit("/dashboard/billing").text
    assert "Solo has been paused since" in message

    use_card(quiet_shop, ann.stripe_customer_id, "pm_card_visa")
    at_stripe = stripe_account.client(quiet_shop).v1
    for owed in at_stripe.invoices.list({"status": "open"}).data:
        at_stripe.invoices.pay(owed.id)
    sync(quiet_shop, ann)
    message = visitor.visit("/dashboard").text
    assert "payment failed" not in message
    assert "paused" not in message


@pytest.fixture
def visitor_of_quiet_shop(quiet_shop: Shop) -> Visitor:
    return quiet_shop.visitor()


def test_invoices_are_listed_with_their_pages(shop: Shop, visitor: Visitor) -> None:
    ann, _ = stripe_account.subscriber(shop, email_of(shop))
    visitor.sign_in(email_of(shop))
    stripe_account.advance(shop, ann.stripe_customer_id)

    page = visitor.visit("/dashboard/billing/invoices")

    listed = stripe_account.client(shop).v1.invoices.list().data
    assert len(listed) == 2
    for invoice in listed:
        assert str(invoice.number) in page.text
        assert invoice.hosted_invoice_url in page.links
    assert page.text.count("€15.00") == 2
    assert page.text.count("Paid") == 2


def test_a_page_without_invoices_is_explained(shop: Shop, visitor: Visitor) -> None:
    visitor.sign_in(email_of(shop))

    assert "No invoices yet" in visitor.visit("/dashboard/billing/invoices").text


def test_many_invoices_are_listed_page_by_page_without_gaps(shop: Shop, visitor: Visitor) -> None:
    ann, _ = stripe_account.subscriber(shop, email_of(shop))
    visitor.sign_in(email_of(shop))
    stripe_account.advance(shop, ann.stripe_customer_id, "month", count=101)

    def all_of_them() -> list[str | None]:
        result = stripe_account.client(shop).v1.invoices.list({"limit": 100}).auto_paging_iter()
        return [item.number for item in result if item.status == "paid"]

    everything = eventually(lambda: result if len(result := all_of_them()) > 100 else [], 60)

    page, seen, pages = visitor.visit("/dashboard/billing/invoices"), 0, 0
    while True:
        pages += 1
        seen += sum(str(number) in page.text for number in everything)
        older = [link for link in page.links if "before=" in link]
        if not older:
            break
        page = visitor.visit(older[0])
    newer = [link for link in page.links if "after=" in link]

    assert seen == len(everything)
    assert pages == -(-len(everything) // 25)
    assert visitor.visit(newer[0]).status == 200


def test_invoices_of_another_user_are_not_shown(shop: Shop, visitor: Visitor) -> None:
    stripe_account.subscriber(shop, "bob@example.com")
    (his,) = stripe_account.client(shop).v1.invoices.list().data
    stripe_account.subscriber(shop, email_of(shop))
    visitor.sign_in(email_of(shop))

    for query in (f"before={his.id}", f"after={his.id}", "before=in_unheard_of", "after=%00"):
        page = visitor.visit(f"/dashboard/billing/invoices?{query}")
        assert page.status == 200
        assert str(his.number) not in page.text


def test_the_invoice_page_explains_a_stripe_outage(
    make_app: Callable[..., Flask], shop: Shop, visitor: Visitor
) -> None:
    stripe_account.subscriber(shop, email_of(shop))
    visitor.sign_in(email_of(shop))
    settings = {**stripe_settings(shop), "SANDBOX_URL": f"http://localhost:{free_port()}"}
    with serving(make_app(**settings)) as url:
        visitor.base = url
        page = visitor.visit("/dashboard/billing/invoices")
        visitor.base = shop.url

    assert page.status == 503
    assert "isn't responding" in page.text


@both_databases
def test_an_account_gets_one_trial_only(shop: Shop, visitor: Visitor, trials: None) -> None:
    assert "14 days free" in visitor.visit("/pricing").text
    visitor.sign_in(email_of(shop))
    buy(visitor)
    eventually(lambda: shop.user(email_of(shop)).is_trialing)
    assert "Trial of Solo (monthly) started" in visitor.visit("/dashboard/billing").text
    ann = shop.user(email_of(shop))
    stripe_account.client(shop).v1.customers.delete(str(ann.stripe_customer_id))
    eventually(lambda: shop.user(email_of(shop)).stripe_customer_id is None)

    assert "days free" not in visitor.visit("/pricing").text
    visitor.submit("/billing/checkout", having={"plan": "solo", "interval": "monthly"})

    assert "days free" not in visitor.page.text
    visitor.submit(visitor.page.path, **CARD)
    eventually(lambda: shop.user(email_of(shop)).stripe_subscription_status == "active")


def test_a_promotion_code_is_accepted_at_checkout(shop: Shop, visitor: Visitor) -> None:
    at_stripe = stripe_account.client(shop).v1
    coupon = at_stripe.coupons.create({"percent_off": 20, "duration": "forever"})
    at_stripe.promotion_codes.create(
        {"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "FRIENDS"}
    )
    visitor.sign_in(email_of(shop))
    visitor.visit("/pricing")
    visitor.submit("/billing/checkout", having={"plan": "solo", "interval": "monthly"})
    visitor.submit(f"{visitor.page.path}/code", code="friends")

    assert "€12" in visitor.page.text
    visitor.submit(visitor.page.path, **CARD)
    assert "€12.00" in visitor.visit("/dashboard/billing/invoices").text


def test_with_automatic_tax_checkout_asks_for_the_country(
    make_app: Callable[..., Flask], sandbox: str
) -> None:
    for shop in open_shop(make_app, sandbox, STRIPE_AUTOMATIC_TAX="true"):
        visitor = shop.visitor()
        visitor.sign_in(email_of(shop))
        office: Any = {"address": {"country": "DE"}}
        stripe_account.client(shop).v1.tax.settings.update({"head_office": office})
        buy(
            visitor, line1="1 Main Street", city="Berlin", postal_code="10115", country="DE",
            name="Ann Ltd", tax_id="DE123456789",
        )  # fmt: skip
        at_stripe = stripe_account.client(shop).v1
        (session,) = at_stripe.checkout.sessions.list().data
        ann = shop.user(email_of(shop))
        customer = at_stripe.customers.retrieve(str(ann.stripe_customer_id))

        assert session.automatic_tax.enabled
        assert session.customer_details
        assert [item.value for item in session.customer_details.tax_ids or []] == ["DE123456789"]
        assert customer.address
        assert (customer.address.country, customer.name) == ("DE", "Ann Ltd")


def subscribe_to_something_else(shop: Shop, *, ours: bool) -> User:
    """Return a user whose only subscription has a price outside of the catalogue."""
    ann, first = stripe_account.subscriber(shop, email_of(shop))
    at_stripe = stripe_account.client(shop).v1
    at_stripe.subscriptions.cancel(first)
    with shop.app.app_context():
        metadata = customers.metadata_for(ann) if ours else {"product": "consulting"}
    at_stripe.subscriptions.create(
        {
            "customer": str(ann.stripe_customer_id),
            "metadata": metadata,
            "items": [
                {
                    "price_data": {
                        "currency": "eur",
                        "product": at_stripe.products.create({"name": "Something else"}).id,
                        "unit_amount": 90000,
                        "recurring": {"interval": "month"},
                    }
                }
            ],
        }
    )
    sync(shop, ann)
    return ann


def test_a_subscriber_to_a_discontinued_plan_sees_that(
    quiet_shop: Shop, visitor_of_quiet_shop: Visitor
) -> None:
    ann, visitor = subscribe_to_something_else(quiet_shop, ours=True), visitor_of_quiet_shop
    visitor.sign_in(ann.email)

    message = visitor.visit("/dashboard/billing").text
    visitor.visit("/pricing")
    page = visitor.submit("/billing/checkout", having={"plan": "solo"})

    assert "no longer offered" in message
    assert "Changed to another plan" in message
    assert "Nothing is charged" not in message
    assert "/stripe/portal/" in page.url  # no second subscription can be bought


def test_a_customer_s_subscriptions_of_another_product_are_not_changed(
    quiet_shop: Shop, visitor_of_quiet_shop: Visitor
) -> None:
    """The company sells consulting to the same customer, in the same account in Stripe."""
    ann, visitor = subscribe_to_something_else(quiet_shop, ours=False), visitor_of_quiet_shop
    visitor.sign_in(ann.email)

    message = visitor.visit("/dashboard/billing").text
    visitor.visit("/pricing")
    page = visitor.submit("/billing/checkout", having={"plan": "solo"})

    assert "Nothing is charged" in message
    assert "/stripe/portal/" not in page.url
    assert "Pay" in page.text


@case(14, "two tabs")
def test_resubmitting_a_form_leaves_no_other_checkout_open(quiet_shop: Shop) -> None:
    """Another tab opened its checkout at the same moment, so neither saw the other's."""
    with quiet_shop.app.app_context():
        ann = accounts.get_or_create(email_of(quiet_shop))
        first = checkout.checkout_url(ann, "solo", "monthly", "aa")
        gateway.create_checkout_session(
            customer_id=str(accounts.get_by_email(ann.email).stripe_customer_id),
            price_id=quiet_shop.price["team", "monthly"],
            metadata=customers.metadata_for(ann),
            key="the other tab",
            success_url=quiet_shop.url,
            cancel_url=quiet_shop.url,
        )
        again = checkout.checkout_url(accounts.get_by_email(ann.email), "solo", "monthly", "aa")

    pages = stripe_account.client(quiet_shop).v1.checkout.sessions.list().data
    assert again == first
    assert [page.url for page in pages if page.status == "open"] == [first]


@both_databases
def test_a_new_email_reaches_the_stripe_customer_after_an_outage(
    make_app: Callable[..., Flask], quiet_shop: Shop
) -> None:
    ann, _ = stripe_account.subscriber(quiet_shop, email_of(quiet_shop))
    at_stripe = stripe_account.client(quiet_shop).v1
    settings = {**stripe_settings(quiet_shop), "SANDBOX_URL": f"http://localhost:{free_port()}"}
    with make_app(**settings).app_context(), database.write_transaction():
        database.execute(update(User).values(email="new@example.com"))
        customers.mark_email_stale(ann)
    assert at_stripe.customers.retrieve(str(ann.stripe_customer_id)).email == email_of(quiet_shop)

    with quiet_shop.app.app_context():
        tasks.update_stale_emails()

    assert at_stripe.customers.retrieve(str(ann.stripe_customer_id)).email == "new@example.com"
    assert quiet_shop.user("new@example.com").stripe_email_stale_since is None


def test_an_email_changed_at_stripe_changes_nothing_here(shop: Shop) -> None:
    ann, _ = stripe_account.subscriber(shop, email_of(shop))
    stripe_account.client(shop).v1.customers.update(
        str(ann.stripe_customer_id), {"email": "elsewhere@example.com"}
    )
    with shop.app.app_context(), time_machine.travel(now() + timedelta(minutes=1), tick=True):
        subscriptions.sync(ann.id, cause="test")

    assert shop.user(email_of(shop)).email == email_of(shop)

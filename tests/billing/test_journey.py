"""From choosing a plan to canceling it, through the pages, with real webhooks."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from flask import Flask
from sqlalchemy import select

from saas.billing import customers, gateway
from saas.billing.models import StripeEvent, SubscriptionChange
from saas.database import db
from tests.billing.cases import case
from tests.harness import stripe_account
from tests.harness.apps import both_databases
from tests.harness.servers import free_port, serving
from tests.harness.shop import Shop
from tests.harness.stripe_account import CARD
from tests.harness.visitor import Page, Visitor
from tests.harness.waiting import eventually


def choose(visitor: Visitor, plan: str = "solo", interval: str = "monthly") -> Page:
    """Choose a plan on the pricing page, and return the Checkout page."""
    visitor.visit(f"/pricing?interval={interval}")
    return visitor.submit("/billing/checkout", having={"plan": plan, "interval": interval})


def pay(visitor: Visitor, **card: str) -> Page:
    return visitor.submit(visitor.page.path, **{**CARD, **card})


def status(visitor: Visitor) -> dict[str, str]:
    subscription: dict[str, str] = visitor.request("GET", "/api/user").json()["user"][
        "subscription"
    ]
    return subscription


@both_databases
def test_a_plan_bought_on_the_hosted_page_is_shown_at_once(shop: Shop, visitor: Visitor) -> None:
    visitor.sign_in("ann@example.com")

    checkout = choose(visitor, "solo", "yearly")
    assert checkout.url.startswith(f"{shop.sandbox}/stripe/checkout/cs_test_")
    assert "€144" in checkout.text
    page = pay(visitor)

    assert page.path == "/dashboard/billing"
    assert "You're now on Solo" in page.text
    assert "€144" in page.text
    assert status(visitor)["plan"] == "solo"
    assert status(visitor)["interval"] == "yearly"


@both_databases
def test_the_webhook_alone_suffices_when_the_user_does_not_return(
    shop: Shop, visitor: Visitor
) -> None:
    visitor.sign_in("ann@example.com")
    choose(visitor)

    visitor.submit(visitor.page.path, follow=False, **CARD)  # the browser is closed here

    eventually(lambda: status(visitor)["plan"] == "solo")
    eventually(lambda: _all_processed(shop))
    with shop.app.app_context():
        (change,) = db.session.scalars(select(SubscriptionChange))
        assert change.cause.startswith("evt_")


def _all_processed(shop: Shop) -> bool:
    with shop.app.app_context():
        rows = db.session.scalars(select(StripeEvent)).all()
        return bool(rows) and all(row.processed_at for row in rows)


def test_a_declined_card_can_be_replaced(visitor: Visitor) -> None:
    visitor.sign_in("ann@example.com")
    choose(visitor)

    declined = pay(visitor, number="4000 0000 0000 0002")
    assert "declined" in declined.text
    assert status(visitor)["plan"] == "hobby"

    assert pay(visitor).path == "/dashboard/billing"
    assert status(visitor)["plan"] == "solo"


def test_checkout_returns_to_the_chosen_plan(visitor: Visitor) -> None:
    visitor.sign_in("ann@example.com")
    checkout = choose(visitor, "team", "yearly")

    back = next(link for link in checkout.links if "/pricing" in link)

    assert visitor.visit(back).status == 200
    assert "plan=team" in back
    assert status(visitor)["plan"] == "hobby"


@case(14, "double click")
def test_a_double_click_opens_one_checkout(shop: Shop, visitor: Visitor) -> None:
    visitor.sign_in("ann@example.com")
    visitor.visit("/pricing")
    form = visitor.page.form("/billing/checkout", plan="solo", interval="monthly")

    addresses = {
        visitor.request("POST", "/billing/checkout", data=form.fields).headers["Location"]
        for _ in range(3)
    }

    assert len(addresses) == 1
    assert len(stripe_account.client(shop).v1.checkout.sessions.list().data) == 1


def test_two_pages_paid_at_once_leave_one_subscription_and_one_payment(
    shop: Shop, visitor: Visitor
) -> None:
    visitor.sign_in("ann@example.com")
    with shop.app.app_context():  # the second page is opened at the same moment as the first
        ann = shop.user("ann@example.com")
        pages = [
            gateway.create_checkout_session(
                customer_id=customers.ensure_customer(ann),
                price_id=shop.price["solo", "monthly"],
                metadata=customers.metadata_for(ann),
                key=f"tab {number}",
                success_url=f"{shop.url}/billing/return",
                cancel_url=f"{shop.url}/pricing",
            )
            for number in range(2)
        ]

    for page in pages:
        visitor.visit(page.url)
        pay(visitor)

    at_stripe = stripe_account.client(shop).v1

    def one_is_left() -> bool:
        listed = at_stripe.subscriptions.list({"status": "all"}).data
        return sorted(subscription.status for subscription in listed) == ["active", "canceled"]

    eventually(one_is_left)
    eventually(lambda: len(at_stripe.refunds.list().data) == 1)
    eventually(lambda: _all_processed(shop))
    assert status(visitor)["plan"] == "solo"


@case(14, "two tabs")
def test_a_second_choice_closes_the_first_checkout(shop: Shop, visitor: Visitor) -> None:
    visitor.sign_in("ann@example.com")
    first = choose(visitor, "solo").url
    choose(visitor, "team")

    sessions = stripe_account.client(shop).v1.checkout.sessions.list().data

    assert sorted(session.status or "" for session in sessions) == ["expired", "open"]
    assert "expired" in visitor.visit(first).text.lower()


def test_reusing_a_form_after_its_checkout_expired_opens_a_new_one(
    shop: Shop, visitor: Visitor
) -> None:
    """The back button shows the same form with the same nonce."""
    visitor.sign_in("ann@example.com")
    visitor.visit("/pricing")
    form = visitor.page.form("/billing/checkout", plan="solo", interval="monthly")
    first = visitor.request("POST", "/billing/checkout", data=form.fields).headers["Location"]
    choose(visitor, "team")  # expires the first one

    again = visitor.request("POST", "/billing/checkout", data=form.fields).headers["Location"]

    assert again != first
    visitor.visit(again)
    assert pay(visitor).path == "/dashboard/billing"


@case(14, "already subscribed")
def test_a_subscriber_is_redirected_to_the_portal_for_a_change_of_plan(
    shop: Shop, visitor: Visitor
) -> None:
    stripe_account.subscriber(shop, "ann@example.com", "solo", "monthly")
    visitor.sign_in("ann@example.com")

    page = choose(visitor, "team", "yearly")

    assert urlsplit(page.url).path.startswith("/stripe/portal/")
    assert "Team" in page.text
    assert stripe_account.client(shop).v1.checkout.sessions.list().data == []


def test_changes_in_the_portal_arrive_by_webhook_and_are_shown(
    shop: Shop, visitor: Visitor
) -> None:
    visitor.sign_in("ann@example.com")
    choose(visitor)
    pay(visitor)
    subscription = shop.user("ann@example.com").stripe_subscription_id

    def portal(step: str = "") -> str:
        visitor.visit("/dashboard/billing")
        visitor.submit("/billing/portal")
        return f"{visitor.page.path}/{subscription}/{step}"

    change = portal("change")
    yearly = shop.price["solo", "yearly"]
    visitor.visit(f"{shop.sandbox}{change}?price={yearly}")
    visitor.submit(change)
    eventually(lambda: status(visitor)["interval"] == "yearly")
    assert "€144" in visitor.visit("/dashboard/billing").text

    cancel = portal("cancel")
    visitor.visit(f"{shop.sandbox}{cancel}")
    visitor.submit(cancel, when="period_end")
    eventually(lambda: status(visitor)["cancel_at"])
    assert "ends on" in visitor.visit("/dashboard/billing").text.lower()
    assert status(visitor)["plan"] == "solo"

    resume = portal("resume")
    visitor.submit(resume)
    eventually(lambda: not status(visitor)["cancel_at"])
    assert "ends on" not in visitor.visit("/dashboard/billing").text.lower()

    cancel = portal("cancel")
    visitor.visit(f"{shop.sandbox}{cancel}")
    visitor.submit(cancel, when="now")
    eventually(lambda: status(visitor)["plan"] == "hobby")
    message = visitor.visit("/dashboard/billing").text
    for words in ("Subscribed to Solo", "Changed to Solo (yearly)", "Canceled", "Resumed", "ended"):
        assert words in message


@pytest.mark.parametrize(
    "changes",
    [
        {"plan": "gold"},
        {"plan": "hobby"},
        {"interval": "weekly"},
        {"plan": ""},
        {"nonce": "x" * 65},
        {"nonce": "ä"},
    ],
)
def test_an_unknown_plan_or_interval_is_refused_with_a_message(
    changes: dict[str, str], shop: Shop, visitor: Visitor
) -> None:
    visitor.sign_in("ann@example.com")
    visitor.visit("/pricing")

    page = visitor.submit("/billing/checkout", having={"plan": "solo"}, **changes)

    assert page.path == "/pricing"
    assert "Choose a plan" in page.text
    assert stripe_account.client(shop).v1.checkout.sessions.list().data == []


def test_a_price_and_a_customer_from_the_browser_are_ignored(shop: Shop, visitor: Visitor) -> None:
    bob, _ = stripe_account.subscriber(shop, "bob@example.com")
    visitor.sign_in("ann@example.com")
    visitor.visit("/pricing")

    checkout = visitor.submit(
        "/billing/checkout",
        having={"plan": "team", "interval": "yearly"},
        price="price_of_one_cent", price_id=shop.price["solo", "monthly"],
        customer=str(bob.stripe_customer_id), customer_id=str(bob.stripe_customer_id),
    )  # fmt: skip

    assert "€300" in checkout.text
    (session,) = stripe_account.client(shop).v1.checkout.sessions.list().data
    ann = shop.user("ann@example.com")
    assert session.customer == ann.stripe_customer_id != bob.stripe_customer_id


def test_the_portal_always_belongs_to_the_signed_in_user(shop: Shop, visitor: Visitor) -> None:
    bob, _ = stripe_account.subscriber(shop, "bob@example.com")
    visitor.sign_in("ann@example.com")
    form = visitor.visit("/dashboard/settings").form("/dashboard/settings/name")

    response = visitor.request(
        "POST", "/billing/portal",
        data={"csrf_token": form.fields["csrf_token"], "customer": str(bob.stripe_customer_id)},
    )  # fmt: skip

    assert response.status_code == 303
    assert response.headers["Location"] == "/dashboard/billing"  # ann has nothing to manage
    assert "have a subscription yet" in visitor.visit("/dashboard/billing").text


def test_opening_the_portal_detects_a_customer_deleted_at_stripe(
    shop: Shop, visitor: Visitor
) -> None:
    ann, _ = stripe_account.subscriber(shop, "ann@example.com")
    visitor.sign_in("ann@example.com")
    visitor.visit("/dashboard/billing")
    at_stripe = stripe_account.client(shop).v1
    stripe_account.remove_endpoints(shop)
    at_stripe.customers.delete(str(ann.stripe_customer_id))

    page = visitor.submit("/billing/portal")

    assert "no longer a subscription to manage" in page.text
    assert status(visitor)["plan"] == "hobby"
    visitor.visit("/pricing")
    visitor.submit("/billing/checkout", having={"plan": "solo", "interval": "monthly"})
    assert pay(visitor).path == "/dashboard/billing"


@case(13, "a forged or foreign session_id")
def test_a_foreign_or_forged_session_id_grants_nothing(shop: Shop, visitor: Visitor) -> None:
    bob = shop.visitor()
    bob.sign_in("bob@example.com")
    choose(bob)
    session_id = bob.page.path.rsplit("/", 1)[1]
    pay(bob)
    visitor.sign_in("ann@example.com")

    for forged in (session_id, "cs_test_forged", "", "../../etc/passwd"):
        page = visitor.visit(f"/billing/return?session_id={forged}")
        assert page.path == "/dashboard/billing"
        assert status(visitor)["plan"] == "hobby"


def test_a_purchase_during_a_stripe_outage_is_explained_and_changes_nothing(
    make_app: Callable[..., Flask], shop: Shop, visitor: Visitor
) -> None:
    visitor.sign_in("ann@example.com")
    prices = {
        f"SANDBOX_STRIPE_{plan.upper()}_{interval.upper()}_PRICE_ID": price
        for (plan, interval), price in shop.price.items()
    }
    cut_off = make_app(
        SANDBOX_STRIPE_API_KEY=shop.key, SANDBOX_URL=f"http://localhost:{free_port()}", **prices
    )
    with serving(cut_off) as url:
        visitor.base = url
        page = choose(visitor)
        stripe_account.subscriber(shop, "bob@example.com", synced=False)
        bob = shop.visitor()
        bob.sign_in("bob@example.com")
        bob.base = url
        waiting = bob.visit("/billing/return?session_id=cs_1")
        visitor.base = shop.url

    assert page.status == 503
    assert "nothing was changed" in page.text.lower()
    assert "confirming your payment" in waiting.text.lower()
    assert 'http-equiv="refresh"' in waiting.response.text


def test_billing_pages_send_no_requests_to_stripe(
    make_app: Callable[..., Flask], shop: Shop, visitor: Visitor
) -> None:
    stripe_account.subscriber(shop, "ann@example.com")
    visitor.sign_in("ann@example.com")
    prices = {"SANDBOX_STRIPE_SOLO_MONTHLY_PRICE_ID": shop.price["solo", "monthly"]}
    cut_off = make_app(
        SANDBOX_STRIPE_API_KEY=shop.key, SANDBOX_URL=f"http://localhost:{free_port()}", **prices
    )
    with serving(cut_off) as url:
        visitor.base = url
        for path in ("/dashboard", "/dashboard/billing", "/dashboard/settings", "/pricing"):
            assert visitor.visit(path).status == 200
        assert "Solo" in visitor.visit("/dashboard/billing").text
        visitor.base = shop.url


def test_a_buyer_is_thanked_even_if_the_webhook_was_quicker(shop: Shop) -> None:
    stripe_account.subscriber(shop, "quick@example.com")  # the webhook has already been applied
    visitor = shop.visitor()
    visitor.sign_in("quick@example.com")

    page = visitor.visit("/billing/return?session_id=cs_test_1")

    assert "You're now on Solo" in page.text

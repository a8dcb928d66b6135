"""Displayed amounts match charged amounts on pages, in emails, in the API and in `verify`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser

from saas.auth import accounts
from saas.auth.models import User
from saas.billing import customers
from saas.billing.operator import provisioning
from saas.database import now
from tests.harness import stripe_account
from tests.harness.mailbox import email_of, emails_of
from tests.harness.shop import Shop
from tests.harness.stripe_account import CARD, sync
from tests.harness.visitor import Visitor
from tests.harness.waiting import eventually


@pytest.fixture
def raised(quiet_shop: Shop) -> None:
    """Raise the price of Solo from €15 to €20."""
    quiet_shop.change_plan("solo", prices={"monthly": 2000, "yearly": 14400})


@pytest.fixture
def ann(quiet_shop: Shop) -> User:
    return stripe_account.subscriber(quiet_shop, email_of(quiet_shop))[0]


@pytest.fixture
def visitor(quiet_shop: Shop, ann: User) -> Visitor:
    visitor = quiet_shop.visitor()
    visitor.sign_in(ann.email)
    return visitor


def billing(visitor: Visitor, path: str = "/dashboard/billing") -> str:
    return " ".join(visitor.visit(path).text.split())


def update(shop: Shop, ann: User, **changes: Any) -> Any:
    at_stripe = stripe_account.client(shop).v1
    (subscriptions,) = at_stripe.subscriptions.list({"customer": str(ann.stripe_customer_id)}).data
    return at_stripe.subscriptions.update(subscriptions.id, changes)  # type: ignore[arg-type]


def coupon(shop: Shop, **terms: Any) -> str:
    return stripe_account.client(shop).v1.coupons.create({"duration": "forever", **terms}).id  # type: ignore[typeddict-item]


def day(timestamp: int) -> str:
    return f"{datetime.fromtimestamp(timestamp, UTC):%-d %B %Y}"


def subscription(visitor: Visitor) -> dict[str, Any]:
    result: dict[str, Any] = visitor.visit("/api/user").response.json()["user"]["subscription"]
    return result


def test_after_a_price_increase_existing_subscribers_see_their_old_price(
    quiet_shop: Shop, ann: User, visitor: Visitor, raised: None
) -> None:
    with quiet_shop.app.app_context():
        ids = provisioning.set_up()["STRIPE_SOLO_MONTHLY_PRICE_ID"].split(",")
    prices = quiet_shop.app.config["STRIPE_PRICES"]
    quiet_shop.app.config["STRIPE_PRICES"] = {**prices, ("solo", "monthly"): tuple(ids)}
    sync(quiet_shop, ann)

    assert len(ids) == 2
    for path in ("/dashboard/billing", "/dashboard", "/pricing"):
        message = billing(visitor, path)
        assert "€15" in message, path
        assert "€20" not in message, path
    assert subscription(visitor)["recurring"]["amount"] == 1500
    assert "€20" in billing(quiet_shop.visitor(), "/pricing")  # for new subscribers


def test_with_a_100_percent_discount_nothing_is_due(shop: Shop) -> None:
    at_stripe, visitor = stripe_account.client(shop).v1, shop.visitor()
    free = coupon(shop, percent_off=100)
    at_stripe.promotion_codes.create(
        {"promotion": {"type": "coupon", "coupon": free}, "code": "FREE"}
    )
    visitor.sign_in(email_of(shop))
    visitor.visit("/pricing")
    visitor.submit("/billing/checkout", having={"plan": "solo", "interval": "monthly"})
    visitor.submit(f"{visitor.page.path}/code", code="free")
    visitor.submit(visitor.page.path.removesuffix("/code"), **CARD)
    eventually(lambda: subscription(visitor)["status"] == "active")

    message = billing(visitor)
    assert "€0 a month instead of €15" in message
    assert "100% off" in message
    assert "Next invoice €0 on" in message
    assert "€15 a month" not in message
    (welcome,) = eventually(
        lambda: [mail for mail in emails_of(shop) if "You are on" in mail["subject"]]
    )
    assert "You pay €0 a month, 100% off." in welcome["text"]


def test_three_seats_and_an_add_on_add_up(quiet_shop: Shop, ann: User, visitor: Visitor) -> None:
    at_stripe = stripe_account.client(quiet_shop).v1
    extra = at_stripe.prices.create(
        {
            "product": at_stripe.products.create({"name": "Extra"}).id,
            "currency": "eur",
            "unit_amount": 500,
            "recurring": {"interval": "month"},
        }
    )
    (item,) = update(quiet_shop, ann)["items"].data
    changed = update(
        quiet_shop,
        ann,
        items=[{"id": item.id, "quantity": 3}, {"price": extra.id}],
        proration_behavior="none",
    )
    sync(quiet_shop, ann)

    message = billing(visitor)
    assert "€50 a month" in message
    assert "Quantity 3" in message
    assert f"Next invoice €50 on {day(changed['items'].data[0].current_period_end)}" in message
    assert "Quantity changed to 3: €50 a month" in message
    assert "€50 a month" in billing(visitor, "/dashboard")
    result = subscription(visitor)
    assert (result["recurring"]["amount"], result["recurring"]["quantity"]) == (5000, 3)
    assert result["next_invoice"]["amount_due"] == 5000


def test_prorations_and_balance_are_in_the_next_invoice(
    quiet_shop: Shop, ann: User, visitor: Visitor
) -> None:
    at_stripe = stripe_account.client(quiet_shop).v1
    stripe_account.advance(quiet_shop, ann.stripe_customer_id, "day")
    at_stripe.customers.update(str(ann.stripe_customer_id), {"balance": -400})
    (item,) = update(quiet_shop, ann)["items"].data
    update(quiet_shop, ann, items=[{"id": item.id, "price": quiet_shop.price["team", "monthly"]}])
    sync(quiet_shop, ann)

    due = subscription(visitor)["next_invoice"]["amount_due"]
    assert due not in (1500, 3000)
    assert "€30 a month" in billing(visitor)
    stripe_account.advance(quiet_shop, ann.stripe_customer_id, "renewal")
    renewed = eventually(
        lambda: [
            invoice
            for invoice in at_stripe.invoices.list({"customer": str(ann.stripe_customer_id)}).data
            if invoice.billing_reason == "subscription_cycle" and invoice.status == "paid"
        ]
    )
    assert renewed[0].amount_due == due


@pytest.mark.parametrize(
    ("terms", "price", "discount"),
    [
        ({"percent_off": 20}, "€12 a month instead of €15", "20% off"),
        ({"percent_off": 12.5}, "€13.12 a month", "12.5% off"),
        ({"amount_off": 500, "currency": "eur"}, "€10 a month", "€5 off"),
        ({"amount_off": 9900, "currency": "eur"}, "€0 a month", "€99 off"),
        (
            {"percent_off": 20, "duration": "repeating", "duration_in_months": 3},
            "€12 a month",
            "20% off until",
        ),
        ({"percent_off": 20, "duration": "once"}, "€15 a month", "20% off one invoice"),
    ],
    ids=["forever", "fraction", "amount", "more than the price", "repeating", "once"],
)
def test_a_discount_is_shown_and_subtracted(
    quiet_shop: Shop, ann: User, visitor: Visitor, terms: Any, price: str, discount: str
) -> None:
    update(quiet_shop, ann, discounts=[{"coupon": coupon(quiet_shop, **terms)}])
    sync(quiet_shop, ann)

    message = billing(visitor)

    assert price in message
    assert f"Discount {discount}" in message
    if terms.get("duration") == "once":
        assert "Next invoice €12 on" in message


def test_several_discounts_are_subtracted_one_after_the_other(
    quiet_shop: Shop, ann: User, visitor: Visitor
) -> None:
    both = [coupon(quiet_shop, percent_off=20), coupon(quiet_shop, amount_off=200, currency="eur")]
    update(quiet_shop, ann, discounts=[{"coupon": item} for item in both])
    sync(quiet_shop, ann)

    message = billing(visitor)

    assert "€10 a month" in message
    assert "Next invoice €10 on" in message
    update(quiet_shop, ann, discounts="")
    sync(quiet_shop, ann)
    message = billing(visitor)
    assert "Price changed to €15 a month" in message
    assert "Price €15 a month Billed" in message


@pytest.mark.parametrize(
    ("currency", "amount", "price"),
    [("jpy", 1500, "¥1,500 a month"), ("kwd", 9500, "KWD 9.500 a month"), ("eur", 950, "€9.50")],
)
def test_amounts_have_the_decimals_of_their_currency(
    quiet_shop: Shop, currency: str, amount: int, price: str
) -> None:
    at_stripe, visitor = stripe_account.client(quiet_shop).v1, quiet_shop.visitor()
    visitor.sign_in(email_of(quiet_shop))
    with quiet_shop.app.app_context():
        ann = accounts.get_by_email(email_of(quiet_shop))
        customer, metadata = customers.ensure_customer(ann), customers.metadata_for(ann)
    at_stripe.payment_methods.attach("pm_card_visa", {"customer": customer})
    data: Any = {
        "currency": currency,
        "product": at_stripe.products.create({"name": "By hand"}).id,
        "unit_amount": amount,
        "recurring": {"interval": "month"},
    }
    created: Any = {"customer": customer, "metadata": metadata, "items": [{"price_data": data}]}
    at_stripe.subscriptions.create(
        {**created, "collection_method": "send_invoice", "days_until_due": 9}
    )
    sync(quiet_shop, ann)

    assert price in billing(visitor)
    assert subscription(visitor)["recurring"]["currency"] == currency


def test_paused_payments_are_shown_as_paused(quiet_shop: Shop, ann: User, visitor: Visitor) -> None:
    update(quiet_shop, ann, pause_collection={"behavior": "void"})
    sync(quiet_shop, ann)
    paused, dashboard = billing(visitor), billing(visitor, "/dashboard")
    update(quiet_shop, ann, pause_collection="")
    sync(quiet_shop, ann)
    resumed = billing(visitor)

    assert "Solo Payments paused" in paused
    assert "Solo Payments paused" in dashboard
    assert "Payments paused" in paused.partition("History")[2]
    assert "Payments resumed" in resumed.partition("History")[2]
    assert "Nothing is charged until we resume them" in paused
    assert "Next invoice" not in paused
    assert "Renews on" not in paused
    assert "paused" not in resumed.partition("History")[0]
    assert "Active" in resumed


def test_items_with_two_intervals_are_not_called_monthly(
    quiet_shop: Shop, ann: User, visitor: Visitor
) -> None:
    at_stripe = stripe_account.client(quiet_shop).v1
    product = at_stripe.products.create({"name": "Add-on"}).id
    yearly: Any = {
        "currency": "eur", "product": product, "unit_amount": 5000,
        "recurring": {"interval": "year"},
    }  # fmt: skip
    update(quiet_shop, ann, items=[{"price_data": yearly}])
    sync(quiet_shop, ann)

    assert "Billed At different intervals" in billing(visitor)
    assert billing(visitor, "/pricing")
    assert subscription(visitor)["recurring"]["interval"] is None


def test_a_cancellation_after_the_next_invoice_announces_that_invoice(
    quiet_shop: Shop, ann: User
) -> None:
    far = int((now() + timedelta(days=200)).timestamp())
    update(quiet_shop, ann, cancel_at=far)
    sync(quiet_shop, ann)

    (mail,) = emails_of(quiet_shop)[-1:]
    assert f"until {day(far)} (UTC)" in mail["text"]
    assert "Until then you are billed as before. Your next invoice is €15 on" in mail["text"]
    assert "nothing more is charged" not in mail["text"]


def test_pages_history_and_email_show_the_same_day(
    quiet_shop: Shop, ann: User, visitor: Visitor
) -> None:
    changed = update(quiet_shop, ann, cancel_at_period_end=True)
    sync(quiet_shop, ann)
    ends = day(changed.cancel_at)

    message = visitor.visit("/dashboard/billing")
    assert f"Ends on {ends}" in " ".join(message.text.split())
    assert f"Canceled, with access until {ends}" in message.text
    assert "Dates are in UTC" in message.text
    assert "Next invoice" not in message.text
    assert f"Ends on {ends}" in billing(visitor, "/dashboard")
    (mail,) = emails_of(quiet_shop)[-1:]
    assert f"until {ends} (UTC)" in mail["text"]


@pytest.mark.browser
def test_a_browser_at_utc_plus_13_shows_the_same_day(
    quiet_shop: Shop, ann: User, visitor: Visitor, chromium: Browser
) -> None:
    late = (now() + timedelta(days=9)).replace(hour=23, minute=30)
    update(quiet_shop, ann, cancel_at=int(late.timestamp()))
    sync(quiet_shop, ann)
    cookie: Any = {"name": "session", "value": visitor.cookie, "url": quiet_shop.url}

    with chromium.new_context(timezone_id="Pacific/Tongatapu") as reader:
        reader.add_cookies([cookie])
        page = reader.new_page()
        page.goto(f"{quiet_shop.url}/dashboard/billing")
        page.wait_for_selector("time[title]")
        message = " ".join(page.inner_text("main").split())

    ends = day(int(late.timestamp()))
    assert f"Ends on {ends}" in message
    assert f"until {ends}" in message


def test_verify_finds_a_changed_amount_and_sync_repairs_it(quiet_shop: Shop, ann: User) -> None:
    def run(*args: str) -> Any:
        return quiet_shop.app.test_cli_runner().invoke(args=["billing", *args])

    assert run("verify", "--next-invoice").exit_code == 0
    (item,) = update(quiet_shop, ann)["items"].data
    update(quiet_shop, ann, items=[{"id": item.id, "quantity": 2}], proration_behavior="none")

    output = run("verify")
    assert output.exit_code == 1
    assert "recurring.amount" in output.stdout
    assert "recurring.quantity" in output.stdout
    assert run("sync", "--all").exit_code == 0
    assert run("verify", "--next-invoice").exit_code == 0

    at_stripe = stripe_account.client(quiet_shop).v1
    at_stripe.customers.update(str(ann.stripe_customer_id), {"balance": -1000})
    assert run("verify").exit_code == 0  # the list does not contain it
    output = run("verify", "--next-invoice")
    assert output.exit_code == 1
    assert "next_invoice.amount_due" in output.stdout
    assert run("sync", "--all", "--next-invoice").exit_code == 0
    assert run("verify", "--next-invoice").exit_code == 0


def test_a_change_of_the_next_invoice_alone_is_synced(shop: Shop) -> None:
    ann, _ = stripe_account.subscriber(shop, email_of(shop))
    visitor = shop.visitor()
    visitor.sign_in(ann.email)
    at_stripe = stripe_account.client(shop).v1

    at_stripe.customers.update(str(ann.stripe_customer_id), {"balance": -1000})

    eventually(lambda: subscription(visitor)["next_invoice"]["amount_due"] == 500)
    message = billing(visitor)
    assert "Next invoice €5 on" in message
    assert "Updated" not in message  # it adds no line to the history


def test_an_event_about_an_upcoming_invoice_without_an_id_is_accepted(
    quiet_shop: Shop, ann: User
) -> None:
    subject = {"object": "invoice", "customer": ann.stripe_customer_id, "id": None}

    response = stripe_account.send_event(quiet_shop, "invoice.upcoming", subject)

    assert (response.status_code, response.json()) == (200, {"outcome": "applied"})


def test_emails_about_a_trial_show_the_subscriber_s_price(quiet_shop: Shop) -> None:
    ann, _ = stripe_account.subscriber(
        quiet_shop, email_of(quiet_shop), synced=False, trial_days=14
    )
    update(quiet_shop, ann, discounts=[{"coupon": coupon(quiet_shop, percent_off=50)}])
    sync(quiet_shop, ann)

    (welcome,) = emails_of(quiet_shop)

    text = welcome["text"]
    assert "After that you pay €7.50 a month, 50% off. The first payment is €7.50." in text
    assert "€15" not in text

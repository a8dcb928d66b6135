"""The sandbox compared with Stripe's published types: every state and every expandable field.

Every test that uses the sandbox runs the comparison (see `response_checker`). The tests here
make sure that it covers everything and detects differences.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import stripe
from flask import Flask

from . import contract
from .conftest import CARD_NUMBER, Browser, Prices, Subscriber, at, call_admin_api, item_of

published = pytest.mark.skipif(
    not contract.is_published(),
    reason="What Stripe publishes is not on this machine (STRIPE_SCHEMA)",
)

# States of Stripe that the sandbox never reaches.
NOT_PLAYED = {
    "payment_intent": {"requires_confirmation", "requires_capture"},
    "setup_intent": {"canceled", "processing", "requires_action", "requires_confirmation"},
    "dispute": {
        "appeal_needs_response", "appeal_under_review", "prevented",
        "warning_closed", "warning_needs_response", "warning_under_review",
    },
    "test_helpers.test_clock": {"internal_failure"},
}  # fmt: skip


@published
def test_every_supported_state_is_compared(
    app: Flask, subscriber: Subscriber, prices: Prices, browser: Browser
) -> None:
    subscriptions(app, subscriber, prices)
    payments(app, subscriber, prices)
    disputes(subscriber)
    sessions(subscriber, prices, browser)
    schedules(subscriber, prices)

    rows = app.extensions["sandbox"].store.fetch_all("SELECT body FROM objects")
    seen: dict[str, set[str]] = {}
    for body in (json.loads(row["body"]) for row in rows):
        about = body["data"]["object"] if body["object"] == "event" else body
        seen.setdefault(about["object"], set()).add(about.get("status"))

    for kind in (*NOT_PLAYED, "subscription", "invoice", "charge", "checkout.session",
                 "subscription_schedule"):  # fmt: skip
        assert seen[kind] >= published_states(kind) - NOT_PLAYED.get(kind, set()), kind


def published_states(kind: str) -> set[str]:
    name = contract.schema()["objects"][kind]
    return {
        arm["v"] for arm in contract.schema()["types"][name]["status"]["type"]["o"] if "v" in arm
    }


def subscriptions(app: Flask, subscriber: Subscriber, prices: Prices) -> None:
    """Trial, payment, a pending update, a failure, each ending, a pause."""
    coupon = subscriber.api.v1.coupons.create({"percent_off": 10, "duration": "once"})
    paid = subscriber.subscribe(prices.pro, discounts=[{"coupon": coupon.id}])
    subscriber.subscribe(prices.pro, trial_period_days=3)
    gone = subscriber.subscribe(prices.pro)
    subscriber.api.v1.subscriptions.update(gone.id, {"pause_collection": {"behavior": "void"}})
    subscriber.api.v1.subscriptions.cancel(gone.id)
    subscriber.api.v1.tax.settings.update({"head_office": {"address": {"country": "DE"}}})
    subscriber.api.v1.subscriptions.update(paid.id, {"automatic_tax": {"enabled": True}})
    call_admin_api(app, "settings", tax_percent=19, after_retries="unpaid")
    subscriber.pay_with("pm_card_chargeCustomerFail")
    failed = subscriber.subscribe(prices.business)
    subscriber.api.v1.invoices.pay(str(failed.latest_invoice), {"paid_out_of_band": True})
    subscriber.subscribe(prices.business)
    subscriber.api.v1.subscriptions.update(
        paid.id,
        {
            "items": [{"id": item_of(paid).id, "price": prices.business}],
            "payment_behavior": "pending_if_incomplete",
            "proration_behavior": "always_invoice",
        },
    )
    nobody = subscriber.api.v1.customers.create({"test_clock": subscriber.clock}).id
    pause: Any = {"end_behavior": {"missing_payment_method": "pause"}}
    trial: Any = {"trial_period_days": 1, "trial_settings": pause}
    subscriber.api.v1.subscriptions.create(
        {"customer": nobody, "items": [{"price": prices.pro}], **trial}
    )
    subscriber.until(at(2026, 5, 1))


def payments(app: Flask, subscriber: Subscriber, prices: Prices) -> None:
    """A bank debit, an authentication, a refund, a dispute, and uncollectible invoices."""
    for card in ("pm_usBankAccount", "pm_card_authenticationRequired"):
        subscriber.pay_with(card)
        subscriber.subscribe(prices.pro)
    subscriber.pay_with("pm_card_visa")
    paid = subscriber.subscribe(prices.business)
    charge = subscriber.api.v1.charges.list({"customer": subscriber.customer}).data[0].id
    subscriber.api.v1.refunds.create({"charge": charge, "amount": 1})
    call_admin_api(app, "disputes", charge=charge)
    call_admin_api(app, "charges", invoice=str(paid.latest_invoice))
    for end in ("pay", "void_invoice", "mark_uncollectible"):
        sent = subscriber.subscribe(prices.pro, collection_method="send_invoice", days_until_due=7)
        finish: Callable[..., Any] = getattr(subscriber.api.v1.invoices, end)
        finish(sent.latest_invoice, {"paid_out_of_band": True} if end == "pay" else {})


def disputes(subscriber: Subscriber) -> None:
    """A dispute that is won, one that is lost, and one that the bank reviews."""
    for text in ("winning_evidence", "losing_evidence", "It arrived."):
        intent = subscriber.api.v1.payment_intents.create(
            {"amount": 1500, "currency": "usd", "customer": subscriber.customer,
             "payment_method": "pm_card_createDispute", "confirm": True}
        )  # fmt: skip
        [dispute] = subscriber.api.v1.disputes.list({"payment_intent": intent.id}).data
        subscriber.api.v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": text}})


def sessions(subscriber: Subscriber, prices: Prices, browser: Browser) -> None:
    """Checkouts: paid, processing, expired, and one that saves a card."""
    common: Any = {"customer": subscriber.customer, "success_url": "https://shop.test/"}
    buys: Any = {"mode": "subscription", "line_items": [{"price": prices.pro, "quantity": 1}]}
    create = subscriber.api.v1.checkout.sessions.create
    create({**buys, **common})
    subscriber.api.v1.checkout.sessions.expire(create({**buys, **common}).id)
    for expected in (buys, {"mode": "setup", "currency": "usd"}):
        browser.post(str(create({**expected, **common}).url), number=CARD_NUMBER)


def schedules(subscriber: Subscriber, prices: Prices) -> None:
    """An active schedule, and one for each way to end."""
    schedules = subscriber.api.v1.subscription_schedules
    for end in ("", "release", "cancel", "complete"):
        subscription = subscriber.subscribe(prices.pro)
        schedule = schedules.create({"from_subscription": subscription.id})
        if end == "complete":
            schedules.update(schedule.id, {"end_behavior": "cancel"})
        elif end:
            getattr(schedules, end)(schedule.id)
    subscriber.until(at(2026, 7, 1))


@pytest.fixture
def offer(api: stripe.StripeClient, prices: Prices) -> dict[str, str]:
    """Create one object for each field that is only sent when expanded."""
    update: Any = {
        "enabled": True,
        "default_allowed_updates": ["price"],
        "products": [{"product": prices.product, "prices": [prices.pro]}],
    }
    portal = api.v1.billing_portal.configurations.create(
        {"features": {"subscription_update": update}}
    )
    coupon = api.v1.coupons.create(
        {
            "amount_off": 500, "currency": "usd", "duration": "once",
            "applies_to": {"products": [prices.product]},
            "currency_options": {"eur": {"amount_off": 400}},
        }
    )  # fmt: skip
    code = api.v1.promotion_codes.create(
        {
            "promotion": {"type": "coupon", "coupon": coupon.id},
            "restrictions": {
                "minimum_amount": 1000, "minimum_amount_currency": "usd",
                "currency_options": {"eur": {"minimum_amount": 900}},
            },
        }
    )  # fmt: skip
    price = api.v1.prices.create(
        {
            "product": prices.product, "currency": "usd", "unit_amount": 1500,
            "currency_options": {"jpy": {"unit_amount": 2000}},
        }
    )  # fmt: skip
    return {"portal": portal.id, "coupon": coupon.id, "code": code.id, "price": price.id}


PRODUCTS = "features.subscription_update.products"


@pytest.mark.parametrize(
    ("thing", "path", "field"),
    [
        ("portal", "billing_portal/configurations", PRODUCTS),
        ("coupon", "coupons", "applies_to"),
        ("coupon", "coupons", "currency_options"),
        ("code", "promotion_codes", "restrictions.currency_options"),
        ("price", "prices", "currency_options"),
    ],
)
def test_some_fields_are_only_sent_when_they_are_expanded(
    api: stripe.StripeClient, offer: dict[str, str], thing: str, path: str, field: str
) -> None:
    def fetch(more: str, **params: Any) -> Any:
        response = api.raw_request("get", f"/v1/{path}{more}", **params)
        return json.loads(str(response.body))

    one = fetch(f"/{offer[thing]}", expand=[field])
    many = fetch("", expand=[f"data.{field}"])

    assert found(one, field)
    assert found(many["data"][0], field) == found(one, field)
    assert found(fetch(f"/{offer[thing]}"), field) is None
    assert found(fetch("")["data"][0], field) is None


def found(response: dict[str, Any], field: str) -> Any:
    value: Any = response
    for name in field.split("."):
        value = value.get(name)
    return value


def test_a_payment_outside_of_stripe_is_a_payment_record(
    subscriber: Subscriber, prices: Prices
) -> None:
    sent = subscriber.subscribe(prices.pro, collection_method="send_invoice", days_until_due=7)
    invoices = subscriber.api.v1.invoices
    invoices.pay(str(sent.latest_invoice), {"paid_out_of_band": True})

    paid = invoices.retrieve(
        str(sent.latest_invoice),
        {"expand": ["amount_paid_off_stripe", "payments.data.payment.payment_record"]},
    )

    assert paid.amount_paid_off_stripe == 1500
    assert paid.payments
    by = paid.payments.data[-1].payment
    assert by.type == "payment_record"
    record: Any = by.payment_record
    assert (record.amount.value, record.reported_by) == (1500, "self")
    assert subscriber.api.v1.payment_records.retrieve(record.id).amount.currency == "usd"


def test_an_old_payment_is_a_charge_without_an_intent(
    app: Flask, subscriber: Subscriber, prices: Prices, browser: Browser
) -> None:
    invoice = str(subscriber.subscribe(prices.pro).latest_invoice)

    call_admin_api(app, "charges", invoice=invoice)

    by = subscriber.api.v1.invoice_payments.list({"invoice": invoice}).data[0].payment
    assert by.type == "charge"
    assert "payment_intent" not in by
    assert subscriber.api.v1.charges.retrieve(str(by.charge)).payment_intent is None
    page = browser.get(f"/stripe/invoices/{invoice}").text
    assert "4242" in page


@pytest.mark.parametrize(
    ("currency", "amount", "shown"),
    [("jpy", 1500, "¥1,500"), ("kwd", 1500, "1.500 KWD"), ("krw", 9900, "9,900 KRW"),
     ("ugx", 990000, "9,900.00 UGX"), ("eur", 1500, "€15.00")],
)  # fmt: skip
def test_an_amount_has_the_decimals_of_its_currency(
    subscriber: Subscriber, prices: Prices, browser: Browser, currency: str, amount: int, shown: str
) -> None:
    price = subscriber.api.v1.prices.create(
        {"product": prices.product, "currency": currency, "unit_amount": amount,
         "recurring": {"interval": "month"}}
    )  # fmt: skip

    session = subscriber.api.v1.checkout.sessions.create(
        {"mode": "subscription", "line_items": [{"price": price.id, "quantity": 1}],
         "success_url": "https://shop.test/"}
    )  # fmt: skip
    checkout = browser.get(str(session.url)).text
    invoice = subscriber.api.v1.invoices.retrieve(
        str(subscriber.subscribe(price.id).latest_invoice)
    )
    page = browser.get(str(invoice.hosted_invoice_url)).text

    assert shown in checkout
    assert shown in page
    assert f"(at {shown} / month)" in str(invoice.lines.data[0].description)


def test_a_promotion_code_applies_only_to_its_products(
    subscriber: Subscriber, prices: Prices, offer: dict[str, str], browser: Browser
) -> None:
    invoices = [
        subscriber.api.v1.invoices.retrieve(
            str(subscriber.subscribe(price, discounts=[{"coupon": offer["coupon"]}]).latest_invoice)
        )
        for price in (prices.pro, prices.business)
    ]

    assert [invoice.total for invoice in invoices] == [1000, 3000]


def changed(price: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**price, **more}


@published
@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        (lambda p: {n: v for n, v in p.items() if n != "nickname"}, "Price.nickname is missing"),
        (lambda p: changed(p, colour="red"), "Price.colour is unknown"),
        (lambda p: changed(p, type="lifelong"), "Price.type is 'lifelong'"),
        (lambda p: changed(p, active=None), "Price.active is None"),
        (lambda p: changed(p, tiers=[]), "Price.tiers is there without being expanded"),
        (lambda p: changed(p, product={"object": "product"}), "object without being expanded"),
        (lambda p: changed(p, recurring={}), "Price.Recurring.interval is missing"),
    ],
)
def test_the_comparison_detects_differences(
    api: stripe.StripeClient, prices: Prices, broken: Callable[..., Any], complaint: str
) -> None:
    price = api.v1.prices.retrieve(prices.pro).to_dict(for_json=True)

    wrong = contract.misfits(broken(price))

    assert not contract.misfits(price)
    assert any(complaint in one for one in wrong)


@published
def test_an_expanded_field_must_be_present(api: stripe.StripeClient, prices: Prices) -> None:
    price = api.v1.prices.retrieve(prices.pro).to_dict(for_json=True)

    assert "Prices:Price.tiers is missing though it was expanded" in contract.misfits(
        price, ("tiers",)
    )


def test_intended_differences_are_documented() -> None:
    document = (Path(__file__).parents[1] / "README.md").read_text("utf-8")

    for difference, reason in contract.KEPT.items():
        assert f"- `{difference}`: {reason}" in document
    assert document.count(" is missing`:") == len(contract.KEPT)

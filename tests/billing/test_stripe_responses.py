"""Responses of Stripe without optional fields or with invalid values cause no error."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.billing.stripe_responses import without_nullable, without_optional
from tests.harness import stripe_account
from tests.harness.mailbox import email_of
from tests.harness.stripe_account import CARD, use_card
from tests.harness.stripe_proxy import Change, ProxiedShop, changing

COMMANDS = ("doctor", "setup", "verify", "sync --all", "catch-up --dry-run")
RUBBISH: dict[type, Any] = {
    str: ["not", "text"], int: "soon", bool: "maybe", dict: 7, list: 7, type(None): {"a": 1},
}  # fmt: skip


@pytest.fixture
def shop(proxied_shop: ProxiedShop) -> ProxiedShop:
    return proxied_shop


def run(shop: ProxiedShop, command: str) -> Any:
    return shop.app.test_cli_runner().invoke(args=["billing", *command.split()])


def is_one_line(result: Any) -> bool:
    """Whether the output of a command is one sentence without a traceback."""
    output = result.stderr.strip().splitlines()[-1]
    return output.startswith("Error: ") and "Traceback" not in result.output


@pytest.mark.parametrize("change", [without_optional, without_nullable])
def test_optional_fields_of_stripe_s_types_may_be_missing(
    shop: ProxiedShop, change: Change
) -> None:
    ann, subscription = stripe_account.subscriber(shop, email_of(shop))
    change({}, [])  # skips when the types are missing
    visitor = shop.visitor()
    visitor.sign_in(email_of(shop))

    with shop.proxy.answering(changing(shop.proxy, change)):
        for command in (*COMMANDS, f"sync {ann.email}"):
            result = run(shop, command)
            assert result.exception is None or isinstance(result.exception, SystemExit), command
            is_finding = command in ("doctor", "verify") and "Traceback" not in result.output
            assert result.exit_code == 0 or is_finding or is_one_line(result), command
        message = stripe_account.send_event(
            shop, "customer.subscription.updated",
            {"id": subscription, "object": "subscription", "customer": ann.stripe_customer_id},
        )  # fmt: skip
        pages = [visitor.visit(f"/{path}").status for path in ("billing/return", "dashboard")]
        invoices = visitor.visit("/dashboard/billing/invoices")

    assert message.json() == {"outcome": "applied"}
    assert pages == [200, 200]
    assert invoices.status == 200
    assert shop.user(ann.email).stripe_subscription_status == "active"


def test_the_products_of_a_portal_are_returned_only_when_expanded(shop: ProxiedShop) -> None:
    def as_stripe(body: Any, expanded: list[str]) -> Any:
        for item in body.get("data", [body]):
            if "products" not in expanded:
                item["features"]["subscription_update"].pop("products", None)
        return body

    call = "GET /v1/billing_portal/configurations"
    with shop.proxy.answering(changing(shop.proxy, as_stripe, call)):
        again, checked = run(shop, "setup --dry-run"), run(shop, "doctor")

    assert again.exit_code == 0
    assert {line.split()[0] for line in again.stderr.splitlines()} == {"keep"}
    assert checked.exit_code == 0, checked.output


@pytest.mark.parametrize("kind", ["charge", "payment_record"])
def test_an_invoice_paid_without_a_payment_intent_does_not_break_the_sync(
    shop: ProxiedShop, kind: str
) -> None:
    ann, subscription = stripe_account.subscriber(shop, email_of(shop))
    use_card(shop, ann.stripe_customer_id, "pm_card_chargeCustomerFail")
    stripe_account.advance(shop, ann.stripe_customer_id)

    def paid_otherwise(body: Any, _: list[str]) -> Any:
        for item in body["data"]:
            item["payment"] = {"type": kind, kind: f"{kind[:2]}_1"}
        return body

    with shop.proxy.answering(changing(shop.proxy, paid_otherwise, "GET /v1/invoice_payments")):
        message = stripe_account.send_event(
            shop, "invoice.payment_failed",
            {"id": "in_1", "object": "invoice", "customer": ann.stripe_customer_id},
        )  # fmt: skip

    assert message.status_code == 200
    after = shop.user(ann.email)
    assert (after.stripe_subscription_id, after.stripe_subscription_status) == (
        subscription, "past_due",
    )  # fmt: skip


def test_an_invalid_response_is_reported_with_the_name_of_the_field(
    shop: ProxiedShop,
) -> None:
    """Each field of a subscription in turn has a value that Stripe never sends."""
    ann, subscription = stripe_account.subscriber(shop, email_of(shop))
    real = (
        stripe_account.client(shop).v1.subscriptions.retrieve(subscription).to_dict(for_json=True)
    )
    message = set()

    for name, inside in [(name, False) for name in real] + [(n, True) for n in ("id", "price")]:
        with shop.proxy.answering(changing(shop.proxy, spoiled(name, inside), "GET /v1/subs")):
            result = run(shop, f"sync {ann.email}")
        assert result.exit_code == 0 or is_one_line(result), (name, result.output)
        if result.exit_code:
            assert name in result.stderr, result.stderr
            message.add(name)

    assert {"id", "status", "created", "items", "metadata", "cancel_at", "price"} <= message
    assert shop.user(ann.email).stripe_subscription_status == "active"


ODD_PRICES: dict[str, Any] = {
    "unit_amount_decimal": "NaN",
    "unit_amount": 10**400,
    "transform_quantity": {"divide_by": 0, "round": "up"},
}


@pytest.mark.parametrize("name", [*ODD_PRICES, "unit_amount_decimal of any size"])
def test_an_invalid_number_breaks_no_page_and_no_command(name: str, shop: ProxiedShop) -> None:
    ann, subscription = stripe_account.subscriber(shop, email_of(shop))
    visitor = shop.visitor()
    visitor.sign_in(email_of(shop))
    field = name.partition(" ")[0]

    def odd(body: Any, _: list[str]) -> Any:
        for item in body["data"]:
            price = item["items"]["data"][0]["price"]
            price[field] = "1e400" if " " in name else ODD_PRICES[field]
        return body

    with shop.proxy.answering(changing(shop.proxy, odd, "GET /v1/subs")):
        result = run(shop, f"sync {ann.email}")
        message = stripe_account.send_event(
            shop, "customer.subscription.updated",
            {"id": subscription, "object": "subscription", "customer": ann.stripe_customer_id},
        )  # fmt: skip
        pages = [visitor.visit(f"/{path}").status for path in ("billing/return", "dashboard")]

    assert is_one_line(result)
    assert message.status_code == 503
    assert pages == [200, 200]
    assert visitor.visit("/dashboard/billing").status == 200


@pytest.mark.parametrize(
    "change", [{"recurring": None}, {"transform_quantity": {"divide_by": 2, "round": "nearest"}}]
)
def test_an_unreadable_price_is_not_guessed(change: dict[str, Any], shop: ProxiedShop) -> None:
    ann, _ = stripe_account.subscriber(shop, email_of(shop))
    visitor = shop.visitor()
    visitor.sign_in(email_of(shop))

    def odd(body: Any, _: list[str]) -> Any:
        for item in body["data"]:
            item["items"]["data"][0]["price"].update(change)
        return body

    with shop.proxy.answering(changing(shop.proxy, odd, "GET /v1/subs")):
        assert run(shop, f"sync {ann.email}").exit_code == 0

    page = visitor.visit("/dashboard/billing")
    assert "Solo" in page.text
    assert "Price $" not in page.text


def spoiled(name: str, inside: bool) -> Change:
    def change(body: Any, _: list[str]) -> Any:
        body = copy.deepcopy(body)
        for item in body["data"]:
            holder = item["items"]["data"][0] if inside else item
            holder[name] = RUBBISH[type(holder[name])]
        return body

    return change


@pytest.mark.parametrize("body", [[], "text", 5, None, {"data": "none"}, {"object": "list"}, {}])
def test_a_malformed_response_is_treated_as_an_outage(shop: ProxiedShop, body: Any) -> None:
    ann, subscription = stripe_account.subscriber(shop, email_of(shop))
    visitor = shop.visitor()
    visitor.sign_in(email_of(shop))

    with shop.proxy.answering(changing(shop.proxy, lambda *_: body)):
        message = stripe_account.send_event(
            shop, "customer.subscription.updated",
            {"id": subscription, "object": "subscription", "customer": ann.stripe_customer_id},
        )  # fmt: skip
        pages = [visitor.visit(path).status for path in ("/dashboard/billing/invoices",)]
        commands = [run(shop, command) for command in ("setup", "verify", "sync --all", "doctor")]

    assert message.status_code in (200, 503)
    assert set(pages) <= {200, 503}
    for result in commands:
        assert result.exception is None or isinstance(result.exception, SystemExit)
        assert "Traceback" not in result.output
    after = shop.user(ann.email)
    assert (after.stripe_customer_id, after.stripe_subscription_status) == (
        ann.stripe_customer_id, "active",
    )  # fmt: skip


def test_a_checkout_session_without_a_url_is_explained(
    shop: ProxiedShop, caplog: pytest.LogCaptureFixture
) -> None:
    visitor = shop.visitor()
    visitor.sign_in(email_of(shop))
    visitor.visit("/pricing")

    def without_url(body: Any, _: list[str]) -> Any:
        return {**body, "url": None}

    with shop.proxy.answering(changing(shop.proxy, without_url, "POST /v1/checkout/sessions")):
        page = visitor.submit("/billing/checkout", having={"plan": "solo"})

    assert page.status == 503
    assert "checkout.session.url" in caplog.text
    visitor.visit("/pricing")
    page = visitor.submit("/billing/checkout", having={"plan": "solo"})
    visitor.submit(page.path, **CARD)
    assert shop.user(email_of(shop)).stripe_subscription_status == "active"

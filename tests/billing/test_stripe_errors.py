"""Refusals and outages of Stripe: users read what helps, and operators the reason."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from saas import database
from saas.auth.models import User
from saas.billing import tasks
from saas.database import db, now
from tests.harness import stripe_account
from tests.harness.mailbox import email_of, emails_of
from tests.harness.servers import free_port
from tests.harness.stripe_account import CARD
from tests.harness.stripe_proxy import ProxiedShop, call_of, changing, open_proxied_shop, refusing
from tests.harness.visitor import Page, Visitor
from tests.harness.waiting import eventually

NO_HEAD_OFFICE = (
    "You must have a valid head office address to enable automatic tax calculation in test mode."
)


@pytest.fixture
def shop(proxied_shop: ProxiedShop) -> ProxiedShop:
    return proxied_shop


@pytest.fixture
def ann(shop: ProxiedShop) -> Visitor:
    visitor = shop.visitor()
    visitor.sign_in(email_of(shop))
    return visitor


def buy(visitor: Visitor) -> Page:
    visitor.visit("/pricing")
    return visitor.submit("/billing/checkout", having={"plan": "solo", "interval": "monthly"})


def run(shop: ProxiedShop, *command: str) -> Any:
    return shop.app.test_cli_runner().invoke(args=["billing", *command])


def test_a_checkout_refused_by_stripe_is_not_shown_as_an_outage(
    shop: ProxiedShop, ann: Visitor, caplog: pytest.LogCaptureFixture
) -> None:
    no = refusing(shop.proxy, "POST /v1/checkout/sessions", message=NO_HEAD_OFFICE)
    with shop.proxy.answering(no):
        page = buy(ann)
        checked = run(shop, "doctor")

    assert page.status == 503
    assert "This plan isn't available right now" in page.text
    assert "Nothing was charged" in page.text
    assert "another plan" in page.text
    assert "isn't responding" not in page.text
    assert NO_HEAD_OFFICE.rstrip(".") in caplog.text
    assert NO_HEAD_OFFICE not in page.text  # it is for operators
    assert checked.exit_code == 1
    assert f"Stripe refuses to open a checkout page: {NO_HEAD_OFFICE}" in checked.output


@pytest.mark.parametrize(
    ("call", "path", "title"),
    [
        ("POST /v1/billing_portal/sessions", "/billing/portal", "can't be opened right now"),
        ("GET /v1/invoices", "/dashboard/billing/invoices", "can't be shown right now"),
        ("GET /v1/subscriptions", "/billing/return?session_id=cs_1", "We can't check with"),
    ],
)
@pytest.mark.parametrize("status", [400, 402, 403])
def test_every_page_distinguishes_a_refusal_from_an_outage(
    shop: ProxiedShop, ann: Visitor, call: str, path: str, title: str, status: int
) -> None:
    stripe_account.subscriber(shop, email_of(shop))

    with shop.proxy.answering(refusing(shop.proxy, call, status, message="Not for you.")):
        page = ask(ann, path)
    with shop.proxy.answering(refusing(shop.proxy, call, 500, message="Broken.")):
        away = ask(ann, path)

    if call == "GET /v1/invoices" or "portal" in call:
        assert page.status == 503
    assert title in page.text
    assert "isn't responding" not in page.text
    assert "respond" in away.text
    assert title not in away.text


def ask(visitor: Visitor, path: str) -> Page:
    if path != "/billing/portal":
        return visitor.visit(path)
    visitor.visit("/dashboard/billing")
    return visitor.submit(path)


def test_commands_print_stripe_s_reason_in_a_line(shop: ProxiedShop, ann: Visitor) -> None:
    stripe_account.subscriber(shop, email_of(shop))
    every_get = refusing(shop.proxy, "GET /v1/", message="Your account is under review.")

    with shop.proxy.answering(every_get):
        for command in (("verify",), ("sync", "--all"), ("sync", email_of(shop)), ("setup",)):
            result = run(shop, *command)
            assert result.exit_code == 1, command
            assert "Stripe refused: Your account is under review" in result.stderr, command
            assert "did not answer" not in result.stderr
        checked = run(shop, "doctor")
        caught_up = run(shop, "catch-up")

    assert "Stripe refused: Your account is under review." in checked.output
    assert "Stripe refused: Your account is under review." in caught_up.stderr
    assert caught_up.exit_code == 1


@pytest.mark.parametrize(
    ("status", "message", "text"),
    [
        (401, "Expired API Key provided: sk_test_***1234", "Expired API Key provided: sk_test_…"),
        (401, "Invalid API Key provided: rk_live_51abcdef", "Invalid API Key provided: rk_live_…"),
        (424, "A bank is away.", "Stripe did not answer: APIError 424: A bank is away"),
        (500, "Broken.", "Stripe did not answer: APIError 500: Broken"),
    ],
)
def test_commands_print_the_reason_of_an_outage_and_no_part_of_a_key(
    status: int, message: str, text: str, shop: ProxiedShop, ann: Visitor
) -> None:
    stripe_account.subscriber(shop, email_of(shop))

    with shop.proxy.answering(refusing(shop.proxy, "GET /v1/", status, message=message)):
        result = run(shop, "sync", email_of(shop))

    assert text in result.stderr
    assert "1234" not in result.stderr
    assert "51abc" not in result.stderr


def test_commands_say_why_stripe_cannot_be_reached(shop: ProxiedShop, ann: Visitor) -> None:
    stripe_account.subscriber(shop, email_of(shop))
    shop.app.config["STRIPE_API_BASE"] = f"http://127.0.0.1:{free_port()}"
    shop.app.extensions.pop("stripe", None)

    result = run(shop, "sync", email_of(shop))

    assert "APIConnectionError: ConnectionRefusedError: Connection refused" in result.stderr


def test_an_event_whose_fetch_stripe_refuses_is_retried(shop: ProxiedShop) -> None:
    user, subscription = stripe_account.subscriber(shop, email_of(shop))
    subject = {
        "id": subscription, "object": "subscription", "customer": user.stripe_customer_id
    }  # fmt: skip

    with shop.proxy.answering(refusing(shop.proxy, "GET /v1/", message="Not today.")):
        refused = stripe_account.send_event(shop, "customer.subscription.updated", subject)
        replayed = run(shop, "replay", "evt_by_hand")
    again = stripe_account.send_event(shop, "customer.subscription.updated", subject)

    assert refused.status_code == 503
    assert "Stripe refused: Not today" in replayed.stderr
    assert again.json() == {"outcome": "applied"}


def test_a_refused_account_deletion_explains_what_helps(shop: ProxiedShop, ann: Visitor) -> None:
    stripe_account.subscriber(shop, email_of(shop))
    ann.visit("/dashboard/settings")

    with shop.proxy.answering(refusing(shop.proxy, "DELETE /v1/subscriptions", message="No.")):
        page = ann.submit("/dashboard/settings/delete", confirmation=email_of(shop))

    assert "our payment provider rejected it. Nothing was deleted." in page.text
    assert "try again in a few minutes" not in page.text
    assert not shop.user(email_of(shop)).is_closing


def test_the_doctor_names_an_email_that_stripe_does_not_accept(
    shop: ProxiedShop, caplog: pytest.LogCaptureFixture
) -> None:
    user, _ = stripe_account.subscriber(shop, email_of(shop))
    with shop.app.app_context(), database.write_transaction():
        long_ago = now().replace(year=now().year - 1)
        db.session.get_one(User, user.id).stripe_email_stale_since = long_ago

    no = refusing(shop.proxy, "POST /v1/customers", message="Invalid email address.")
    with shop.proxy.answering(no), shop.app.app_context():
        tasks.update_stale_emails()
    checked = run(shop, "doctor")

    assert "Stripe refused: Invalid email address" in caplog.text
    assert "1 changed email addresses were not updated in Stripe" in checked.output


def test_a_double_click_on_a_first_purchase_ends_on_checkout(
    shop: ProxiedShop, ann: Visitor
) -> None:
    """The second of two requests with one idempotency key gets 409 until the first has finished."""
    seen = itertools.count()

    def in_use(environ: dict[str, Any], start_response: Any) -> Any:
        if call_of(environ) not in ("POST /v1/customers", "POST /v1/checkout/sessions"):
            return shop.proxy.app(environ, start_response)
        if next(seen) % 3 == 2:  # the third request succeeds
            return shop.proxy.app(environ, start_response)
        headers = [("Content-Type", "application/json"), ("Stripe-Should-Retry", "true")]
        start_response("409 Conflict", headers)
        error = {"type": "invalid_request_error", "code": "idempotency_key_in_use"}
        return [json.dumps({"error": error}).encode()]

    with shop.proxy.answering(in_use):
        page = buy(ann)

    assert "/stripe/checkout/" in page.path or "Pay" in page.text
    assert next(seen) == 6
    ann.submit(page.path, **CARD)
    assert shop.user(email_of(shop)).stripe_subscription_status == "active"


def _failed(body: Any, _: list[str]) -> Any:
    """Return a refund that Stripe accepted and the bank refused."""
    for item in body.get("data", [body]):
        if item.get("object") == "refund":
            item["status"] = "failed"
    return body


@pytest.mark.parametrize("how", ["refused", "failed"])
def test_a_failed_refund_is_not_called_refunded(
    how: str, shop: ProxiedShop, caplog: pytest.LogCaptureFixture
) -> None:
    user, first = stripe_account.subscriber(shop, email_of(shop))
    at_stripe = stripe_account.client(shop).v1
    metadata = at_stripe.subscriptions.retrieve(first).metadata.to_dict()
    second = at_stripe.subscriptions.create(
        {
            "customer": str(user.stripe_customer_id),
            "items": [{"price": shop.price["solo", "monthly"]}],
            "metadata": metadata,
        }
    ).id

    responses = {
        "refused": refusing(
            shop.proxy, "POST /v1/refunds", message="The charge is disputed.", code="disputed"
        ),
        "failed": changing(shop.proxy, _failed),
    }
    with shop.proxy.answering(responses[how]):
        run(shop, "sync", email_of(shop))

    subscription = [at_stripe.subscriptions.retrieve(item) for item in (first, second)]
    (ended,) = [item for item in subscription if item.status == "canceled"]
    assert ended.cancellation_details
    assert "refunded" not in str(ended.cancellation_details.comment)
    assert {"refused": "The charge is disputed", "failed": "is failed"}[how] in caplog.text
    eventually(lambda: any("was ended" in item["subject"] for item in emails_of(shop)))
    (mail,) = [item for item in emails_of(shop) if "was ended" in item["subject"]]
    assert "refunded" not in mail["subject"]
    assert "refused to refund" in mail["text"]


def test_a_payment_that_was_refunded_by_hand_is_not_refunded_twice(shop: ProxiedShop) -> None:
    user, first = stripe_account.subscriber(shop, email_of(shop))
    at_stripe = stripe_account.client(shop).v1
    metadata = at_stripe.subscriptions.retrieve(first).metadata.to_dict()
    (charge,) = at_stripe.charges.list({"customer": str(user.stripe_customer_id)}).data
    at_stripe.refunds.create({"charge": charge.id, "amount": 1000})
    at_stripe.subscriptions.create(
        {
            "customer": str(user.stripe_customer_id),
            "items": [{"price": shop.price["team", "monthly"]}],
            "metadata": metadata,
        }
    )

    run(shop, "sync", email_of(shop))
    run(shop, "sync", email_of(shop))

    assert at_stripe.charges.retrieve(charge.id).amount_refunded == 1500


def test_requests_of_one_user_that_ask_stripe_are_limited(shop: ProxiedShop, ann: Visitor) -> None:
    asked = [ann.request("GET", "/dashboard/billing/invoices") for _ in range(31)]
    shop.proxy.calls.clear()
    limited = ann.request("GET", "/dashboard/billing/invoices")
    back = [ann.visit("/billing/return?session_id=cs_1") for _ in range(31)][-1]
    other = shop.visitor()
    other.sign_in(f"other-{free_port()}@example.com")

    assert [response.status_code for response in asked] == [200] * 30 + [429]
    assert 0 < int(limited.headers["Retry-After"]) <= 60
    assert "Wait a moment, then try again." in limited.text
    assert shop.proxy.calls.count("GET /v1/invoices") == 0
    assert back.status == 429
    assert 0 < int(back.response.headers["Retry-After"]) <= 60
    assert "Your plan starts as soon as" in back.text
    assert other.visit("/dashboard/billing/invoices").status == 200


def test_the_doctor_compares_a_custom_domain_at_stripe_with_the_content_policy(
    make_app: Callable[..., Flask], tmp_path: Path, shop: ProxiedShop, ann: Visitor
) -> None:
    def on_own_domain(body: Any, _: list[str]) -> Any:
        return {**body, "url": "https://pay.example.com/c/pay/cs_1"}

    moved = changing(shop.proxy, on_own_domain, "POST /v1/checkout/sessions")
    with shop.proxy.answering(moved):
        blocked = run(shop, "doctor")
    assert "Stripe's pages are at https://pay.example.com" in blocked.output
    assert "-> Set STRIPE_PAGES=https://pay.example.com" in blocked.output
    pages = stripe_account.client(shop).v1.checkout.sessions.list().data
    assert [page.status for page in pages] == ["expired"]  # the doctor leaves nothing open

    for message in open_proxied_shop(make_app, tmp_path, STRIPE_PAGES="https://pay.example.com"):
        with message.proxy.answering(changing(message.proxy, on_own_domain, "POST /v1/checkout")):
            checked = run(message, "doctor")
        policy = message.visitor().visit("/pricing").response.headers["Content-Security-Policy"]

        assert checked.exit_code == 0, checked.output
        assert "https://pay.example.com" in policy.partition("form-action")[2]

"""Emails about the plan: one for each change, whatever detected it, in any order of events."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
import time_machine
from flask import Flask
from sqlalchemy import select

from saas import database, mail
from saas.billing import customers, gateway, subscriptions, tasks
from saas.database import db, now
from saas.mail import outbox
from saas.mail.models import OutboxMessage
from tests.billing.cases import case
from tests.harness import stripe_account
from tests.harness.apps import both_databases
from tests.harness.mailbox import email_of, emails_of, subjects
from tests.harness.servers import free_port
from tests.harness.shop import Shop
from tests.harness.stripe_account import CARD, stripe_settings, sync, use_card
from tests.harness.stripe_proxy import ProxiedShop, open_proxied_shop, refusing
from tests.harness.visitor import Visitor
from tests.harness.waiting import eventually


def promised(shop: Shop) -> dict[str, str]:
    """Return the kind of every enqueued email by its key."""
    with shop.app.app_context():
        return {row.key: row.kind for row in db.session.scalars(select(OutboxMessage))}


@both_databases
def test_return_and_webhooks_send_one_welcome_email(shop: Shop, visitor: Visitor) -> None:
    visitor.sign_in(email_of(shop))
    visitor.visit("/pricing")
    visitor.submit("/billing/checkout", having={"plan": "solo", "interval": "monthly"})
    visitor.submit(visitor.page.path, **CARD)

    eventually(lambda: subjects(shop) == ["You are on Solo"])
    for _ in range(3):
        visitor.visit("/billing/return")

    assert subjects(shop) == ["You are on Solo"]
    (email,) = emails_of(shop)
    assert "100 reports a month" in email["text"]
    assert f"{shop.url}/dashboard" in email["links"]


@both_databases
@case(21, "payment failed", "recovery restores")
def test_emails_about_a_failed_payment_link_to_the_invoice_and_say_when_access_ends(
    shop: Shop, visitor: Visitor
) -> None:
    ann, subscription = stripe_account.subscriber(shop, email_of(shop))
    use_card(shop, ann.stripe_customer_id, "pm_card_chargeCustomerFail")
    stripe_account.advance(shop, ann.stripe_customer_id)

    eventually(lambda: "Your payment for Solo failed" in subjects(shop))
    email = emails_of(shop)[-1]
    since = shop.user(email_of(shop)).stripe_past_due_since
    assert since is not None
    assert f"by {since + timedelta(days=7):%-d %B %Y}" in email["text"]
    page = next(link for link in email["links"] if "/stripe/invoices/in_" in link)

    visitor.visit(page)
    visitor.submit(visitor.page.path, **CARD)
    eventually(lambda: subjects(shop)[-1] == "Your payment for Solo has arrived")

    sync(shop, ann)
    assert subjects(shop) == [
        "You are on Solo",
        "Your payment for Solo failed",
        "Your payment for Solo has arrived",
    ]
    assert shop.user(email_of(shop)).stripe_subscription_id == subscription


@case(21, "action required")
def test_a_payment_that_requires_authentication_has_its_own_email(
    shop: Shop, visitor: Visitor
) -> None:
    ann, _ = stripe_account.subscriber(shop, email_of(shop))
    use_card(shop, ann.stripe_customer_id, "pm_card_authenticationRequired")
    visitor.sign_in(email_of(shop))
    stripe_account.advance(shop, ann.stripe_customer_id)

    eventually(lambda: "Confirm your payment for Solo" in subjects(shop))
    assert "Your payment for Solo failed" not in subjects(shop)
    assert "confirm the payment" in visitor.visit("/dashboard").text.lower()


@both_databases
def test_retries_of_an_invoice_send_one_email_and_the_next_invoice_another(
    quiet_shop: Shop,
) -> None:
    ann, _ = stripe_account.subscriber(quiet_shop, email_of(quiet_shop))
    use_card(quiet_shop, ann.stripe_customer_id, "pm_card_chargeCustomerFail")
    stripe_account.advance(quiet_shop, ann.stripe_customer_id)
    for _ in range(3):
        sync(quiet_shop, ann)
        stripe_account.advance(quiet_shop, ann.stripe_customer_id, "week")

    assert sorted(promised(quiet_shop).values()).count("payment_failed") == 1


@both_databases
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_every_order_of_events_sends_the_same_emails(
    order: tuple[int, ...], quiet_shop: Shop
) -> None:
    ann, subscription = stripe_account.subscriber(quiet_shop, email_of(quiet_shop), synced=False)
    events = [
        ("customer.subscription.created", {"id": subscription, "object": "subscription"}),
        ("invoice.paid", {"id": "in_1", "object": "invoice"}),
        ("checkout.session.completed", {"id": "cs_1", "object": "checkout.session"}),
    ]

    def deliver(number: int) -> None:
        kind, subject = events[number]
        body = {**subject, "customer": ann.stripe_customer_id}
        stripe_account.send_event(quiet_shop, kind, body, id=f"evt_{number}")

    for number in order:
        deliver(number)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(deliver, [*order, *order]))

    assert list(promised(quiet_shop).values()) == ["welcome"]
    assert subjects(quiet_shop) == ["You are on Solo"]


def test_the_next_sync_sends_the_email_of_a_lost_event(quiet_shop: Shop) -> None:
    ann, _ = stripe_account.subscriber(quiet_shop, email_of(quiet_shop))
    use_card(quiet_shop, ann.stripe_customer_id, "pm_card_chargeCustomerFail")
    stripe_account.advance(quiet_shop, ann.stripe_customer_id)
    assert subjects(quiet_shop) == ["You are on Solo"]

    quiet_shop.app.test_cli_runner().invoke(args=["billing", "sync", email_of(quiet_shop)])

    assert subjects(quiet_shop) == ["You are on Solo", "Your payment for Solo failed"]


def test_changes_that_were_reverted_between_two_syncs_send_no_email(quiet_shop: Shop) -> None:
    ann, _ = stripe_account.subscriber(quiet_shop, email_of(quiet_shop))
    use_card(quiet_shop, ann.stripe_customer_id, "pm_card_chargeCustomerFail")
    stripe_account.advance(quiet_shop, ann.stripe_customer_id)
    use_card(quiet_shop, ann.stripe_customer_id, "pm_card_visa")
    pay_open_invoices(quiet_shop, ann.stripe_customer_id)

    sync(quiet_shop, ann)

    assert subjects(quiet_shop) == ["You are on Solo"]


def pay_open_invoices(shop: Shop, customer: str | None) -> None:
    at_stripe = stripe_account.client(shop).v1
    for invoice in at_stripe.invoices.list({"customer": str(customer), "status": "open"}).data:
        at_stripe.invoices.pay(invoice.id)


def test_a_failure_that_was_paid_before_its_email_was_sent_is_not_reported(
    make_app: Callable[..., Flask], quiet_shop: Shop
) -> None:
    """The mail server was unreachable, so failure and recovery are both outdated."""
    ann, _ = stripe_account.subscriber(quiet_shop, email_of(quiet_shop))
    use_card(quiet_shop, ann.stripe_customer_id, "pm_card_chargeCustomerFail")
    stripe_account.advance(quiet_shop, ann.stripe_customer_id)
    without_mail = make_app(
        SMTP_URL=f"smtp://127.0.0.1:{free_port()}", **stripe_settings(quiet_shop)
    )
    with without_mail.app_context():
        subscriptions.sync(ann.id, cause="test")
        use_card(quiet_shop, ann.stripe_customer_id, "pm_card_visa")
        pay_open_invoices(quiet_shop, ann.stripe_customer_id)
        subscriptions.sync(ann.id, cause="test")
    assert {"payment_failed", "recovered"} < set(promised(quiet_shop).values())

    with quiet_shop.app.app_context(), time_machine.travel(now() + timedelta(hours=1)):
        result = outbox.deliver_due()

    assert (result.sent, result.skipped, result.failed) == (0, 2, 0)
    assert subjects(quiet_shop) == ["You are on Solo"]


def test_an_uncollectible_invoice_is_not_called_paid(quiet_shop: Shop) -> None:
    ann, _ = stripe_account.subscriber(quiet_shop, email_of(quiet_shop))
    use_card(quiet_shop, ann.stripe_customer_id, "pm_card_chargeCustomerFail")
    stripe_account.advance(quiet_shop, ann.stripe_customer_id)
    sync(quiet_shop, ann)
    at_stripe = stripe_account.client(quiet_shop).v1
    (owed,) = at_stripe.invoices.list(
        {"customer": str(ann.stripe_customer_id), "status": "open"}
    ).data
    at_stripe.invoices.mark_uncollectible(owed.id)

    sync(quiet_shop, ann)

    assert "Your payment for Solo has arrived" not in subjects(quiet_shop)


@both_databases
def test_a_cancellation_is_confirmed_with_its_date_and_its_end_is_reported(
    quiet_shop: Shop,
) -> None:
    ann, subscription = stripe_account.subscriber(quiet_shop, email_of(quiet_shop))
    at_stripe = stripe_account.client(quiet_shop).v1
    at_stripe.subscriptions.update(subscription, {"cancel_at_period_end": True})
    for _ in range(2):
        sync(quiet_shop, ann)
    ends = ann.stripe_current_period_end
    assert ends is not None
    confirmed = f"Solo is canceled and ends on {ends:%-d %B %Y}"
    assert subjects(quiet_shop) == ["You are on Solo", confirmed]

    stripe_account.advance(quiet_shop, ann.stripe_customer_id)
    for _ in range(2):
        sync(quiet_shop, ann)

    assert subjects(quiet_shop) == ["You are on Solo", confirmed, "Solo has ended"]


def test_a_second_cancellation_after_a_resumption_is_confirmed_again(quiet_shop: Shop) -> None:
    ann, subscription = stripe_account.subscriber(quiet_shop, email_of(quiet_shop))
    at_stripe = stripe_account.client(quiet_shop).v1
    for cancels in (True, False, True):
        at_stripe.subscriptions.update(subscription, {"cancel_at_period_end": cancels})
        sync(quiet_shop, ann)

    assert [kind for kind in promised(quiet_shop).values() if kind == "cancellation"] == [
        "cancellation"
    ] * 2


def test_a_plan_that_ends_for_lack_of_payment_sends_the_reason(quiet_shop: Shop) -> None:
    requests.post(
        f"{quiet_shop.sandbox}/stripe/control/settings",
        json={"after_retries": "unpaid"},
        headers={"Authorization": f"Bearer {quiet_shop.key}"},
        timeout=30,
    )
    ann, _ = stripe_account.subscriber(quiet_shop, email_of(quiet_shop))
    use_card(quiet_shop, ann.stripe_customer_id, "pm_card_chargeCustomerFail")
    stripe_account.advance(quiet_shop, ann.stripe_customer_id)
    sync(quiet_shop, ann)
    for _ in range(3):
        stripe_account.advance(quiet_shop, ann.stripe_customer_id, "week")
    sync(quiet_shop, ann)

    assert subjects(quiet_shop)[-1] == "Solo has ended"
    assert "We didn't receive your payment" in emails_of(quiet_shop)[-1]["text"]
    use_card(quiet_shop, ann.stripe_customer_id, "pm_card_visa")
    pay_open_invoices(quiet_shop, ann.stripe_customer_id)
    sync(quiet_shop, ann)
    assert subjects(quiet_shop).count("You are on Solo") == 1


@both_databases
def test_a_canceled_duplicate_is_reported_once_even_after_a_failure(
    proxied_shop: ProxiedShop,
) -> None:
    """Stripe fails between the refund and the write. The next sync sends the email."""
    stripe_account.remove_endpoints(proxied_shop)
    ann, first = stripe_account.subscriber(proxied_shop, email_of(proxied_shop))
    with proxied_shop.app.app_context():
        metadata = customers.metadata_for(ann)
    second = (
        stripe_account.client(proxied_shop)
        .v1.subscriptions.create(
            {
                "customer": str(ann.stripe_customer_id),
                "items": [{"price": proxied_shop.price["solo", "monthly"]}],
                "metadata": metadata,
            }
        )
        .id
    )
    gate = proxied_shop.proxy
    refuse = refusing(gate, "GET /v1/subscriptions")

    def fail_after_the_refund(environ: dict[str, Any], start_response: Any) -> Any:
        is_refunded = any(call.startswith("POST /v1/refunds") for call in gate.calls)
        return (refuse if is_refunded else gate.app)(environ, start_response)

    with gate.answering(fail_after_the_refund), pytest.raises(gateway.InvalidRequest):
        sync(proxied_shop, ann)
    assert "duplicate_refunded" not in promised(proxied_shop).values()

    for _ in range(3):
        sync(proxied_shop, ann)

    kept = proxied_shop.user(email_of(proxied_shop)).stripe_subscription_id
    (ended,) = {first, second} - {kept}
    keys = [key for key in promised(proxied_shop) if "duplicate" in key]
    assert keys == [f"duplicate_refunded:{ended}"]
    assert subjects(proxied_shop).count("A second subscription was ended and refunded") == 1


def test_after_two_simultaneous_payments_the_welcome_email_names_the_remaining_plan(
    slow_shop: Shop,
) -> None:
    """The welcome was enqueued for a subscription that is canceled before the email is composed."""
    ann, first = stripe_account.subscriber(slow_shop, email_of(slow_shop))
    with slow_shop.app.app_context():
        metadata = customers.metadata_for(ann)
    created = stripe_account.client(slow_shop).v1.subscriptions.retrieve(first).created
    eventually(lambda: now().timestamp() >= created + 1)  # so that the second subscription is newer
    stripe_account.client(slow_shop).v1.subscriptions.create(
        {
            "customer": str(ann.stripe_customer_id),
            "items": [{"price": slow_shop.price["team", "monthly"]}],
            "metadata": metadata,
        }
    )
    sync(slow_shop, ann)

    with slow_shop.app.app_context():
        outbox.deliver_due()

    assert sorted(subjects(slow_shop)) == [
        "A second subscription was ended and refunded",
        "You are on Team",
    ]


def test_a_recovery_is_reported_after_a_failure_email_that_is_being_sent(
    make_app: Callable[..., Flask], tmp_path: Path
) -> None:
    """A worker is sending the failure, and it is not known yet whether that email arrives."""
    queue = f"sqlite:///{tmp_path / 'jobs.db'}"
    for shop in open_proxied_shop(make_app, tmp_path, JOBS_URL=queue):
        stripe_account.remove_endpoints(shop)
        ann, _ = stripe_account.subscriber(shop, email_of(shop))
        deliver_emails(shop)
        use_card(shop, ann.stripe_customer_id, "pm_card_chargeCustomerFail")
        stripe_account.advance(shop, ann.stripe_customer_id)
        eventually(partial(is_past_due, shop, ann))

        with ThreadPoolExecutor(1) as worker, shop.proxy.holding("POST /resend/emails") as sending:
            worker.submit(deliver_emails, shop)
            assert sending.wait(10)
            use_card(shop, ann.stripe_customer_id, "pm_card_visa")
            pay_open_invoices(shop, ann.stripe_customer_id)
            sync(shop, ann)
            deliver_emails(shop)
            sending.release()
        deliver_emails(shop, timedelta(minutes=2))

        assert subjects(shop) == [
            "You are on Solo",
            "Your payment for Solo failed",
            "Your payment for Solo has arrived",
        ]


def deliver_emails(shop: Shop, later: timedelta = timedelta(0)) -> None:
    with shop.app.app_context(), time_machine.travel(now() + later, tick=True):
        outbox.deliver_due()


def is_past_due(shop: Shop, user: Any) -> bool:
    sync(shop, user)
    return shop.user(user.email).stripe_subscription_status == "past_due"


def test_account_deletion_sends_an_email_and_then_deletes_the_stored_email(
    shop: Shop, visitor: Visitor
) -> None:
    address = f"{uuid.uuid4().hex}@example.com"  # only the recipient identifies the last email
    stripe_account.subscriber(shop, address)
    visitor.sign_in(address)
    visitor.visit("/dashboard/settings")
    visitor.submit("/dashboard/settings/delete", confirmation=address)

    def closing_emails() -> list[str]:
        response = requests.get(f"{shop.sandbox}/mail.json", params={"to": address}, timeout=30)
        return [message["subject"] for message in response.json()["messages"]]

    eventually(lambda: closing_emails()[0] == "Your account at Acme is closed")
    assert "Solo has ended" not in closing_emails()
    with shop.app.app_context():
        rows = db.session.scalars(select(OutboxMessage)).all()
        assert all(address not in str(vars(row)) for row in rows)


def test_a_stored_email_is_deleted_when_its_last_message_is_given_up(
    make_app: Callable[..., Flask],
) -> None:
    app = make_app(SMTP_URL=f"smtp://127.0.0.1:{free_port()}")
    with app.app_context():
        with database.write_transaction():
            mail.enqueue(
                "account_closed",
                database.uuid7(),
                context={"was_customer": False},
                to="ann@example.com",
            )
        row = db.session.scalars(select(OutboxMessage)).one()
        assert row.to_address == "ann@example.com"
        for days in range(outbox.GIVE_UP_AFTER):
            with time_machine.travel(now() + timedelta(days=days + 1)):
                outbox.flush()

        row = db.session.scalars(
            select(OutboxMessage).execution_options(populate_existing=True)
        ).one()
        assert (row.is_waiting, row.to_address, row.handed_over_at) == (False, None, None)


@both_databases
@case(24)
def test_the_end_of_a_trial_is_announced_once(shop: Shop) -> None:
    ann, _ = stripe_account.subscriber(shop, email_of(shop), trial_days=14)
    eventually(lambda: subjects(shop) == ["Your trial of Solo has begun"])

    stripe_account.advance(shop, ann.stripe_customer_id, "week")
    for _ in range(5):
        stripe_account.advance(shop, ann.stripe_customer_id, "day")

    ends = ann.stripe_current_period_end
    assert ends is not None
    announced = f"Your trial of Solo ends on {ends:%-d %B %Y}"
    eventually(lambda: announced in subjects(shop))
    for _ in range(3):
        sync(shop, ann)
    assert subjects(shop).count(announced) == 1


def test_the_end_of_a_trial_is_announced_without_any_event(quiet_shop: Shop) -> None:
    ann, _ = stripe_account.subscriber(quiet_shop, email_of(quiet_shop), trial_days=14)
    ends = ann.stripe_current_period_end
    assert ends is not None
    with quiet_shop.app.app_context():
        for moment in (timedelta(days=10), timedelta(days=11, hours=1), timedelta(days=12)):
            with time_machine.travel(now() + moment, tick=True):
                tasks.sync_ending_trials()

    assert subjects(quiet_shop) == [
        "Your trial of Solo has begun",
        f"Your trial of Solo ends on {ends:%-d %B %Y}",
    ]


def test_a_canceled_trial_announces_no_charge(quiet_shop: Shop) -> None:
    ann, subscription = stripe_account.subscriber(quiet_shop, email_of(quiet_shop), trial_days=14)
    stripe_account.client(quiet_shop).v1.subscriptions.update(
        subscription, {"cancel_at_period_end": True}
    )

    with quiet_shop.app.app_context(), time_machine.travel(now() + timedelta(days=12), tick=True):
        subscriptions.sync(ann.id, cause="test")

    assert not any("trial of Solo ends" in subject for subject in subjects(quiet_shop))

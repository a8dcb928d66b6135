"""`flask billing events`, `catch-up` and `replay`: missed events are fetched and applied."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import delete, select

from saas import database
from saas.billing import events
from saas.billing.models import StripeEvent, SubscriptionChange
from saas.database import db, now
from tests.harness import stripe_account
from tests.harness.apps import both_databases
from tests.harness.shop import Shop
from tests.harness.stripe_proxy import ProxiedShop, refusing


def run(shop: Shop, *args: str) -> Result:
    return shop.app.test_cli_runner().invoke(args=["billing", *args])


def ledger(shop: Shop) -> dict[str, StripeEvent]:
    with shop.app.app_context():
        return {event.id: event for event in db.session.scalars(select(StripeEvent))}


@both_databases
def test_a_week_of_missed_events_is_applied(quiet_shop: Shop) -> None:
    _, ended = stripe_account.subscriber(quiet_shop, "ann@example.com", synced=False)
    stripe_account.subscriber(quiet_shop, "ben@example.com", synced=False)
    stripe_account.client(quiet_shop).v1.subscriptions.cancel(ended)

    dry = run(quiet_shop, "catch-up", "--dry-run", "--since", "7d")
    assert dry.exit_code == 0
    assert "customer.subscription.deleted  missing" in dry.output
    assert ledger(quiet_shop) == {}

    result = run(quiet_shop, "catch-up", "--since", "7d")

    assert result.exit_code == 0, result.output
    assert {event.type for event in ledger(quiet_shop).values()} <= set(events.HANDLED_TYPES)
    assert all(event.processed_at for event in ledger(quiet_shop).values())
    status = {
        name: quiet_shop.user(f"{name}@example.com").stripe_subscription_status
        for name in ("ann", "ben")
    }
    assert status == {"ann": "canceled", "ben": "active"}
    assert "0 applied, 0 failed" in run(quiet_shop, "catch-up").output


def test_received_events_are_not_applied_again(quiet_shop: Shop) -> None:
    stripe_account.subscriber(quiet_shop, "ann@example.com", synced=False)
    run(quiet_shop, "catch-up")
    before = ledger(quiet_shop)
    lost = sorted(before)[0]
    with quiet_shop.app.app_context(), database.write_transaction():
        database.execute(delete(StripeEvent).where(StripeEvent.id == lost))

    entries = [
        json.loads(line) for line in run(quiet_shop, "catch-up", "--json").stdout.splitlines()
    ]

    assert [item["event"] for item in entries] == [lost]
    assert set(ledger(quiet_shop)) == set(before)


def test_a_failing_event_is_named_and_the_others_are_applied(
    proxied_shop: ProxiedShop,
) -> None:
    shop = proxied_shop
    stripe_account.remove_endpoints(shop)
    ann, _ = stripe_account.subscriber(shop, "ann@example.com", synced=False)
    stripe_account.subscriber(shop, "ben@example.com", synced=False)
    paid = stripe_account.client(shop).v1.events.list({"type": "invoice.paid"}).data
    event = {item.data.object["customer"]: item.id for item in paid}
    failing = event.pop(str(ann.stripe_customer_id))

    def refuse_ann(environ: dict[str, Any], start_response: Any) -> Any:
        if f"customer={ann.stripe_customer_id}" not in environ["QUERY_STRING"]:
            return shop.proxy.app(environ, start_response)
        return refusing(shop.proxy, "GET", message="Not today.")(environ, start_response)

    with shop.proxy.answering(refuse_ann):
        result = run(shop, "replay", failing, *event.values())

    assert result.exit_code == 1
    assert f"{failing}: Stripe refused: Not today." in result.output
    assert not shop.user("ann@example.com").is_subscribed
    assert shop.user("ben@example.com").is_subscribed


@both_databases
def test_the_ledger_shows_attempts_and_the_last_error(quiet_shop: Shop) -> None:
    ann, subscription = stripe_account.subscriber(quiet_shop, "ann@example.com")
    subject: dict[str, Any] = {"id": subscription, "object": "subscription"}
    subject["customer"] = ann.stripe_customer_id
    stripe_account.send_event(quiet_shop, "customer.subscription.updated", subject, id="evt_1")
    quiet_shop.app.config["STRIPE_API_BASE"] = "http://127.0.0.1:9"
    quiet_shop.app.extensions["stripe"].clear()
    stripe_account.send_event(quiet_shop, "customer.subscription.updated", subject, id="evt_2")

    rows = [line.split() for line in run(quiet_shop, "events").stdout.splitlines()]
    failed = run(quiet_shop, "events", "--failed", "--json").stdout.splitlines()

    assert rows[0][:5] == ["RECEIVED", "TYPE", "EVENT", "CUSTOMER", "STATE"]
    assert [(row[3], row[5], row[6]) for row in rows[1:]] == [
        ("evt_2", "failed", "1"),
        ("evt_1", "applied", "1"),
    ]
    (only,) = map(json.loads, failed)
    assert (only["event"], only["state"], only["attempts"]) == ("evt_2", "failed", 1)
    assert only["last_error"].startswith("Unavailable: APIConnectionError")


@both_databases
def test_an_event_is_replayed_from_stripe_or_from_the_ledger(quiet_shop: Shop) -> None:
    ann, subscription = stripe_account.subscriber(quiet_shop, "ann@example.com")
    at_stripe = stripe_account.client(quiet_shop).v1
    kept = at_stripe.events.list({"type": "customer.subscription.created"}).data[0].id
    subject = {"id": subscription, "object": "subscription", "customer": ann.stripe_customer_id}
    stripe_account.send_event(
        quiet_shop, "customer.subscription.updated", subject, id="evt_forgotten"
    )
    at_stripe.subscriptions.cancel(subscription)

    result = run(quiet_shop, "replay", "evt_forgotten", kept, kept)

    assert result.exit_code == 0, result.output
    assert [line.split()[1] for line in result.stdout.splitlines()] == ["applied"] * 3
    canceled = quiet_shop.user("ann@example.com")
    assert canceled.stripe_subscription_status == "canceled"
    assert all(event.processed_at for event in ledger(quiet_shop).values())
    with quiet_shop.app.app_context():
        causes = db.session.scalars(select(SubscriptionChange.cause)).all()
    assert causes == ["test", "evt_forgotten"]  # the other events changed nothing


def test_an_unhandled_event_type_is_not_replayed(quiet_shop: Shop) -> None:
    stripe_account.subscriber(quiet_shop, "ann@example.com")
    other = (
        stripe_account.client(quiet_shop).v1.events.list({"type": "customer.created"}).data[0].id
    )

    result = run(quiet_shop, "replay", other)

    assert "ignored: its type is not handled" in result.output
    assert ledger(quiet_shop) == {}


def test_an_empty_ledger_is_reported(runner: Any) -> None:
    assert runner.invoke(args=["billing", "events"]).output == "No events have arrived yet.\n"
    failed = runner.invoke(args=["billing", "events", "--failed"])
    assert failed.output == "All events have been applied.\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["catch-up", "--since", "soon"], "'soon' is not a time. Give days (30d), hours (12h)"),
        (["catch-up", "--since", "90d"], "90d is too long ago: Stripe keeps events for 30 days."),
        (["catch-up", "--since", "2999-01-01"], "2999-01-01 is in the future."),
        (["replay"], "Missing argument 'EVENT_ID...'"),
        (["replay", "in_1"], "in_1 is not an event id (evt_…)."),
        (["events", "--limit", "0"], "0 is not in the range"),
    ],
)
def test_wrong_arguments_are_explained(args: list[str], message: str, app: Flask) -> None:
    app.config["SANDBOX_URL"] = ""
    result = app.test_cli_runner().invoke(args=["billing", *args])

    assert result.exit_code == 2
    assert message in result.output


def test_a_date_is_accepted(quiet_shop: Shop) -> None:
    stripe_account.subscriber(quiet_shop, "ann@example.com")
    yesterday = f"{now() - timedelta(days=1):%Y-%m-%d}"

    assert "missing" in run(quiet_shop, "catch-up", "--dry-run", "--since", yesterday).output
    unheard = run(quiet_shop, "replay", "evt_unheard_of")
    assert unheard.exit_code == 1
    assert "is unknown both here and in Stripe" in unheard.output

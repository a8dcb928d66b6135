"""`flask billing adopt-orphans`: subscriptions bought after the backup that was restored."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import delete, select

from saas import database
from saas.auth import accounts, audit
from saas.auth.models import User
from saas.billing import customers
from saas.billing.models import SubscriptionChange
from saas.database import db
from saas.users import account_deletion
from tests.harness import bulk_subscribers, stripe_account
from tests.harness.apps import both_databases
from tests.harness.shop import Shop
from tests.harness.stripe_proxy import ProxiedShop, refusing

ANN = "ann@example.com"


def run(shop: Shop, *args: str, answers: str | None = None) -> Result:
    return shop.app.test_cli_runner().invoke(args=["billing", *args], input=answers)


def lose(shop: Shop, *users: User) -> None:
    """Delete the rows of users, as restoring a backup that is older than their accounts does."""
    with shop.app.app_context(), database.write_transaction():
        database.execute(delete(User).where(User.id.in_([user.id for user in users])))


def lost_subscriber(shop: Shop, email: str = ANN) -> tuple[User, str]:
    user, subscription = stripe_account.subscriber(shop, email)
    lose(shop, user)
    return user, subscription


def find(shop: Shop, email: str = ANN) -> User | None:
    with shop.app.app_context():
        return accounts.find_by_email(email)


def status(shop: Shop, subscription: str) -> str:
    return str(stripe_account.client(shop).v1.subscriptions.retrieve(subscription).status)


def outcomes(result: Result) -> dict[str, str]:
    entries = map(json.loads, result.stdout.splitlines())
    return {entry["subscription"]: entry["outcome"] for entry in entries}


def set_owner(shop: Shop, customer: str, **metadata: str) -> None:
    stripe_account.client(shop).v1.customers.update(customer, {"metadata": metadata})


@both_databases
def test_verify_lists_a_subscription_whose_account_was_lost(quiet_shop: Shop) -> None:
    stripe_account.subscriber(quiet_shop, "ben@example.com")
    ann, subscription = lost_subscriber(quiet_shop)

    table, lines = run(quiet_shop, "verify"), run(quiet_shop, "verify", "--json")

    assert (table.exit_code, lines.exit_code) == (1, 1)
    rows = [line.split() for line in table.stdout.splitlines()]
    assert rows == [
        ["USER", "COLUMN", "OURS", "STRIPE"],
        [ANN, "account", "-", subscription, "(active)"],
    ]
    assert "no drift, 1 without an account" in table.stderr
    assert "flask billing adopt-orphans" in table.stderr
    assert "sync --all" not in table.stderr
    assert json.loads(lines.stdout) == {
        "email": ANN,
        "user": str(ann.id),
        "columns": {"account": {"ours": None, "stripe": subscription}},
    }


def test_sync_reports_it_and_changes_nothing(quiet_shop: Shop) -> None:
    lost_subscriber(quiet_shop)

    result = run(quiet_shop, "sync", "--all")

    assert result.exit_code == 0
    assert "Repaired 0 users of 1 subscriptions in Stripe, 1 without" in result.stderr
    assert "flask billing adopt-orphans" in result.stderr
    assert find(quiet_shop) is None


@both_databases
def test_catch_up_tells_its_events_from_those_of_other_products(quiet_shop: Shop) -> None:
    ann, subscription = lost_subscriber(quiet_shop)
    at_stripe = stripe_account.client(quiet_shop).v1
    foreign = at_stripe.customers.create({"email": ANN}).id
    stripe_account.subscribe(quiet_shop, foreign, {})

    result = run(quiet_shop, "catch-up", "--json")

    assert result.exit_code == 0, result.output
    entries = map(json.loads, result.stdout.splitlines())
    outcomes_by_event = {entry["event"]: entry["outcome"] for entry in entries}
    by_customer: dict[str, set[str]] = {}
    for event in at_stripe.events.list({"limit": 100}).data:
        if event.id in outcomes_by_event:
            by_customer.setdefault(event.data.object["customer"], set()).add(
                outcomes_by_event[event.id]
            )
    assert by_customer == {str(ann.stripe_customer_id): {"no account"}, foreign: {"not ours"}}
    assert "flask billing adopt-orphans" in result.stderr
    assert status(quiet_shop, subscription) == "active"
    assert "0 applied, 0 failed" in run(quiet_shop, "catch-up").stderr


@both_databases
def test_the_account_is_created_again_with_its_id(quiet_shop: Shop) -> None:
    ann, subscription = lost_subscriber(quiet_shop)

    result = run(quiet_shop, "adopt-orphans", "--recreate", "--yes")

    assert result.exit_code == 0, result.output
    assert result.stdout.split(maxsplit=2) == [subscription, ANN, "recreated with the plan Solo\n"]
    assert result.stderr.endswith("1 subscriptions in Stripe, 1 has no account: 1 recreated.\n")
    again = quiet_shop.user(ANN)
    assert (again.id, again.stripe_customer_id) == (ann.id, ann.stripe_customer_id)
    assert (again.stripe_subscription_id, again.role) == (subscription, "user")
    assert again.verified_at is None
    with quiet_shop.app.app_context():
        assert [entry.action for entry in audit.history(ann.id)] == ["recreate"]
        causes = db.session.scalars(select(SubscriptionChange.cause)).all()
    assert causes == ["flask billing adopt-orphans"]
    assert run(quiet_shop, "verify").exit_code == 0


def test_its_owner_signs_in_and_has_the_plan(quiet_shop: Shop) -> None:
    lost_subscriber(quiet_shop)
    run(quiet_shop, "adopt-orphans", "--recreate", "--yes")

    owner = quiet_shop.visitor()
    owner.sign_in(ANN)

    assert quiet_shop.user(ANN).verified_at
    assert "Solo" in owner.visit("/dashboard/billing").text


@both_databases
def test_a_subscription_is_canceled_and_refunded(quiet_shop: Shop) -> None:
    ann, subscription = lost_subscriber(quiet_shop)

    result = run(quiet_shop, "adopt-orphans", "--refund", "--yes", "--json")

    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {
        "subscription": subscription, "status": "active", "customer": ann.stripe_customer_id,
        "email": ANN, "user": str(ann.id), "outcome": "canceled, 15.00 eur refunded",
    }  # fmt: skip
    assert status(quiet_shop, subscription) == "canceled"
    assert len(stripe_account.refunds_of(quiet_shop, str(ann.stripe_customer_id))) == 1
    assert find(quiet_shop) is None
    assert run(quiet_shop, "verify").exit_code == 0


@both_databases
@pytest.mark.parametrize("choice", ["--recreate", "--refund"])
def test_a_repeated_run_changes_nothing(quiet_shop: Shop, choice: str) -> None:
    ann, subscription = lost_subscriber(quiet_shop)
    run(quiet_shop, "adopt-orphans", choice, "--yes")
    counter = user.stripe_sync_counter if (user := find(quiet_shop)) else None

    for other in ("--recreate", "--refund"):
        again = run(quiet_shop, "adopt-orphans", other, "--yes")

        assert (again.exit_code, again.stdout) == (0, "")
        assert again.stderr == "1 subscriptions in Stripe, 0 have no account.\n"

    after = find(quiet_shop)
    assert (after.stripe_sync_counter if after else None) == counter
    assert status(quiet_shop, subscription) == ("active" if after else "canceled")
    refunds = stripe_account.refunds_of(quiet_shop, str(ann.stripe_customer_id))
    assert len(refunds) == (0 if after else 1)
    run(quiet_shop, "catch-up")
    assert bool(find(quiet_shop)) == bool(after)


@both_databases
def test_a_dry_run_says_what_is_possible_and_writes_nothing(quiet_shop: Shop) -> None:
    _, subscription = lost_subscriber(quiet_shop)
    _, other = lost_subscriber(quiet_shop, "ben@example.com")
    with quiet_shop.app.app_context():
        accounts.get_or_create("ben@example.com")

    result = run(quiet_shop, "adopt-orphans", "--refund", "--dry-run", "--yes", "--json")

    assert result.exit_code == 0
    results = outcomes(result)
    assert results[subscription] == "can be recreated or refunded"
    assert results[other].startswith("can only be refunded: ben@example.com has another account")
    assert status(quiet_shop, subscription) == status(quiet_shop, other) == "active"
    assert find(quiet_shop) is None


def test_each_subscription_is_asked_about(quiet_shop: Shop) -> None:
    lost = [lost_subscriber(quiet_shop, f"{name}@example.com") for name in ("ann", "ben", "cat")]

    result = run(quiet_shop, "adopt-orphans", "--json", answers="recreate\nrefund\n\n")

    assert result.exit_code == 0, result.output
    chosen = outcomes(result)
    assert list(chosen.values()) == [
        "recreated with the plan Solo", "canceled, 15.00 eur refunded", "skipped",
    ]  # fmt: skip
    for user, subscription in lost:
        assert bool(find(quiet_shop, user.email)) == chosen[subscription].startswith("recreated")
        is_canceled = status(quiet_shop, subscription) == "canceled"
        assert is_canceled == chosen[subscription].startswith("canceled")
    assert "1 recreated, 1 canceled, 1 skipped" in result.stderr


def test_a_choice_for_all_is_confirmed_for_each(quiet_shop: Shop) -> None:
    lost = [lost_subscriber(quiet_shop, f"{name}@example.com") for name in ("ann", "ben")]

    result = run(quiet_shop, "adopt-orphans", "--refund", answers="n\ny\n")

    assert sorted(status(quiet_shop, id) for _, id in lost) == ["active", "canceled"]
    assert "1 skipped, 1 canceled" in result.stderr


@both_databases
def test_an_email_does_not_attach_a_customer_to_another_account(quiet_shop: Shop) -> None:
    """The person may have signed up again; or the account had given up the email since."""
    ann, subscription = lost_subscriber(quiet_shop)
    with quiet_shop.app.app_context():
        newer = accounts.get_or_create_verified(ANN)

    refused = run(quiet_shop, "adopt-orphans", "--recreate", "--yes")

    assert refused.exit_code == 1
    assert f"set the metadata `user` of {ann.stripe_customer_id}" in refused.stdout
    assert f"to {newer.id} in Stripe, then run: flask billing sync --all" in refused.stdout
    assert quiet_shop.user(ANN).stripe_customer_id is None

    set_owner(quiet_shop, str(ann.stripe_customer_id), user=str(newer.id))
    assert run(quiet_shop, "adopt-orphans", "--dry-run").stdout == ""
    run(quiet_shop, "sync", "--all")

    attached = quiet_shop.user(ANN)
    assert (attached.id, attached.stripe_subscription_id) == (newer.id, subscription)
    assert run(quiet_shop, "verify").exit_code == 0


def test_a_refund_is_the_way_if_the_other_account_has_its_own_customer(quiet_shop: Shop) -> None:
    _, lost = lost_subscriber(quiet_shop)
    _, kept = stripe_account.subscriber(quiet_shop, ANN)

    result = run(quiet_shop, "adopt-orphans", answers="recreate\nrefund\n")

    assert "That account has its own customer, so choose a refund." in result.stderr
    assert "'recreate' is not one of 'refund', 'skip'" in result.stderr
    assert [status(quiet_shop, id) for id in (lost, kept)] == ["canceled", "active"]


def test_a_customer_that_is_not_ours_is_not_adopted(quiet_shop: Shop) -> None:
    """Metadata of a subscription alone does not identify the customer's user."""
    ann, subscription = lost_subscriber(quiet_shop)
    set_owner(quiet_shop, str(ann.stripe_customer_id), installation="", user="")

    result = run(quiet_shop, "adopt-orphans", "--recreate", "--yes")

    assert result.exit_code == 1
    assert f"only the subscription names the user, not {ann.stripe_customer_id}" in result.stdout
    assert find(quiet_shop) is None
    assert status(quiet_shop, subscription) == "active"


def test_a_customer_without_an_email_gets_no_account(quiet_shop: Shop) -> None:
    ann, ended = lost_subscriber(quiet_shop)
    at_stripe = stripe_account.client(quiet_shop).v1
    at_stripe.subscriptions.cancel(ended)
    with quiet_shop.app.app_context():
        metadata = customers.metadata_for(ann)
    customer = at_stripe.customers.create({"metadata": metadata}).id
    stripe_account.subscribe(quiet_shop, customer, metadata)

    result = run(quiet_shop, "adopt-orphans", "--recreate", "--yes")

    assert result.exit_code == 1
    assert f"{customer} has no usable email" in result.stdout


def test_subscriptions_of_others_are_no_orphans(quiet_shop: Shop) -> None:
    ann, ended = lost_subscriber(quiet_shop)
    stripe_account.client(quiet_shop).v1.subscriptions.cancel(ended)
    ben, outlived = stripe_account.subscriber(quiet_shop, "ben@example.com", synced=False)
    set_owner(quiet_shop, str(ben.stripe_customer_id), installation="", user="")
    with quiet_shop.app.app_context():
        metadata = customers.metadata_for(ben)
        account_deletion.delete_account(ben)
    at_stripe = stripe_account.client(quiet_shop).v1
    for marks in ({"user": metadata["user"]}, {**metadata, "installation": str(ann.id)}):
        customer = at_stripe.customers.create({"email": ANN, "metadata": marks}).id
        stripe_account.subscribe(quiet_shop, customer, marks)
    closed = stripe_account.subscribe(
        quiet_shop, at_stripe.customers.create({"email": ANN}).id, metadata
    )
    bulk_subscribers.fill(
        quiet_shop.sandbox, quiet_shop.key, quiet_shop.price["solo", "monthly"], 3
    )

    verified, listed = run(quiet_shop, "verify"), run(quiet_shop, "adopt-orphans", "--dry-run")

    assert (verified.exit_code, verified.stdout) == (0, "")
    assert (listed.exit_code, listed.stdout) == (0, "")
    assert [status(quiet_shop, id) for id in (outlived, closed)] == ["canceled", "active"]


def test_a_customer_that_a_user_has_is_not_lost(quiet_shop: Shop) -> None:
    """Metadata that was changed by hand does not take a customer from its user."""
    ben, subscription = stripe_account.subscriber(quiet_shop, "ben@example.com")
    at_stripe = stripe_account.client(quiet_shop).v1
    unknown: Any = {"metadata": {"user": "00000000-0000-4000-8000-000000000000"}}
    at_stripe.subscriptions.update(subscription, unknown)
    at_stripe.customers.update(str(ben.stripe_customer_id), unknown)

    assert run(quiet_shop, "verify").exit_code == 0
    assert run(quiet_shop, "adopt-orphans", "--refund", "--yes").exit_code == 0
    assert status(quiet_shop, subscription) == "active"


def test_two_subscriptions_of_one_customer_give_one_account(quiet_shop: Shop) -> None:
    ann, first = stripe_account.subscriber(quiet_shop, ANN)
    with quiet_shop.app.app_context():
        metadata = customers.metadata_for(ann)
    second = stripe_account.subscribe(quiet_shop, str(ann.stripe_customer_id), metadata)
    lose(quiet_shop, ann)

    result = run(quiet_shop, "adopt-orphans", "--recreate", "--yes", "--json")

    assert result.exit_code == 0, result.output
    assert set(outcomes(result)) == {first, second}
    assert list(outcomes(result).values()) == ["recreated with the plan Solo", "has an account now"]
    assert sorted(status(quiet_shop, id) for id in (first, second)) == ["active", "canceled"]


def test_a_refused_refund_is_reported(proxied_shop: ProxiedShop) -> None:
    shop = proxied_shop
    stripe_account.remove_endpoints(shop)
    _, subscription = lost_subscriber(shop)

    with shop.proxy.answering(refusing(shop.proxy, "POST /v1/refunds", message="Not today.")):
        result = run(shop, "adopt-orphans", "--refund", "--yes")

    assert result.exit_code == 1
    assert "was canceled, but Stripe refused the refund. Refund it there" in result.stdout
    assert status(shop, subscription) == "canceled"


def test_an_account_that_could_not_be_synced_is_completed_by_sync(
    proxied_shop: ProxiedShop,
) -> None:
    shop = proxied_shop
    stripe_account.remove_endpoints(shop)
    ann, subscription = lost_subscriber(shop)
    lookup = f"GET /v1/customers/{ann.stripe_customer_id}"

    with shop.proxy.answering(refusing(shop.proxy, lookup, message="Not today.")):
        result = run(shop, "adopt-orphans", "--recreate", "--yes")

    assert result.exit_code == 1
    assert "the account was created, but not synced (Stripe refused: Not today)" in result.stdout
    assert "Run: flask billing sync --all" in result.stdout
    assert run(shop, "verify").exit_code == 1
    run(shop, "sync", "--all")
    assert shop.user(ANN).stripe_subscription_id == subscription
    assert run(shop, "verify").exit_code == 0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--yes"], "--yes needs --recreate or --refund."),
        (["--per-second", "0"], "0 is not in the range 1<=x<=90"),
        (["ann@example.com"], "Got unexpected extra argument"),
    ],
)
def test_wrong_arguments_are_explained(args: list[str], message: str, app: Flask) -> None:
    app.config["SANDBOX_URL"] = ""
    result = app.test_cli_runner().invoke(args=["billing", "adopt-orphans", *args])

    assert result.exit_code == 2
    assert message in result.output

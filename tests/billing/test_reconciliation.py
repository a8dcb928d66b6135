"""`flask billing verify` and `sync`: our copy is compared with Stripe's list, and repaired."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import Result
from flask import Flask
from sqlalchemy import update

from saas import database
from saas.auth import accounts
from saas.auth.models import User
from saas.billing import customers
from saas.billing.operator import reconciliation
from saas.config import ROOT
from saas.subscriber import SYNCED_COLUMNS
from tests.billing.cases import case
from tests.harness import bulk_subscribers, stripe_account
from tests.harness.apps import both_databases, own_env
from tests.harness.servers import free_port
from tests.harness.shop import Shop
from tests.harness.stripe_proxy import Held, ProxiedShop


@pytest.fixture
def quiet_shop(quiet_shop: Shop, tmp_path: Path) -> Shop:
    """A shop without webhooks, with its own instance folder."""
    quiet_shop.app.instance_path = str(tmp_path / "instance")
    return quiet_shop


def run(shop: Shop, *args: str) -> Result:
    return shop.app.test_cli_runner().invoke(args=["billing", *args, "--per-second", "90"])


def calls(result: Result) -> int:
    match = re.search(r"in (\d+) calls?", result.output)
    assert match, result.output
    return int(match[1])


def columns(shop: Shop, email: str) -> dict[str, Any]:
    return shop.user(email).synced_columns


def change(shop: Shop, email: str, **values: Any) -> None:
    with shop.app.app_context(), database.write_transaction():
        database.execute(update(User).where(User.email == email).values(**values))


def set_faults(shop: Shop, **shares: float) -> None:
    requests.post(
        f"{shop.sandbox}/stripe/control/faults", json=shares,
        headers={"Authorization": f"Bearer {shop.key}"}, timeout=10,
    ).raise_for_status()  # fmt: skip


@both_databases
def test_verify_reports_a_copy_without_drift(quiet_shop: Shop) -> None:
    stripe_account.subscriber(quiet_shop, "ann@example.com")
    stripe_account.subscriber(quiet_shop, "ben@example.com", "team", "yearly")

    result = run(quiet_shop, "verify")

    assert result.exit_code == 0, result.output
    assert "no drift" in result.output
    assert calls(result) == 1


@both_databases
@case(27, "verify shows the drift", "sync --all repairs it")
def test_verify_shows_missed_changes_and_sync_repairs_them(quiet_shop: Shop) -> None:
    _, canceled = stripe_account.subscriber(quiet_shop, "ann@example.com")
    stripe_account.subscriber(quiet_shop, "ben@example.com", synced=False)
    stripe_account.subscriber(quiet_shop, "cat@example.com")
    stripe_account.client(quiet_shop).v1.subscriptions.cancel(canceled)

    verified = run(quiet_shop, "verify")

    assert verified.exit_code == 1
    rows = [line.split() for line in verified.stdout.splitlines()]
    assert rows[0] == ["USER", "COLUMN", "OURS", "STRIPE"]
    assert ["ann@example.com", "subscription_status", "active", "canceled"] in rows
    assert ["ben@example.com", "subscription_status", "-", "active"] in rows
    assert "cat@example.com" not in verified.stdout

    dry = run(quiet_shop, "sync", "--all", "--dry-run")

    assert dry.exit_code == 0
    assert dry.stdout == verified.stdout
    assert columns(quiet_shop, "ben@example.com")["stripe_subscription_status"] is None

    synced = run(quiet_shop, "sync", "--all")

    assert "Repaired 2 users" in synced.output
    assert columns(quiet_shop, "ann@example.com")["stripe_subscription_status"] == "canceled"
    assert columns(quiet_shop, "ben@example.com")["stripe_subscription_status"] == "active"
    assert run(quiet_shop, "verify").exit_code == 0


def test_one_user_is_synced_by_email(quiet_shop: Shop) -> None:
    stripe_account.subscriber(quiet_shop, "ann@example.com", synced=False)
    with quiet_shop.app.app_context():
        accounts.get_or_create("ben@example.com")

    dry = run(quiet_shop, "sync", "ann@example.com", "--dry-run")
    assert "columns of ann@example.com would change" in dry.output
    assert columns(quiet_shop, "ann@example.com")["stripe_subscription_status"] is None

    assert run(quiet_shop, "sync", "ann@example.com").exit_code == 0
    assert columns(quiet_shop, "ann@example.com")["stripe_subscription_status"] == "active"
    not_subscribed = run(quiet_shop, "sync", "ben@example.com")
    assert not_subscribed.output == "ben@example.com has no customer in Stripe.\n"


def test_every_copied_column_is_compared(quiet_shop: Shop) -> None:
    ann, _ = stripe_account.subscriber(quiet_shop, "ann@example.com")
    wrong = {
        "stripe_subscription_id": "sub_unheard_of",
        "stripe_subscription_status": "trialing",
        "stripe_price_id": quiet_shop.price["team", "yearly"],
        "stripe_current_period_end": ann.created_at,
        "stripe_cancel_at": ann.created_at,
        "stripe_past_due_since": ann.created_at,
        "stripe_action_required": True,
        "stripe_recurring": {**(ann.stripe_recurring or {}), "amount": 1},
        "stripe_purchases": [{"session": "cs_unheard_of"}],
    }
    assert set(wrong) == set(SYNCED_COLUMNS)

    for name, value in wrong.items():
        change(quiet_shop, "ann@example.com", **{name: value})
        lines = run(quiet_shop, "verify", "--json").stdout.splitlines()
        entries = [json.loads(line) for line in lines if line]
        assert [list(item["columns"]) for item in entries] == [[name]]
        run(quiet_shop, "sync", "--all")


def test_a_user_whose_subscription_stripe_does_not_list_is_found(quiet_shop: Shop) -> None:
    stripe_account.subscriber(quiet_shop, "ann@example.com")
    with quiet_shop.app.app_context():
        accounts.get_or_create("ben@example.com")
    change(
        quiet_shop, "ben@example.com", stripe_customer_id="cus_of_another_account",
        stripe_subscription_id="sub_of_another_account", stripe_subscription_status="active",
        stripe_price_id=quiet_shop.price["solo", "monthly"],
    )  # fmt: skip

    result = run(quiet_shop, "verify")

    assert result.exit_code == 1
    assert "ben@example.com" in result.stdout
    assert "ann@example.com" not in result.stdout


def test_an_ended_subscription_beside_a_live_one_is_no_drift_and_needs_no_request(
    quiet_shop: Shop,
) -> None:
    ann, first = stripe_account.subscriber(quiet_shop, "ann@example.com")
    at_stripe = stripe_account.client(quiet_shop).v1
    at_stripe.subscriptions.cancel(first)
    with quiet_shop.app.app_context():
        metadata = customers.metadata_for(ann)
    at_stripe.subscriptions.create(
        {
            "customer": str(ann.stripe_customer_id),
            "items": [{"price": quiet_shop.price["solo", "monthly"]}],
            "metadata": metadata,
        }
    )
    run(quiet_shop, "sync", "ann@example.com")

    bulk_subscribers.fill(
        quiet_shop.sandbox, quiet_shop.key, quiet_shop.price["solo", "monthly"], 120
    )
    result = run(quiet_shop, "verify")

    assert result.exit_code == 0, result.output
    assert calls(result) == 2  # 122 subscriptions, a hundred per request


def test_a_difference_that_cannot_be_repaired_is_no_drift(quiet_shop: Shop) -> None:
    """Metadata of a subscription alone does not identify the customer's user."""
    ann, _ = stripe_account.subscriber(quiet_shop, "ann@example.com")
    stripe_account.client(quiet_shop).v1.customers.update(
        str(ann.stripe_customer_id), {"metadata": {"installation": "", "user": ""}}
    )
    change(quiet_shop, ann.email, **dict.fromkeys(("stripe_customer_id", *SYNCED_COLUMNS)))

    repaired, compared = run(quiet_shop, "sync", "--all"), run(quiet_shop, "verify")

    assert "Repaired 0 users" in repaired.output
    assert (repaired.exit_code, compared.exit_code) == (0, 0)


def test_a_lost_customer_is_adopted(quiet_shop: Shop) -> None:
    """As after restoring a backup: the metadata at Stripe identifies the user."""
    ann, subscription = stripe_account.subscriber(quiet_shop, "ann@example.com")
    change(quiet_shop, "ann@example.com", stripe_customer_id=None,
           **dict.fromkeys(SYNCED_COLUMNS))  # fmt: skip

    verified = run(quiet_shop, "verify")
    run(quiet_shop, "sync", "--all")

    assert verified.exit_code == 1
    assert str(ann.stripe_customer_id) in verified.stdout
    assert columns(quiet_shop, "ann@example.com")["stripe_subscription_id"] == subscription


def test_many_subscribers_are_compared_with_a_request_per_hundred(quiet_shop: Shop) -> None:
    price = quiet_shop.price["solo", "monthly"]
    bulk_subscribers.fill(quiet_shop.sandbox, quiet_shop.key, price, 350)
    assert bulk_subscribers.copy_into_columns(quiet_shop.app) == 350
    change(quiet_shop, "person77@example.com", stripe_subscription_status="past_due")
    change(quiet_shop, "person301@example.com", stripe_price_id="price_unheard_of")

    result = run(quiet_shop, "verify")

    assert result.exit_code == 1
    assert "2 users with drift" in result.output
    assert calls(result) == 4 + 2  # one per page, and one for each user who differs


def test_an_interrupted_run_says_how_to_resume_and_skips_no_user(
    proxied_shop: ProxiedShop,
) -> None:
    shop = proxied_shop
    bulk_subscribers.fill(shop.sandbox, shop.key, shop.price["solo", "monthly"], 250)
    bulk_subscribers.copy_into_columns(shop.app)
    change(shop, "person240@example.com", stripe_subscription_status="past_due")

    with shop.proxy.holding("GET /v1/subscriptions", let_through=1) as second_page:
        exit_code, output = interrupt(verify_command(shop, "verify"), second_page)

    assert exit_code == 130
    advice = re.fullmatch(r"Stopped. To resume: flask billing (verify --after (sub_\w+))\n", output)
    assert advice, output
    notes = ROOT / "instance" / "reconciliation" / advice[2]
    assert notes.exists()
    again = subprocess.run(
        **verify_command(shop, *advice[1].split()), capture_output=True, timeout=60
    )
    assert again.returncode == 1
    # The remaining pages, and the user who differs, who was on the first page.
    assert "150 subscriptions in Stripe in 3 calls: 1 user with drift" in again.stderr
    assert "person240@example.com" in again.stdout
    assert not notes.exists()


def verify_command(shop: ProxiedShop, *args: str) -> dict[str, Any]:
    """Start `flask billing …` on the shop's database."""
    return {
        "args": [sys.executable, "-m", "flask", "--app", "tests.harness.wsgi", "billing", *args],
        "cwd": ROOT,
        "env": own_env(
            SANDBOX_URL=shop.app.config["SANDBOX_URL"],
            DATABASE_URL=str(shop.app.config["SQLALCHEMY_DATABASE_URI"]),
            SANDBOX_STRIPE_API_KEY=shop.key,
            **shop.price_variables,
        ),
        "text": True,
    }


def interrupt(command: dict[str, Any], held: Held) -> tuple[int, str]:
    """Press Ctrl-C once the command waits for Stripe; return its exit code and what it printed."""
    with subprocess.Popen(**command, stderr=subprocess.PIPE) as process:
        try:
            assert held.wait(40)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=30)
        finally:
            process.kill()
    return process.returncode, errors


def test_verify_waits_when_stripe_limits_the_rate(quiet_shop: Shop) -> None:
    price = quiet_shop.price["solo", "monthly"]
    bulk_subscribers.fill(quiet_shop.sandbox, quiet_shop.key, price, 450)
    bulk_subscribers.copy_into_columns(quiet_shop.app)
    set_faults(quiet_shop, seed=3, too_many=0.6)

    result = run(quiet_shop, "verify")

    assert result.exit_code == 0, result.output
    assert calls(result) > 5  # some requests were retried


def test_an_unreachable_stripe_is_explained_in_a_sentence(
    make_app: Callable[..., Flask], shop: Shop
) -> None:
    away = make_app(
        SANDBOX_STRIPE_API_KEY=shop.key, SANDBOX_URL=f"http://127.0.0.1:{free_port()}",
        STRIPE_API_KEY="",
    )  # fmt: skip
    away.config.update(SANDBOX_URL="", STRIPE_TIMEOUTS=(0.2, 0.2))

    result = away.test_cli_runner().invoke(args=["billing", "verify"])

    assert result.exit_code == 1
    assert "Error: Stripe did not answer" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["verify", "--after", "cus_1"], 2, "--after cus_1 is not a subscription id"),
        (["verify", "--after", "sub_1"], 1, "No run was stopped at sub_1"),
        (["verify", "--per-second", "0"], 2, "0 is not in the range 1<=x<=90"),
        (["sync", "ann@example.com", "--after", "sub_1"], 2, "--after can only be used with --all"),
        (["sync"], 2, "Give an EMAIL or --all."),
        (["sync", "not an address"], 1, "'not an address' is not a valid email address"),
    ],
)
def test_wrong_arguments_are_explained(
    args: list[str], code: int, message: str, app: Flask
) -> None:
    app.config["SANDBOX_URL"] = ""
    result = app.test_cli_runner().invoke(args=["billing", *args])

    assert result.exit_code == code
    assert message in result.output


def test_the_seen_users_are_saved_in_a_file(tmp_path: Path) -> None:
    users = [database.uuid7() for _ in range(1000)]
    seen = reconciliation.SeenUsers()
    for user in users[:500]:
        seen.add(user)
    seen.save(tmp_path / "reconciliation" / "sub_1")

    again = reconciliation.SeenUsers.load(tmp_path / "reconciliation" / "sub_1")

    assert all(user in again for user in users[:500])
    assert not any(user in again for user in users[500:])

"""`flask billing setup` creates the catalogue at Stripe, and can be repeated."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import stripe
from click.testing import Result
from flask import Flask

from saas.billing.operator import provisioning
from tests.harness import stripe_account
from tests.harness.apps import settings
from tests.harness.sample_product.catalogue import catalogue
from tests.harness.shop import Shop


def test_a_repeated_setup_creates_nothing(shop: Shop) -> None:
    at_stripe = stripe_account.client(shop).v1
    before = [price.id for price in at_stripe.prices.list().data]

    with shop.app.app_context():
        variables = provisioning.set_up()

    assert [price.id for price in at_stripe.prices.list().data] == before
    assert len(at_stripe.webhook_endpoints.list().data) == 1
    portals = at_stripe.billing_portal.configurations.list().data
    assert [portal.is_default for portal in portals].count(False) == 1
    assert variables["STRIPE_SOLO_MONTHLY_PRICE_ID"] == shop.price["solo", "monthly"]
    assert "STRIPE_WEBHOOK_SECRET" not in variables  # Stripe returns it once


def test_after_a_price_increase_existing_subscribers_keep_their_plan(shop: Shop) -> None:
    old = shop.price["solo", "monthly"]
    shop.change_plan("solo", prices={"monthly": 1900, "yearly": 14400})

    with shop.app.app_context():
        variables = provisioning.set_up()

    new, kept = variables["STRIPE_SOLO_MONTHLY_PRICE_ID"].split(",")
    assert kept == old
    price = stripe_account.client(shop).v1.prices.retrieve(new)
    assert (price.unit_amount, price.lookup_key) == (1900, "solo_monthly")


# --- the command --------------------------------------------------------------------------------


def run(app: Flask, *args: str, **options: Any) -> Result:
    return app.test_cli_runner().invoke(args=["billing", "setup", *args], **options)


def new_account(make_app: Callable[..., Flask], **changes: str) -> Flask:
    key = f"sk_test_{secrets.token_hex(16)}"
    return make_app(**{"SANDBOX_STRIPE_API_KEY": key, **changes})


def env_lines(text: str) -> dict[str, str]:
    pairs = [line.partition("=") for line in text.splitlines() if "=" in line]
    return {name: value for name, _, value in pairs}


def verbs(result: Result) -> set[str]:
    return {line.split()[0] for line in result.stderr.splitlines() if line.startswith("  ")}


def test_a_new_account_is_set_up_and_a_second_run_changes_nothing(
    make_app: Callable[..., Flask],
) -> None:
    app = new_account(make_app)

    dry = run(app, "--dry-run")
    assert dry.stdout == ""
    assert verbs(dry) == {"create"}
    assert "price solo_yearly, 144.00 eur a year" in dry.stderr

    first = run(app)
    assert first.exit_code == 0, first.output
    variables = env_lines(first.stdout)
    assert len(variables) == len(catalogue.price_variables) + 2  # portal and webhook secret
    assert variables["SANDBOX_STRIPE_WEBHOOK_SECRET"].startswith("whsec_")

    again = make_app(SANDBOX_STRIPE_API_KEY=app.config["STRIPE_API_KEY"], **variables)
    second = run(again)
    assert verbs(second) == {"keep"}
    kept = {name: value for name, value in variables.items() if "WEBHOOK" not in name}
    assert env_lines(second.stdout) == kept


def test_the_variables_are_added_to_an_existing_file(
    make_app: Callable[..., Flask], tmp_path: Path
) -> None:
    file = tmp_path / "some" / ".env"
    file.parent.mkdir()
    file.write_text("# mine\nAPP_NAME=Shop\nSANDBOX_STRIPE_WEBHOOK_SECRET=whsec_old\n")

    result = run(new_account(make_app), "--write", str(file))

    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    written = file.read_text()
    assert written.startswith("# mine\nAPP_NAME=Shop\n")
    assert "\nSANDBOX_STRIPE_SOLO_MONTHLY_PRICE_ID=price_" in written
    assert "whsec_old" not in written
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_secret_is_not_lost_when_the_file_cannot_be_written(
    make_app: Callable[..., Flask], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")

    result = run(new_account(make_app), "--write", str(tmp_path / "file" / ".env"))

    assert result.exit_code == 1
    assert "could not be written" in result.stderr
    assert env_lines(result.stdout)["SANDBOX_STRIPE_WEBHOOK_SECRET"].startswith("whsec_")


def test_objects_created_by_hand_are_adopted(make_app: Callable[..., Flask]) -> None:
    bare = new_account(make_app)
    key, sandbox = bare.config["STRIPE_API_KEY"], bare.config["STRIPE_API_BASE"]
    at_stripe = stripe.StripeClient(key, base_addresses={"api": sandbox}).v1
    product = at_stripe.products.create({"name": "Made by hand"}).id
    by_hand = at_stripe.prices.create(
        {
            "product": product, "currency": "eur", "unit_amount": 1500,
            "recurring": {"interval": "month"},
        }
    ).id  # fmt: skip
    app = make_app(SANDBOX_STRIPE_API_KEY=key, SANDBOX_STRIPE_SOLO_MONTHLY_PRICE_ID=by_hand)

    result = run(app)

    assert env_lines(result.stdout)["SANDBOX_STRIPE_SOLO_MONTHLY_PRICE_ID"] == by_hand
    assert f"update  price solo_monthly, 15.00 eur a month ({by_hand})" in result.stderr
    assert at_stripe.prices.retrieve(by_hand).lookup_key == "solo_monthly"
    assert len(at_stripe.prices.list().data) == len(catalogue.price_variables)


def test_an_endpoint_of_another_version_is_replaced_without_a_gap(shop: Shop) -> None:
    endpoints = stripe_account.client(shop).v1.webhook_endpoints
    old, known = endpoints.list().data[0], shop.app.config["STRIPE_WEBHOOK_SECRET"]
    endpoints.delete(old.id)
    old = endpoints.create({"url": old.url, "enabled_events": ["*"], "api_version": "2024-04-10"})

    first = run(shop.app)

    new, kept = env_lines(first.stdout)["SANDBOX_STRIPE_WEBHOOK_SECRET"].split(",")
    assert kept == known
    assert new != known
    assert len(endpoints.list().data) == 2  # both endpoints deliver until the new secret is in use

    second = run(shop.app)

    assert f"remove  webhook endpoint {old.id} (API 2024-04-10)" in second.stderr
    (left,) = endpoints.list().data
    assert left.api_version == "2026-10-28.endive"


def test_setup_of_a_live_account_requires_confirmation(make_app: Callable[..., Flask]) -> None:
    app = new_account(make_app, SANDBOX_STRIPE_API_KEY=f"sk_test_{secrets.token_hex(8)}_live_x")

    refused = run(app, input="n\n")
    assert refused.exit_code == 1
    assert "This is a live account. Continue?" in refused.stderr
    assert verbs(run(app, "--dry-run")) == {"create"}

    assert env_lines(run(app, "--yes").stdout)["SANDBOX_STRIPE_WEBHOOK_SECRET"]


def test_without_a_key_setup_says_where_to_get_one(app: Flask) -> None:
    result = run(app)

    assert result.exit_code == 1
    assert "STRIPE_API_KEY is not set. Set a key from https://dashboard.stripe.com/apikeys" in (
        result.stderr
    )


def test_no_endpoint_is_created_for_a_local_url(make_app: Callable[..., Flask]) -> None:
    app = new_account(make_app)
    app.config["STRIPE_IS_SANDBOX"] = False  # as with a real test key

    result = run(app)

    assert "skip    webhook endpoint: Stripe cannot reach http://localhost:5000" in result.stderr
    assert "STRIPE_WEBHOOK_SECRET" not in result.stdout
    assert env_lines(result.stdout)["STRIPE_SOLO_MONTHLY_PRICE_ID"].startswith("price_")


def test_with_a_key_alone_the_application_starts_and_setup_can_run() -> None:
    value = settings(STRIPE_API_KEY="sk_test_abc")

    assert value["STRIPE_PRICES"] == {}
    assert value["STRIPE_API_BASE"] == "https://api.stripe.com"


def test_returning_to_an_older_price_reuses_it(shop: Shop) -> None:
    old = shop.price["solo", "monthly"]
    with shop.app.app_context():
        shop.change_plan("solo", prices={"monthly": 1900, "yearly": 14400})
        raised = provisioning.set_up()["STRIPE_SOLO_MONTHLY_PRICE_ID"].split(",")
        prices = {**shop.app.config["STRIPE_PRICES"], ("solo", "monthly"): tuple(raised)}
        shop.app.config["STRIPE_PRICES"] = prices
        shop.change_plan("solo", prices={"monthly": 1500, "yearly": 14400})

        back = provisioning.set_up()["STRIPE_SOLO_MONTHLY_PRICE_ID"]

    assert back == f"{old},{raised[0]}"

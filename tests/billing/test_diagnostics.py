"""`flask billing doctor` names the problems of a Stripe set-up and their fixes."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from datetime import timedelta
from email.utils import formatdate
from pathlib import Path
from typing import Any

import time_machine
from click.testing import Result
from flask import Flask
from saas_sandbox import create_sandbox

from saas.config import ROOT
from saas.database import now
from tests.harness import stripe_account
from tests.harness.commands import flask
from tests.harness.servers import QuietRequestHandler, free_port, serving
from tests.harness.shop import Shop, open_shop
from tests.harness.stripe_proxy import ProxiedShop, refusing
from tests.harness.waiting import eventually


def doctor(app: Flask) -> Result:
    return app.test_cli_runner().invoke(args=["billing", "doctor"])


def problems(app: Flask) -> dict[str, str]:
    """Return the problems and their fixes."""
    result = app.test_cli_runner().invoke(args=["billing", "doctor", "--json"])
    entries = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == int(any(item["problem"] for item in entries)), result.output
    return {item["message"]: item["fix"] for item in entries if item["problem"]}


def only(app: Flask) -> tuple[str, str]:
    result = problems(app)
    assert len(result) == 1, result
    return next(iter(result.items()))


def endpoint(shop: Shop) -> str:
    return stripe_account.client(shop).v1.webhook_endpoints.list().data[0].id


def test_a_correct_set_up_has_no_problems(shop: Shop) -> None:
    stripe_account.subscriber(shop, "ann@example.com")
    eventually(lambda: "All of Stripe's last" in doctor(shop.app).output)

    result = doctor(shop.app)

    assert result.exit_code == 0
    assert "PROBLEM" not in result.output
    assert f"Stripe answers at {shop.sandbox}/stripe, in test mode" in result.output


def test_before_the_first_event_the_secret_is_reported_as_unverified(shop: Shop) -> None:
    result = doctor(shop.app)

    assert result.exit_code == 0
    assert "No events yet, so the webhook secret is untested." in result.output


def test_a_missing_and_a_wrong_key_are_reported(app: Flask, shop: Shop) -> None:
    assert only(app) == ("STRIPE_API_KEY is not set.", "flask seed")

    shop.app.config["STRIPE_API_KEY"] = "sk_test_short"
    shop.app.extensions.get("stripe", {}).clear()
    message, fix = only(shop.app)
    assert (
        "refuses STRIPE_API_KEY (AuthenticationError 401: Invalid API Key provided: sk_" in message
    )
    assert "sk_test_short" not in message
    assert "dashboard.stripe.com/apikeys" in fix


def test_an_unreachable_stripe_is_reported(shop: Shop) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    shop.app.config["STRIPE_API_BASE"] = away
    shop.app.extensions.get("stripe", {}).clear()

    message, fix = only(shop.app)

    assert message.startswith(f"Stripe cannot be reached at {away}")
    assert f"curl -I {away}" in fix


def test_a_product_id_instead_of_a_price_id_is_reported(tmp_path: Path) -> None:
    result = flask(
        "billing", "doctor", DATABASE_URL=f"sqlite:///{tmp_path}/a.db",
        STRIPE_API_KEY="sk_test_0123456789abcdef", STRIPE_SOLO_MONTHLY_PRICE_ID="prod_hidden",
    )  # fmt: skip

    assert result.returncode == 1
    assert (
        "STRIPE_SOLO_MONTHLY_PRICE_ID: must start with price_. This is the id of a product"
        in result.stderr
    )
    assert "hidden" not in result.stderr
    assert ROOT.name not in result.stderr  # no traceback


def test_a_missing_price_and_a_different_amount_are_reported(shop: Shop) -> None:
    prices = dict(shop.app.config["STRIPE_PRICES"])
    monthly, yearly = prices["solo", "monthly"][0], prices["solo", "yearly"][0]
    shop.app.config["STRIPE_PRICES"] = {**prices, ("solo", "monthly"): ("price_unheard_of",)}
    result = problems(shop.app)
    name = "STRIPE_SOLO_MONTHLY_PRICE_ID"
    assert result[f"{name}: the Stripe account has no price price_unheard_of."] == (
        "flask billing setup"
    )

    shop.app.config["STRIPE_PRICES"] = {**prices, ("solo", "monthly"): (yearly,)}
    assert f"{name}: {yearly} is not charged every month." in problems(shop.app)

    business = prices["team", "monthly"][0]
    shop.app.config["STRIPE_PRICES"] = {**prices, ("solo", "monthly"): (business,)}
    assert f"{name}: {business} costs 30.00 eur, but the pricing page shows 15.00 eur." in problems(
        shop.app
    )

    shop.app.config["STRIPE_PRICES"] = {**prices, ("solo", "monthly"): ()}
    assert f"{name} is missing, so its plan cannot be bought." in problems(shop.app)

    shop.app.config["STRIPE_PRICES"] = prices
    stripe_account.client(shop).v1.prices.update(monthly, {"active": False})
    assert f"{name}: {monthly} is archived in Stripe and cannot be bought." in problems(shop.app)


def test_subscribers_of_an_unknown_price_are_reported(shop: Shop) -> None:
    stripe_account.subscriber(shop, "ann@example.com")
    prices = shop.app.config["STRIPE_PRICES"]
    old = prices["solo", "monthly"][0]
    price = stripe_account.client(shop).v1.prices.create(
        {
            "product": stripe_account.client(shop).v1.prices.retrieve(old).product,  # type: ignore[typeddict-item]
            "currency": "eur", "unit_amount": 1500, "recurring": {"interval": "month"},
        }
    )  # fmt: skip
    shop.app.config["STRIPE_PRICES"] = {**prices, ("solo", "monthly"): (price.id,)}

    message = f"1 subscribed to {old}, which is not configured: they get the free plan."

    assert problems(shop.app)[message].endswith(f",{old}")


def test_a_missing_wrong_or_disabled_endpoint_is_reported(shop: Shop) -> None:
    at_stripe = stripe_account.client(shop).v1
    at_stripe.webhook_endpoints.update(endpoint(shop), {"disabled": True})
    assert only(shop.app)[0] == f"{endpoint(shop)} is disabled in Stripe."

    at_stripe.webhook_endpoints.update(
        endpoint(shop), {"disabled": False, "enabled_events": ["invoice.paid"]}
    )
    message, fix = only(shop.app)
    assert message.startswith(f"{endpoint(shop)} does not send charge.dispute.")
    assert fix == "flask billing setup"

    elsewhere = "https://old.example.com/api/webhooks/stripe"
    at_stripe.webhook_endpoints.update(endpoint(shop), {"url": elsewhere, "enabled_events": ["*"]})
    message, fix = only(shop.app)
    assert message.endswith(f"there is one for {elsewhere}.")
    assert fix == "Run flask billing setup, or correct APP_URL."

    at_stripe.webhook_endpoints.delete(endpoint(shop))
    message = f"Stripe has no webhook endpoint for {shop.url}/api/webhooks/stripe."
    assert only(shop.app) == (message, "flask billing setup")


def test_an_endpoint_of_another_api_version_is_reported(shop: Shop) -> None:
    at_stripe = stripe_account.client(shop).v1
    at_stripe.webhook_endpoints.create(
        {
            "url": f"{shop.url}/api/webhooks/stripe",
            "enabled_events": ["*"],
            "api_version": "2024-04-10",
        }
    )

    result = problems(shop.app)

    assert any("uses API version 2024-04-10" in message for message in result)
    assert any("2 endpoints deliver to" in message for message in result)


def test_a_secret_of_another_endpoint_is_reported(shop: Shop) -> None:
    at_stripe = stripe_account.client(shop).v1
    url = f"{shop.url}/api/webhooks/stripe"
    at_stripe.webhook_endpoints.delete(endpoint(shop))
    shop_version = "2026-10-28.endive"
    with shop.app.app_context():
        from saas.billing import events

        at_stripe.webhook_endpoints.create(
            {"url": url, "enabled_events": list(events.HANDLED_TYPES), "api_version": shop_version}  # type: ignore[typeddict-item]
        )
    stripe_account.subscriber(shop, "ann@example.com")

    with time_machine.travel(now() + timedelta(minutes=5)):
        message, fix = only(shop.app)

    assert "either the endpoint in Stripe has another secret" in message
    assert "flask billing setup" in fix


def test_missed_events_are_reported(shop: Shop) -> None:
    at_stripe = stripe_account.client(shop).v1
    at_stripe.webhook_endpoints.update(endpoint(shop), {"disabled": True})
    with time_machine.travel(now() + timedelta(seconds=2), tick=True):
        stripe_account.subscriber(shop, "ann@example.com")
    at_stripe.webhook_endpoints.update(endpoint(shop), {"disabled": False})
    with time_machine.travel(now() + timedelta(seconds=10), tick=True):
        stripe_account.subscriber(shop, "ben@example.com", synced=False)
        eventually(lambda: shop.user("ben@example.com").stripe_subscription_status)

    with time_machine.travel(now() + timedelta(minutes=5)):
        message, fix = only(shop.app)

    assert "events never arrived, or could not be applied." in message
    assert fix == "flask billing catch-up"


def test_an_application_with_another_secret_or_not_running_is_reported(
    make_app: Callable[..., Flask], shop: Shop
) -> None:
    prices = {
        f"SANDBOX_STRIPE_{plan.upper()}_{interval.upper()}_PRICE_ID": price
        for (plan, interval), price in shop.price.items()
    }
    portals = stripe_account.client(shop).v1.billing_portal.configurations.list(
        {"is_default": False}
    )
    env = {
        **prices, "SANDBOX_STRIPE_API_KEY": shop.key, "APP_URL": shop.url,
        "SANDBOX_STRIPE_PORTAL_CONFIGURATION_ID": portals.data[0].id,
        "SANDBOX_STRIPE_WEBHOOK_SECRET": "whsec_of_another_installation",
    }  # fmt: skip
    message, fix = only(make_app(**env))
    assert "uses a different STRIPE_WEBHOOK_SECRET than this command" in message
    assert fix == "Restart it with this configuration."

    away = f"http://localhost:{free_port()}"
    stripe_account.client(shop).v1.webhook_endpoints.update(
        endpoint(shop), {"url": f"{away}/api/webhooks/stripe"}
    )
    message, fix = only(make_app(**{**env, "APP_URL": away}))
    assert message == f"Nothing accepts webhooks at {away}/api/webhooks/stripe."


def test_a_portal_without_plan_changes_is_reported(shop: Shop) -> None:
    configurations = stripe_account.client(shop).v1.billing_portal.configurations
    ours = configurations.list({"is_default": False}).data[0].id
    configurations.update(ours, {"features": {"subscription_update": {"enabled": False}}})
    assert only(shop.app)[0] == f"The portal {ours} does not allow plan changes."

    shop.app.config["STRIPE_PORTAL_CONFIGURATION_ID"] = ""
    assert only(shop.app)[0].startswith("The portal bpc_")

    shop.app.config["STRIPE_PORTAL_CONFIGURATION_ID"] = "bpc_unheard_of"
    assert "bpc_unheard_of is missing or inactive" in only(shop.app)[0]


def test_tax_that_is_enabled_here_and_disabled_at_stripe_is_reported(shop: Shop) -> None:
    shop.app.config["STRIPE_AUTOMATIC_TAX"] = True
    message, fix = only(shop.app)
    assert "Stripe Tax is not active: checkouts fail. Missing: head_office." in message
    assert "STRIPE_AUTOMATIC_TAX=false" in fix

    address: Any = {"country": "DE", "line1": "Weg 1", "city": "Ulm", "postal_code": "89073"}
    stripe_account.client(shop).v1.tax.settings.update({"head_office": {"address": address}})
    assert problems(shop.app) == {}


class ClockAhead(QuietRequestHandler):
    """A request handler whose Date header is `seconds` ahead."""

    seconds = 0

    def date_time_string(self, timestamp: float | None = None) -> str:
        return formatdate(now().timestamp() + self.seconds, usegmt=True)


def test_a_wrong_clock_is_reported(make_app: Callable[..., Flask]) -> None:
    sandbox_app = create_sandbox()
    with serving(sandbox_app, request_handler=ClockAhead) as url:
        for shop in open_shop(make_app, url, SANDBOX_URL=url):
            ClockAhead.seconds = 400
            message, fix = only(shop.app)
            assert "s behind Stripe's: beyond 300 s, every webhook is refused." in message
            assert fix == "timedatectl set-ntp true"

            ClockAhead.seconds = 20
            assert problems(shop.app) == {}
    sandbox_app.extensions["sandbox"].close()


def test_a_price_of_the_other_mode_is_reported(proxied_shop: ProxiedShop) -> None:
    proxy, price = proxied_shop.proxy, proxied_shop.price["solo", "yearly"]
    refused = (
        f"No such price: '{price}'; a similar object exists in live mode, but a test mode key was "
        "used to make this request."
    )
    call = f"GET /v1/prices/{price}"

    with proxy.answering(refusing(proxy, call, 404, code="resource_missing", message=refused)):
        message, fix = only(proxied_shop.app)

    assert message == (
        f"STRIPE_SOLO_YEARLY_PRICE_ID: {price} is a live-mode price, but the key is a test key."
    )
    assert fix == "flask billing setup"


def test_a_restricted_key_without_read_permissions_is_reported(proxied_shop: ProxiedShop) -> None:
    proxy = proxied_shop.proxy
    refused = "Having the 'rak_webhook_read' permission would allow this request to continue"

    with proxy.answering(refusing(proxy, "GET /v1/webhook_endpoints", 403, message=refused)):
        message, fix = only(proxied_shop.app)

    assert message == f"STRIPE_API_KEY lacks a permission (PermissionError 403: {refused})."
    assert fix.startswith("Give the restricted key this permission")


def test_a_key_mode_that_does_not_match_the_environment_is_reported(
    make_app: Callable[..., Flask], shop: Shop
) -> None:
    shop.app.config["SAAS_ENV"] = "production"
    assert only(shop.app)[0] == "Production uses a test key, so no real payments are possible."

    live = make_app(SANDBOX_STRIPE_API_KEY=f"sk_test_{secrets.token_hex(8)}_live_x")
    assert "A live key is used outside of production, so tests cost real money." in problems(live)

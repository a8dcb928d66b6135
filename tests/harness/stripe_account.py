"""Stripe's side of a test: the official SDK with the shop's key, and events signed as real ones."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import requests
import stripe

from saas.auth import accounts
from saas.auth.models import User
from saas.billing import customers, subscriptions
from tests.harness.shop import Shop
from tests.harness.waiting import eventually

stripe.enable_telemetry = False

CARD = {"number": "4242 4242 4242 4242", "expiry": "12 / 34", "cvc": "123"}  # can be charged


def client(shop: Shop) -> stripe.StripeClient:
    return stripe.StripeClient(shop.key, base_addresses={"api": f"{shop.sandbox}/stripe"})


def remove_endpoints(shop: Shop) -> None:
    """Delete the webhook endpoints, so that only events sent by the test arrive."""
    endpoints = client(shop).v1.webhook_endpoints
    for endpoint in endpoints.list().data:
        endpoints.delete(endpoint.id)


def subscriber(
    shop: Shop,
    email: str,
    plan: str = "",
    interval: str = "",
    *,
    synced: bool = True,
    trial_days: int = 0,
) -> tuple[User, str]:
    """Create a user with a subscription at Stripe; return the user and the subscription's id.

    By default the lowest plan, monthly unless it is sold otherwise.
    """
    plan = plan or shop.lowest_plan
    interval = interval or next(sold for id, sold in shop.price if id == plan)
    with shop.app.app_context():
        user = accounts.get_or_create(email)
        customer = customers.ensure_customer(user)
        at_stripe = client(shop).v1
        card = at_stripe.payment_methods.attach("pm_card_visa", {"customer": customer})
        at_stripe.customers.update(
            customer, {"invoice_settings": {"default_payment_method": card.id}}
        )
        subscription = at_stripe.subscriptions.create(
            {
                "customer": customer,
                "items": [{"price": shop.price[plan, interval]}],
                "metadata": customers.metadata_for(user),
                "trial_period_days": trial_days,
            }
        )
        if synced:
            subscriptions.sync(user.id, cause="test")
        return accounts.get_by_email(email), subscription.id


def subscribe(shop: Shop, customer: str, metadata: dict[str, str]) -> str:
    """Subscribe a customer to the lowest plan with this metadata; return the subscription's id."""
    at_stripe = client(shop).v1
    card = at_stripe.payment_methods.attach("pm_card_visa", {"customer": customer}).id
    params: Any = {
        "customer": customer,
        "items": [{"price": shop.price[shop.lowest_plan, "monthly"]}],
        "default_payment_method": card,
        "metadata": metadata,
    }
    return at_stripe.subscriptions.create(params).id


def refunds_of(shop: Shop, customer: str) -> list[str]:
    """Return the ids of this customer's refunds. Stripe lists refunds by charge only."""
    at_stripe = client(shop).v1
    return [
        refund.id
        for charge in at_stripe.charges.list({"customer": customer}).auto_paging_iter()
        for refund in at_stripe.refunds.list({"charge": charge.id}).auto_paging_iter()
    ]


def advance(shop: Shop, customer: str | None, step: str = "renewal", count: int = 1) -> None:
    """Advance the clock of a customer, after waiting for the previous advance to finish."""

    def begins() -> bool:
        response = requests.post(
            f"{shop.sandbox}/stripe/control/advance",
            json={"customer": customer, "step": step, "count": count},
            headers={"Authorization": f"Bearer {shop.key}"},
            timeout=30,
        )
        assert response.ok or "test_clock_advancing" in response.text, response.text
        return response.ok

    eventually(begins, seconds=30)


def send_event(
    shop: Shop, kind: str, subject: dict[str, Any], *, id: str = "evt_by_hand", url: str = ""
) -> requests.Response:
    """POST an event to the shop's webhook, signed with the shop's secret."""
    payload, headers = signed_event(shop, kind, subject, id=id)
    return requests.post(
        f"{url or shop.url}/api/webhooks/stripe", data=payload, headers=headers, timeout=30
    )


def subscription_event(shop: Shop, user: User, subscription: str) -> tuple[str, dict[str, str]]:
    """Return body and headers of a new event about a user's subscription."""
    subject = {"id": subscription, "object": "subscription", "customer": user.stripe_customer_id}
    kind, event_id = "customer.subscription.updated", f"evt_{uuid.uuid4().hex}"
    return signed_event(shop, kind, subject, id=event_id)


def signed_event(
    shop: Shop, kind: str, subject: dict[str, Any], *, id: str,
    previous_attributes: dict[str, Any] | None = None,
) -> tuple[str, dict[str, str]]:  # fmt: skip
    """Return the body and the headers of an event, as Stripe would send it."""
    body: dict[str, Any] = {
        "id": id, "object": "event", "type": kind, "created": int(time.time()),
        "livemode": False, "api_version": stripe.api_version, "data": {"object": subject},
    }  # fmt: skip
    if previous_attributes is not None:
        body["data"]["previous_attributes"] = previous_attributes
    payload = json.dumps(body)
    secret = shop.app.config["STRIPE_WEBHOOK_SECRETS"][0]
    signature = stripe.WebhookSignature.generate_signature_header(payload, secret)
    return payload, {"Stripe-Signature": signature}


def use_card(shop: Shop, customer: str | None, kind: str) -> None:
    at_stripe = client(shop).v1
    card = at_stripe.payment_methods.attach(kind, {"customer": str(customer)})
    at_stripe.customers.update(
        str(customer), {"invoice_settings": {"default_payment_method": card.id}}
    )


def sync(shop: Shop, user: Any) -> None:
    with shop.app.app_context():
        subscriptions.sync(user.id, cause="test")


def stripe_settings(shop: Shop) -> dict[str, str]:
    return {
        "SANDBOX_STRIPE_API_KEY": shop.key,
        **{
            f"SANDBOX_STRIPE_{plan.upper()}_{interval.upper()}_PRICE_ID": price
            for (plan, interval), price in shop.price.items()
        },
    }

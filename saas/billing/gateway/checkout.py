"""Stripe's hosted pages: Checkout and the customer portal."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import current_app

from saas import products
from saas.billing.gateway import reading
from saas.billing.gateway.client import (
    InvalidRequest,
    call,
    call_for_customer,
    call_unless_missing,
    require_id,
)
from saas.plans import Trial

if TYPE_CHECKING:
    import stripe

# Tax depends on the location, so the page asks for it and stores it on the customer:
# https://docs.stripe.com/tax/checkout#existing-customers
_COLLECTED_FOR_TAX: dict[str, Any] = {
    "automatic_tax": {"enabled": True},
    "billing_address_collection": "required",
    "tax_id_collection": {"enabled": True},
    "customer_update": {"address": "auto", "name": "auto"},
}

_FOR_TAX_WITHOUT_CUSTOMER = ("automatic_tax", "billing_address_collection", "tax_id_collection")

log = logging.getLogger("saas.billing")


@dataclass(frozen=True)
class CheckoutSession:
    """A hosted checkout page."""

    id: str
    url: str
    is_open: bool = True
    is_complete: bool = False
    nonce: str | None = None


def list_checkout_sessions(customer_id: str) -> list[CheckoutSession]:
    """Return the last hundred checkout pages, newest first, including every open one.

    A page is open for 24 hours (https://docs.stripe.com/api/checkout/sessions/object, expires_at),
    and opening one expires the others. Our clock does not matter.
    """

    def fetch(client: stripe.StripeClient) -> list[CheckoutSession]:
        page = client.v1.checkout.sessions.list({"customer": require_id(customer_id), "limit": 100})
        return [_read_session(session) for session in reading.entries(page)]

    return call_for_customer(fetch)


def _read_session(session: Any) -> CheckoutSession:
    """Read a page; an expired one has no URL."""
    status = reading.optional_text(session, "status")
    url = reading.text(session, "url") if status == "open" else ""
    return CheckoutSession(
        id=reading.text(session, "id"),
        url=url,
        is_open=status == "open",
        is_complete=status == "complete",
        nonce=reading.metadata(session).get("nonce"),
    )


def expire_checkout_session(session_id: str) -> None:
    """Expire a checkout page; one that was paid or has expired stays unchanged."""
    try:
        call_unless_missing(
            lambda client: client.v1.checkout.sessions.expire(require_id(session_id))
        )
    except InvalidRequest as error:
        log.info("checkout %s could not be expired: %s", session_id, error)


def create_checkout_session(
    *,
    customer_id: str,
    price_id: str,
    metadata: Mapping[str, str],
    key: str,
    success_url: str,
    cancel_url: str,
    trial: Trial | None = None,
    is_one_time: bool = False,
) -> CheckoutSession:
    """Create a hosted page that sells one subscription, after a trial, or one purchase."""
    named = {name: metadata[name] for name in ("installation", "user")}
    params: Any = {
        "mode": "payment" if is_one_time else "subscription",
        "customer": customer_id,
        "client_reference_id": metadata["user"],
        "line_items": [{"price": price_id, "quantity": 1}],
        "metadata": dict(metadata),
        "payment_intent_data" if is_one_time else "subscription_data": {"metadata": named},
        "allow_promotion_codes": True,
        "success_url": success_url,
        "cancel_url": cancel_url,
    }
    if trial:
        params["subscription_data"]["trial_period_days"] = trial.days
    if trial and not trial.card_required:
        # https://docs.stripe.com/payments/checkout/free-trials#free-trials-without-collecting-a-payment-method
        params["payment_method_collection"] = "if_required"
        end_behavior = {"missing_payment_method": trial.missing_payment_method}
        params["subscription_data"]["trial_settings"] = {"end_behavior": end_behavior}
    if current_app.config["STRIPE_AUTOMATIC_TAX"]:
        params |= _COLLECTED_FOR_TAX
    params |= _merchant_of_record()
    return call(
        lambda client: _read_session(
            client.v1.checkout.sessions.create(params, {"idempotency_key": key})
        )
    )


def try_checkout(price_id: str, url: str, *, is_one_time: bool = False) -> str:
    """Create a checkout page, expire it again, and return its URL.

    This needs no customer. It shows whether Stripe can sell, and the domain of its pages.
    """
    params: Any = {
        "mode": "payment" if is_one_time else "subscription",
        "line_items": [{"price": price_id, "quantity": 1}],
        "success_url": url,
        "cancel_url": url,
    }
    if current_app.config["STRIPE_AUTOMATIC_TAX"]:
        params |= {name: _COLLECTED_FOR_TAX[name] for name in _FOR_TAX_WITHOUT_CUSTOMER}
    params |= _merchant_of_record()
    page = call(lambda client: _read_session(client.v1.checkout.sessions.create(params)))
    expire_checkout_session(page.id)
    return page.url


def _merchant_of_record() -> dict[str, Any]:
    """https://docs.stripe.com/payments/managed-payments/update-checkout"""
    is_managed = current_app.config["STRIPE_MANAGED_PAYMENTS"]
    return {"managed_payments": {"enabled": True}} if is_managed else {}


def create_portal_session(
    customer_id: str,
    *,
    return_url: str,
    change: tuple[str, str] | None = None,
    asks_for_card: bool = False,
) -> str:
    """Return the URL of the customer portal.

    With `change`, a subscription and a price, the portal opens at that change; with `asks_for_card`
    at the page for a new payment method.
    """
    params: Any = {"customer": require_id(customer_id), "return_url": return_url}
    if configuration := current_app.config["STRIPE_PORTAL_CONFIGURATION_ID"]:
        params["configuration"] = configuration

    def create(client: stripe.StripeClient) -> str:
        if asks_for_card:
            params["flow_data"] = {
                "type": "payment_method_update",
                "after_completion": {"type": "redirect", "redirect": {"return_url": return_url}},
            }
        if change and (flow := _change_flow(client, *change, return_url)):
            params["flow_data"] = flow
        return reading.text(client.v1.billing_portal.sessions.create(params), "url")

    return call(create)


def _change_flow(client: stripe.StripeClient, subscription_id: str, price_id: str, url: str) -> Any:
    """Return the flow that changes the only item, in its current quantity.

    Returns None if the portal cannot change the subscription: it has several items, or none of
    ours.
    """
    subscription = client.v1.subscriptions.retrieve(require_id(subscription_id))
    items = reading.entries(subscription, "items")
    if len(items) != 1 or not products.sold_as(reading.id_of(items[0], "price")):
        return None
    [item] = items
    change: Any = {"id": reading.text(item, "id"), "price": price_id}
    quantity = reading.optional_number(item, "quantity")
    if quantity is not None:  # a metered price has none
        change["quantity"] = quantity
    return {
        "type": "subscription_update_confirm",
        "subscription_update_confirm": {"subscription": subscription_id, "items": [change]},
        "after_completion": {"type": "redirect", "redirect": {"return_url": url}},
    }

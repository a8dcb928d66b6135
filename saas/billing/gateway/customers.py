"""Customers in Stripe."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from saas.billing.gateway import reading
from saas.billing.gateway.client import NotFound, call, call_unless_missing, require_id

if TYPE_CHECKING:
    import stripe


def create_customer(email: str, name: str | None, metadata: Mapping[str, str], key: str) -> str:
    """Create a customer and return its id. The same key and email return the same customer."""
    key = f"{key}:{hashlib.sha256(email.encode()).hexdigest()[:12]}"
    params: Any = {"email": email, "metadata": dict(metadata)}
    if name:
        params["name"] = name
        key = f"{key}:{hashlib.sha256(name.encode()).hexdigest()[:12]}"
    return call(
        lambda client: reading.text(
            client.v1.customers.create(params, {"idempotency_key": key}), "id"
        )
    )


def update_customer_email(customer_id: str, email: str) -> None:
    """Change the email that receipts go to. A deleted customer is ignored."""
    call_unless_missing(
        lambda client: client.v1.customers.update(require_id(customer_id), {"email": email})
    )


def customer_metadata(customer_id: str) -> dict[str, str]:
    """Return the current metadata of a customer; empty if it does not exist."""

    def fetch(client: stripe.StripeClient) -> dict[str, str]:
        return reading.metadata(client.v1.customers.retrieve(require_id(customer_id)))

    try:
        return call(fetch)
    except NotFound:
        return {}


def delete_customer(customer_id: str) -> None:
    """Delete a customer, which cancels its subscriptions and prevents new ones."""
    call_unless_missing(lambda client: client.v1.customers.delete(require_id(customer_id)))


def attach_card(customer_id: str, payment_method: str) -> None:
    """Attach a default card to a customer, such as Stripe's test card `pm_card_visa`."""

    def attach(client: stripe.StripeClient) -> None:
        card = client.v1.payment_methods.attach(payment_method, {"customer": customer_id})
        settings: Any = {"default_payment_method": reading.text(card, "id")}
        client.v1.customers.update(customer_id, {"invoice_settings": settings})

    call(attach)

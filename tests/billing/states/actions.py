"""Actions and queries for the tests of these cases."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import requests
import stripe

from saas.auth import accounts
from saas.auth.models import User
from saas.billing import customers
from saas.database import now
from tests.harness import stripe_account
from tests.harness.live_shop import LiveShop, deliver_event
from tests.harness.waiting import eventually

_numbers = itertools.count(1)


def new_email() -> str:
    return f"case-{next(_numbers)}@example.com"


def new_event() -> str:
    return f"evt_case_{next(_numbers)}"


def at_stripe(shop: LiveShop) -> Any:
    return stripe_account.client(shop).v1


def subscription_of(shop: LiveShop, user: User) -> stripe.Subscription:
    listed = at_stripe(shop).subscriptions.list({"customer": user.stripe_customer_id})
    (result,) = listed.data
    return result  # type: ignore[no-any-return]


def deliver_update(shop: LiveShop, user: User, kind: str = "customer.subscription.updated") -> str:
    """Deliver an event about the user's customer, and return the outcome."""
    subject = {"id": "sub_1", "object": "subscription", "customer": user.stripe_customer_id}
    return outcome(deliver_event(shop, subject, id=new_event(), kind=kind))


def outcome(response: requests.Response | None) -> str:
    assert response is not None
    assert response.status_code == 200, response.text
    return str(response.json()["outcome"])


def plan(shop: LiveShop, user: User) -> str:
    with shop.app.app_context():
        return accounts.get_by_email(user.email).plan.id


def stored(shop: LiveShop, user: User) -> User:
    return shop.user(user.email)


@contextmanager
def stripe_listing(shop: LiveShop, user: User, *bodies: dict[str, Any]) -> Iterator[None]:
    """Let Stripe list these subscriptions for the user."""

    def respond(environ: dict[str, Any], start_response: Any) -> Any:
        asked = parse_qs(environ["QUERY_STRING"]).get("customer", [""])[0]
        if asked != user.stripe_customer_id or "/subscriptions" not in environ["PATH_INFO"]:
            return shop.proxy.app(environ, start_response)
        body = {"object": "list", "data": bodies, "has_more": False, "url": "/v1/subscriptions"}
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(body).encode()]

    with shop.proxy.answering(respond):
        yield


def subscription_body(shop: LiveShop, user: User, **changes: Any) -> dict[str, Any]:
    """Return the user's subscription as Stripe has it, with these changes."""
    subscription: dict[str, Any] = subscription_of(shop, user).to_dict(for_json=True)
    return {**subscription, **changes}


def items(*result: dict[str, Any]) -> dict[str, Any]:
    return {"object": "list", "data": list(result), "has_more": False, "url": "/v1/items"}


def item(shop: LiveShop, user: User, price: str, days: int = 30, **more: Any) -> dict[str, Any]:
    """Return an item like the user's own, with another price and its own period."""
    (own,) = subscription_body(shop, user)["items"]["data"]
    end = int((now() + timedelta(days=days)).timestamp())
    return {
        **own, "price": {**own["price"], "id": price}, "current_period_end": end, **more
    }  # fmt: skip


def subscribe(shop: LiveShop, user: User, price: str, **more: Any) -> str:
    with shop.app.app_context():
        metadata = customers.metadata_for(user)
    subscription = at_stripe(shop).subscriptions.create(
        {
            "customer": user.stripe_customer_id, "items": [{"price": price}], "metadata": metadata,
            **more,
        }
    )  # fmt: skip
    return str(subscription.id)


def pay(shop: LiveShop, user: User, number: str) -> stripe.checkout.Session:
    """Choose Solo, pay on the hosted page, and return the Checkout Session."""
    browser, header = shop.signed_in(user)
    with browser:
        data = {"plan": "solo", "interval": "monthly"}
        headers = {**header, "Origin": shop.url}
        chosen = shop.ask("POST", "/billing/checkout", 0, browser, data=data, headers=headers)
    assert chosen is not None
    page = chosen.headers["Location"]
    card = {**stripe_account.CARD, "number": number}
    requests.post(page, data=card, timeout=30, allow_redirects=False)
    return at_stripe(shop).checkout.sessions.retrieve(page.rsplit("/", 1)[1])  # type: ignore[no-any-return]


def deliver_session_event(shop: LiveShop, session: Any, kind: str) -> requests.Response | None:
    subject = session.to_dict(for_json=True)
    return deliver_event(shop, subject, id=new_event(), kind=kind)


def advance(shop: LiveShop, user: User, step: str) -> None:
    """Advance the customer's test clock, and wait until it is ready."""
    key = {"Authorization": f"Bearer {shop.key}"}
    body = {"customer": user.stripe_customer_id, "step": step}
    control = f"{shop.sandbox}/stripe/control"
    clock = requests.post(f"{control}/advance", json=body, headers=key, timeout=30).json()
    eventually(
        lambda: (
            requests.get(f"{control}/clocks/{clock['id']}", headers=key, timeout=30).json()[
                "status"
            ]
            == "ready"
        )
    )


def use_failing_card(shop: LiveShop, user: User, kind: str = "pm_card_chargeCustomerFail") -> None:
    """Replace the user's card by one whose charges fail."""
    customer = str(user.stripe_customer_id)
    card = at_stripe(shop).payment_methods.attach(kind, {"customer": customer})
    at_stripe(shop).customers.update(
        customer, {"invoice_settings": {"default_payment_method": card.id}}
    )

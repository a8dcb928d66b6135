"""Pages of Stripe's lists, a hundred objects at a time: subscriptions and events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from saas.billing.gateway import reading
from saas.billing.gateway.amounts import with_coupons
from saas.billing.gateway.client import Unreadable, call, require_id
from saas.billing.gateway.signatures import BadEvent, Event, read_event
from saas.billing.gateway.subscriptions import DISCOUNTS, Subscription, read_subscription

if TYPE_CHECKING:
    import stripe

PAGE_SIZE = 100
MAX_EVENT_TYPES = 20  # https://docs.stripe.com/api/events/list: "types: up to 20"


@dataclass(frozen=True)
class ListedSubscription:
    """A subscription and its customer."""

    subscription: Subscription
    customer_id: str
    customer_deleted: bool
    customer_metadata: Mapping[str, str]
    customer_email: str | None = None


@dataclass(frozen=True)
class SubscriptionPage:
    """Up to a hundred subscriptions; `next` is the cursor of the next page, if any."""

    listed: list[ListedSubscription]
    next: str | None


@dataclass(frozen=True)
class EventPage:
    """Up to a hundred events; `next` is the cursor of the next page, if any."""

    events: list[Event]
    next: str | None


def subscription_page(after: str | None = None) -> SubscriptionPage:
    """Return subscriptions, newest first, including ended ones. Raises `NotFound`."""
    params: Any = {"status": "all", "limit": PAGE_SIZE, "expand": ["data.customer", *DISCOUNTS]}
    if after:
        params["starting_after"] = after

    def fetch(client: stripe.StripeClient) -> SubscriptionPage:
        page = client.v1.subscriptions.list(params)
        return SubscriptionPage([_listed(item) for item in reading.entries(page)], _cursor(page))

    listing = call(fetch)
    subscriptions = with_coupons(item.subscription for item in listing.listed)
    listed = [
        replace(item, subscription=subscription)
        for item, subscription in zip(listing.listed, subscriptions, strict=True)
    ]
    return replace(listing, listed=listed)


def event_page(types: Sequence[str], since: datetime, after: str | None = None) -> EventPage:
    """Return events of up to 20 types after a time, newest first; Stripe keeps them for 30 days."""
    params: Any = {
        "types": list(types),
        "created": {"gte": int(since.timestamp())},
        "limit": PAGE_SIZE,
    }
    if after:
        params["starting_after"] = after

    def fetch(client: stripe.StripeClient) -> EventPage:
        page = client.v1.events.list(params)
        return EventPage([_event(item) for item in reading.entries(page)], _cursor(page))

    return call(fetch)


def event(event_id: str) -> Event:
    """Return an event of the last 30 days. Raises `NotFound`."""
    return call(lambda client: _event(client.v1.events.retrieve(require_id(event_id))))


def _listed(subscription: Any) -> ListedSubscription:
    customer = reading.part(subscription, "customer")
    is_expanded = customer is not None and not isinstance(customer, str)
    return ListedSubscription(
        subscription=read_subscription(subscription),
        customer_id=reading.id_of(subscription, "customer")
        or reading.text(subscription, "customer"),
        customer_deleted=reading.is_deleted(customer),
        customer_metadata=reading.metadata(customer) if is_expanded else {},
        customer_email=reading.optional_text(customer, "email") if is_expanded else None,
    )


def _event(stripe_event: Any) -> Event:
    try:
        return read_event(stripe_event.to_dict(for_json=True))
    except BadEvent as error:
        raise Unreadable(f"Stripe's answer could not be read: event: {error}") from None


def _cursor(page: Any) -> str | None:
    listed = reading.entries(page)
    return reading.text(listed[-1], "id") if reading.flag(page, "has_more") and listed else None

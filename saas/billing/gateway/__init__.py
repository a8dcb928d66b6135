"""The one module that speaks to Stripe. Plain values and our own errors cross this wall.

The sandbox is reached in exactly the same way: only the base address differs.
"""

from saas.billing.gateway.calling import (
    Gone,
    KeyRefused,
    NotConfigured,
    Overloaded,
    Refused,
    StripeError,
    Unavailable,
    is_live,
)
from saas.billing.gateway.catalogue import (
    Price,
    create_price,
    ensure_portal_configuration,
    ensure_product,
    ensure_webhook_endpoint,
    move_webhook_endpoints,
    prices_by_lookup_key,
)
from saas.billing.gateway.listing import (
    TYPES_AT_ONCE,
    EventPage,
    Listed,
    SubscriptionPage,
    event,
    event_page,
    subscription_page,
)
from saas.billing.gateway.pacing import PER_SECOND, Pacer, paced
from saas.billing.gateway.pages import (
    Page,
    attach_card,
    create_customer,
    delete_customer,
    expire_checkout,
    metadata_of_customer,
    open_portal,
    recent_checkouts,
    start_checkout,
)
from saas.billing.gateway.signing import BadEvent, BadSignature, Event, verify
from saas.billing.gateway.subscriptions import (
    Subscription,
    cancel,
    end_and_refund,
    subscribe,
    subscriptions_of,
    unpaid_since,
)

__all__ = [
    "PER_SECOND",
    "TYPES_AT_ONCE",
    "BadEvent",
    "BadSignature",
    "Event",
    "EventPage",
    "Gone",
    "KeyRefused",
    "Listed",
    "NotConfigured",
    "Overloaded",
    "Pacer",
    "Page",
    "Price",
    "Refused",
    "StripeError",
    "Subscription",
    "SubscriptionPage",
    "Unavailable",
    "attach_card",
    "cancel",
    "create_customer",
    "create_price",
    "delete_customer",
    "end_and_refund",
    "ensure_portal_configuration",
    "ensure_product",
    "ensure_webhook_endpoint",
    "event",
    "event_page",
    "expire_checkout",
    "is_live",
    "metadata_of_customer",
    "move_webhook_endpoints",
    "open_portal",
    "paced",
    "prices_by_lookup_key",
    "recent_checkouts",
    "start_checkout",
    "subscribe",
    "subscription_page",
    "subscriptions_of",
    "unpaid_since",
    "verify",
]

"""Settings of the customer portal."""

from copy import deepcopy
from typing import Any

import stripe

from saas_sandbox.stripe.engine import ids
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.resource import Resource, get_internal
from saas_sandbox.stripe.engine.shapes import build_object

KIND = "billing_portal.configuration"

FEATURES: dict[str, dict[str, Any]] = {
    "customer_update": {"allowed_updates": [], "enabled": False},
    "invoice_history": {"enabled": False},
    "payment_method_update": {"enabled": False, "payment_method_configuration": None},
    "subscription_cancel": {
        "cancellation_reason": {"enabled": False, "feedback_options": None, "options": []},
        "enabled": False,
        "mode": "at_period_end",
        "proration_behavior": "none",
    },
    "subscription_pause": {
        "duration": {"interval_options": [], "type": "indefinite"},
        "enabled": False,
    },
    "subscription_update": {
        "billing_cycle_anchor": "unchanged",
        "default_allowed_updates": [],
        "enabled": False,
        "proration_behavior": "none",
        "schedule_at_period_end": {"conditions": []},
        "trial_update_behavior": "end_trial",
    },
}


def build_default_configuration(account: Account) -> Resource:
    """Return the default configuration, which in Stripe is saved once in the Dashboard."""
    features = deepcopy(FEATURES)
    return build_configuration(account) | {
        "is_default": True,
        "features": {
            **features,
            "customer_update": {"allowed_updates": ["name", "email"], "enabled": True},
            "invoice_history": {"enabled": True},
            "payment_method_update": {**features["payment_method_update"], "enabled": True},
            "subscription_cancel": {**features["subscription_cancel"], "enabled": True},
        },
    }


def build_configuration(account: Account) -> Resource:
    """Return a configuration with all features disabled."""
    now = account.now()
    return build_object(
        stripe.billing_portal.Configuration,
        id=ids.new(KIND),
        created=now,
        active=True,
        business_profile=dict.fromkeys(("headline", "privacy_policy_url", "terms_of_service_url")),
        features=deepcopy(FEATURES),
        is_default=False,
        login_page={"enabled": False, "url": None},
        metadata={},
        updated=now,
    )


def list_offered_products(configuration: Resource) -> list[dict[str, Any]]:
    """Return the products that customers may change to."""
    products: list[dict[str, Any]] = get_internal(configuration).get("products") or []
    return products

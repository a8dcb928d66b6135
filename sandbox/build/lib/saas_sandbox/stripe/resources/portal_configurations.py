"""What the customer portal offers. https://docs.stripe.com/api/customer_portal/configurations"""

from copy import deepcopy
from typing import Any

import stripe
from stripe.params import billing_portal as shape

from .. import expand, ids, metadata, pages
from ..account import Account
from ..errors import invalid
from ..operations import operation
from ..params import Params, plain
from ..resource import Resource, note_of
from ..shapes import shaped

KIND = "billing_portal.configuration"
URL = "/v1/billing_portal/configurations"

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


@operation("POST", "/billing_portal/configurations", shape.ConfigurationCreateParams)
def create(account: Account, params: Params) -> Resource:
    configuration = _blank(account)
    _apply(account, configuration, params)
    return account.add(configuration, "billing_portal.configuration.created")


@operation("GET", "/billing_portal/configurations/<id>", shape.ConfigurationRetrieveParams)
def retrieve(account: Account, params: Params, id: str) -> Resource:
    return account.get(KIND, id)


@operation("POST", "/billing_portal/configurations/<id>", shape.ConfigurationUpdateParams)
def update(account: Account, params: Params, id: str) -> Resource:
    configuration = account.get(KIND, id)
    _apply(account, configuration, params)
    params.copy_to(configuration, "active")
    configuration["updated"] = account.now()
    return account.change(configuration, "billing_portal.configuration.updated")


@operation("GET", "/billing_portal/configurations", shape.ConfigurationListParams)
def list_all(account: Account, params: Params) -> Resource:
    status = {True: "active", False: "inactive", None: None}[params.get("active")]
    where, values = "1", []
    if "is_default" in params:
        where, values = "json_extract(body, '$.is_default') = ?", [params["is_default"]]
    return pages.page(account, KIND, URL, params, also=(where, values), status=status)


def default_configuration(account: Account) -> Resource:
    """What a Stripe user saves once in the Dashboard. Here it is there from the start."""
    features = deepcopy(FEATURES)
    return _blank(account) | {
        "is_default": True,
        "features": {
            **features,
            "customer_update": {"allowed_updates": ["name", "email"], "enabled": True},
            "invoice_history": {"enabled": True},
            "payment_method_update": {**features["payment_method_update"], "enabled": True},
            "subscription_cancel": {**features["subscription_cancel"], "enabled": True},
        },
    }


def _blank(account: Account) -> Resource:
    now = account.now()
    return shaped(
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


def _apply(account: Account, configuration: Resource, params: Params) -> None:
    params.copy_to(configuration, "default_return_url", "name")
    params.section("business_profile").copy_to(
        configuration["business_profile"], "headline", "privacy_policy_url", "terms_of_service_url"
    )
    params.section("login_page").copy_to(configuration["login_page"], "enabled")
    metadata.merge(configuration, params)
    features = params.section("features")
    for name in features:
        given = plain(features[name])
        _check(account, name, given)
        if "products" in given:
            configuration.setdefault("_", {})["products"] = given.pop("products") or []
        configuration["features"][name] = _overlaid(configuration["features"][name], given)


def _overlaid(old: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """A given value replaces the old one, an empty one unsets it, nested hashes are merged."""
    merged = dict(old)
    for name, value in given.items():
        if isinstance(value, dict) and isinstance(old.get(name), dict):
            merged[name] = _overlaid(old[name], value)
        else:
            merged[name] = [] if value == "" else value
    return merged


def _check(account: Account, name: str, given: dict[str, Any]) -> None:
    """ "The list of up to 10 products that support subscription updates." """
    path = f"features[{name}][products]"
    products = given.get("products") or []
    if len(products) > 10:
        raise invalid("You can offer up to 10 products.", path)
    for number, offer in enumerate(products):
        account.live("product", offer["product"], f"{path}[{number}][product]")
        offer.setdefault("adjustable_quantity", {"enabled": False, "maximum": None, "minimum": 1})
        for price in offer["prices"]:
            _check_price(account, price, offer["product"], f"{path}[{number}][prices]")
        _check_intervals(account, offer, f"{path}[{number}][prices]")


def _check_price(account: Account, id: str, product: str, path: str) -> None:
    price = account.get("price", id, path)
    if price["product"] != product or not price["recurring"]:
        raise invalid(f"The price {id} is not a recurring price of the product {product}.", path)


def _check_intervals(account: Account, offer: dict[str, Any], path: str) -> None:
    """Refuse two prices of one interval: the portal shows one price for each."""
    recurring = [account.get("price", price)["recurring"] for price in offer["prices"]]
    intervals = [(each["interval"], each["interval_count"]) for each in recurring]
    if len(set(intervals)) < len(intervals):
        raise invalid(
            f"The prices of the product {offer['product']} must have unique billing intervals.",
            path,
        )


def _products(account: Account, configuration: Resource) -> list[dict[str, Any]]:
    """What a plan may be changed to: sent only when it is expanded."""
    stored = account.get(KIND, configuration["id"])
    return offered(stored)


def offered(configuration: Resource) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = note_of(configuration).get("products") or []
    return found


expand.INCLUDABLE[KIND, "features.subscription_update.products"] = _products

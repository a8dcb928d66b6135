"""A stored Stripe object: its JSON, and internal notes under "_internal"."""

import json
from typing import Any

Resource = dict[str, Any]


def strip_internal(resource: Resource) -> Resource:
    """Return the object as the API shows it, without internal notes."""
    return {name: value for name, value in resource.items() if name != "_internal"}


def get_internal(resource: Resource) -> dict[str, Any]:
    """Return the internal notes of an object."""
    internal: dict[str, Any] = resource.get("_internal", {})
    return internal


def get_columns(resource: Resource) -> dict[str, Any]:
    """Return the columns that lists filter by."""
    internal = get_internal(resource)
    return {
        "customer": get_customer_id(resource),
        "subscription": get_subscription_id(resource),
        "status": _get_status(resource),
        "price": _get_price_id(resource),
        "parent": internal.get("parent") or _get_parent_id(resource),
        "lookup": internal.get("lookup"),
        "clock": resource.get("test_clock") or internal.get("clock") or "",
        "due": internal.get("due"),
    }


def get_customer_id(resource: Resource) -> str | None:
    if resource["object"] == "customer":
        return str(resource["id"])
    customer = resource.get("customer") or get_internal(resource).get("customer")
    return customer if isinstance(customer, str) else None


def get_subscription_id(resource: Resource) -> str | None:
    if resource["object"] == "subscription":
        return str(resource["id"])
    if resource["object"] == "invoice":
        details = (resource.get("parent") or {}).get("subscription_details") or {}
        subscription_id: str | None = details.get("subscription")
        return subscription_id
    subscription: str | None = resource.get("subscription") or get_internal(resource).get(
        "subscription"
    )
    return subscription


def _get_status(resource: Resource) -> str | None:
    if resource.get("deleted"):
        return "deleted"
    if "active" in resource:
        return "active" if resource["active"] else "inactive"
    status: str | None = resource.get("status") or get_internal(resource).get("status")
    return status


def _get_price_id(resource: Resource) -> str | None:
    if resource["object"] != "subscription":
        return None
    items = resource["items"]["data"]
    return items[0]["price"]["id"] if items else None


def _get_parent_id(resource: Resource) -> str | None:
    names = {"price": "product", "invoice_payment": "invoice", "refund": "charge"}
    return resource.get(names.get(resource["object"], "payment_intent"))


def dump(resource: Resource) -> str:
    return _encoder.encode(resource)


def copy_resource(resource: Resource) -> Resource:
    """Return a deep copy, made through JSON: several times faster than `copy.deepcopy`."""
    copy: Resource = json.loads(dump(resource))
    return copy


_encoder = json.JSONEncoder(separators=(",", ":"))

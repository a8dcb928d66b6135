"""A stored Stripe object: its JSON, and internal notes under "_internal"."""

import json
from typing import Any

Resource = dict[str, Any]


def visible(resource: Resource) -> Resource:
    """Return the object as the API shows it, without internal notes."""
    return {name: value for name, value in resource.items() if name != "_internal"}


def note_of(resource: Resource) -> dict[str, Any]:
    """Return the internal notes of an object."""
    note: dict[str, Any] = resource.get("_internal", {})
    return note


def columns(resource: Resource) -> dict[str, Any]:
    """Return the columns that lists filter by."""
    hidden = note_of(resource)
    return {
        "customer": customer_of(resource),
        "subscription": subscription_of(resource),
        "status": _status(resource),
        "price": _price(resource),
        "parent": hidden.get("parent") or _parent(resource),
        "lookup": hidden.get("lookup"),
        "clock": resource.get("test_clock") or hidden.get("clock") or "",
        "due": hidden.get("due"),
    }


def customer_of(resource: Resource) -> str | None:
    if resource["object"] == "customer":
        return str(resource["id"])
    customer = resource.get("customer") or note_of(resource).get("customer")
    return customer if isinstance(customer, str) else None


def subscription_of(resource: Resource) -> str | None:
    if resource["object"] == "subscription":
        return str(resource["id"])
    if resource["object"] == "invoice":
        details = (resource.get("parent") or {}).get("subscription_details") or {}
        subscription_id: str | None = details.get("subscription")
        return subscription_id
    subscription: str | None = resource.get("subscription") or note_of(resource).get("subscription")
    return subscription


def _status(resource: Resource) -> str | None:
    if resource.get("deleted"):
        return "deleted"
    if "active" in resource:
        return "active" if resource["active"] else "inactive"
    status: str | None = resource.get("status") or note_of(resource).get("status")
    return status


def _price(resource: Resource) -> str | None:
    if resource["object"] != "subscription":
        return None
    items = resource["items"]["data"]
    return items[0]["price"]["id"] if items else None


def _parent(resource: Resource) -> str | None:
    names = {"price": "product", "invoice_payment": "invoice", "refund": "charge"}
    return resource.get(names.get(resource["object"], "payment_intent"))


def dump(resource: Resource) -> str:
    return _encoder.encode(resource)


def copied(resource: Resource) -> Resource:
    """Return a deep copy, by way of JSON, which is several times faster than `copy.deepcopy`."""
    copy: Resource = json.loads(dump(resource))
    return copy


_encoder = json.JSONEncoder(separators=(",", ":"))

"""Events, with the previous values of changed fields. https://docs.stripe.com/api/events"""

import json
from typing import Any

from saas_sandbox.stripe.engine import ids, version
from saas_sandbox.stripe.engine.resource import (
    Resource,
    get_customer_id,
    get_subscription_id,
    strip_internal,
)

API_VERSION = version.API_VERSION


def build_event(
    type: str,
    resource: Resource,
    previous: dict[str, Any] | None,
    created: int,
    listeners: int,
    request: dict[str, str | None],
) -> Resource:
    """Return an event of `type` for the resource."""
    data: dict[str, Any] = {"object": strip_internal(resource)}
    if previous is not None:
        data["previous_attributes"] = previous
    return {
        "id": ids.new("event"),
        "object": "event",
        "api_version": API_VERSION,
        "created": created,
        "data": data,
        "livemode": False,
        "pending_webhooks": listeners,
        "request": request,
        "type": type,
        "_internal": {
            "lookup": type,
            "parent": resource.get("id"),
            "customer": get_customer_id(resource),
            "subscription": get_subscription_id(resource),
        },
    }


def previous_attributes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Return the previous values: the changed keys of a hash, but a whole list."""
    changed = {}
    for name in [*before, *(n for n in after if n not in before)]:
        old, new = before.get(name), after.get(name)
        if old == new or name == "_internal":
            continue
        both = isinstance(old, dict) and isinstance(new, dict)
        changed[name] = previous_attributes(old, new) if both else old  # type: ignore[arg-type]
    return changed


def serialize(event: Resource) -> str:
    """Return the bytes that are signed and sent."""
    return json.dumps(strip_internal(event))

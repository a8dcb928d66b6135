"""Events: what happened, with what it was before, and who is to hear of it.

https://docs.stripe.com/api/events
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from . import chaos, ids, version
from .resource import Resource, customer_of, subscription_of, visible

if TYPE_CHECKING:
    from .account import Account

API_VERSION = version.PLAYED


def emit(
    account: Account, type: str, resource: Resource, previous: dict[str, Any] | None = None
) -> None:
    """Write the event and one delivery for each endpoint that listens, in this unit of work."""
    if account.rehearsing:
        return

    endpoints = [e for e in account.endpoints() if {"*", type} & set(e["enabled_events"])]
    data: dict[str, Any] = {"object": visible(resource)}
    if previous is not None:
        data["previous_attributes"] = previous

    event: Resource = {
        "id": ids.new("event"),
        "object": "event",
        "api_version": API_VERSION,
        "created": account.now(_clock_of(resource)),
        "data": data,
        "livemode": False,
        "pending_webhooks": len(endpoints),
        "request": account.request,
        "type": type,
    }
    about = {
        "lookup": type,
        "parent": resource.get("id"),
        "customer": customer_of(resource),
        "subscription": subscription_of(resource),
    }
    account.add({**event, "_": about})
    for endpoint in endpoints:
        _promise(account, event["id"], endpoint["id"])


def difference(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """The old values of what changed: of hashes only the changed names, of lists the whole."""
    changed = {}
    for name in [*before, *(n for n in after if n not in before)]:
        old, new = before.get(name), after.get(name)
        if old == new or name == "_":
            continue
        both = isinstance(old, dict) and isinstance(new, dict)
        changed[name] = difference(old, new) if both else old  # type: ignore[arg-type]
    return changed


def body(event: Resource) -> str:
    """The bytes that are signed and sent."""
    return json.dumps(visible(event))


def _promise(account: Account, event: str, endpoint: str) -> None:
    """A delivery to be made, or what chaos makes of it."""
    fate = chaos.of_delivery(account)
    state = "pending" if fate.copies else "dropped"
    next_at = account.real_now() + fate.late if fate.copies else None
    for _ in range(max(fate.copies, 1)):
        account.store.execute(
            "INSERT INTO deliveries (account, event, endpoint, state, next_at, story) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            account.id, event, endpoint, state, next_at, fate.story,
        )  # fmt: skip


def _clock_of(resource: Resource) -> str | None:
    clock: str | None = resource.get("test_clock") or resource.get("_", {}).get("clock")
    return clock

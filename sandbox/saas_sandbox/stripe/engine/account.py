"""An account: the objects, settings and time of one API key.

An `Account` exists for one transaction. It returns the same dict for the same object, so that two
parts of a call change the same object.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from saas_sandbox.store import Store
from saas_sandbox.stripe.engine import events
from saas_sandbox.stripe.engine.errors import resource_missing
from saas_sandbox.stripe.engine.resource import Resource, dump, get_columns


@dataclass(frozen=True)
class DeliveryPlan:
    """The delivery of an event to one endpoint: copies, delay in seconds, and the reason."""

    copies: int = 1
    delay: float = 0
    reason: str = ""


class Account:
    """The objects, settings and time of one account."""

    def __init__(
        self,
        store: Store,
        id: str,
        base_url: str,
        settings: dict[str, Any],
        created: int,
        real_now: Callable[[], float],
        plan_delivery: Callable[["Account"], DeliveryPlan],
    ) -> None:
        self.store = store
        self.id = id
        self.base_url = base_url
        self.settings = settings
        self.created = created
        self.request: dict[str, str | None] = {"id": None, "idempotency_key": None}
        self.real_now = real_now
        self.plan_delivery = plan_delivery
        self.events_suppressed = False
        self._loaded: dict[tuple[str, str], Resource] = {}
        self._stored: dict[tuple[str, str], str] = {}
        self._endpoints: list[Resource] | None = None

    # Time

    def now(self, clock: str | None = None) -> int:
        """Return the current time of this test clock, or the real time without one."""
        if not clock:
            return int(self.real_now())
        time: int = self.get("test_helpers.test_clock", clock)["_internal"]["time"]
        return time

    # Objects

    def find(self, kind: str, id: str) -> Resource | None:
        """Return the object or its tombstone, or None."""
        if (kind, id) not in self._loaded:
            row = self.store.fetch_one(
                "SELECT body FROM objects WHERE account = ? AND type = ? AND id = ?",
                self.id, kind, id,
            )  # fmt: skip
            if row is None:
                return None
            self._remember(kind, id, row["body"])
        return self._loaded[kind, id]

    def get(self, kind: str, id: str, param: str = "id") -> Resource:
        resource = self.find(kind, id)
        if resource is None:
            raise resource_missing(kind, id, param)
        return resource

    def get_undeleted(self, kind: str, id: str, param: str = "id") -> Resource:
        """Return the object like `get`, but treat a deleted one as missing."""
        resource = self.get(kind, id, param)
        if resource.get("deleted"):
            raise resource_missing(kind, id, param)
        return resource

    def select(self, kind: str, where: str = "1", *values: object) -> list[Resource]:
        """Return objects of a kind, oldest first."""
        rows = self.store.fetch_all(
            "SELECT id, body FROM objects WHERE account = ? AND type = ? "  # noqa: S608 our own words
            f"AND status IS NOT 'deleted' AND {where} ORDER BY seq",
            self.id, kind, *values,
        )  # fmt: skip
        return [self.load_row(kind, row) for row in rows]

    def load_row(self, kind: str, row: sqlite3.Row) -> Resource:
        """Return the object of a row, or the one already loaded, which may be newer."""
        if (kind, row["id"]) not in self._loaded:
            self._remember(kind, row["id"], row["body"])
        return self._loaded[kind, row["id"]]

    def add(self, resource: Resource, event: str | None = None) -> Resource:
        """Insert a new object, and emit the event if one is named."""
        resource.setdefault("_internal", {})
        kind, id = resource["object"], resource["id"]
        body = dump(resource)
        row = {"account": self.id, "type": kind, "id": id, **get_columns(resource)}
        row |= {"created": resource.get("created") or self.now(), "body": body}
        names, placeholders = ", ".join(row), ", ".join("?" * len(row))
        self.store.execute(
            f"INSERT INTO objects ({names}) VALUES ({placeholders})",  # noqa: S608 our own column names
            *row.values(),
        )
        self._loaded[kind, id] = resource
        self._stored[kind, id] = body
        self._endpoints = None if kind == "webhook_endpoint" else self._endpoints
        if event:
            self.emit(event, resource)
        return resource

    def save(self, resource: Resource, event: str | None = None) -> Resource:
        """Save a changed object and emit an event. "….updated" is only emitted for real changes."""
        before = self._stored[resource["object"], resource["id"]]
        after = dump(resource)
        if after != before:
            self._write(resource, after)
        if event and event.endswith(".updated"):
            previous = (
                events.previous_attributes(json.loads(before), resource) if after != before else {}
            )
            if previous:
                self.emit(event, resource, previous)
        elif event:
            self.emit(event, resource)
        return resource

    def emit(self, type: str, resource: Resource, previous: dict[str, Any] | None = None) -> None:
        """Store the event and a delivery for each matching endpoint, in this transaction."""
        if self.events_suppressed:
            return
        endpoints = [e for e in self.enabled_endpoints() if {"*", type} & set(e["enabled_events"])]
        now = self.now(resource.get("test_clock") or resource.get("_internal", {}).get("clock"))
        event = events.build_event(type, resource, previous, now, len(endpoints), self.request)
        self.add(event)
        for endpoint in endpoints:
            self._add_delivery(event["id"], endpoint["id"])

    def _add_delivery(self, event: str, endpoint: str) -> None:
        plan = self.plan_delivery(self)
        state = "pending" if plan.copies else "dropped"
        next_at = self.real_now() + plan.delay if plan.copies else None
        for _ in range(max(plan.copies, 1)):
            self.store.execute(
                "INSERT INTO deliveries (account, event, endpoint, state, next_at, reason) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                self.id, event, endpoint, state, next_at, plan.reason,
            )  # fmt: skip

    def delete(self, resource: Resource, event: str | None = None) -> Resource:
        """Delete an object: the event contains it, and a tombstone remains."""
        if event:
            self.emit(event, resource)
        kind, id = resource["object"], resource["id"]
        tombstone = {"id": id, "object": kind, "deleted": True, "_internal": {}}
        self._write(tombstone, dump(tombstone))
        self._loaded[kind, id] = tombstone
        return tombstone

    def erase(self, kind: str, id: str) -> None:
        """Remove an object without a tombstone."""
        self.store.execute(
            "DELETE FROM objects WHERE account = ? AND type = ? AND id = ?", self.id, kind, id
        )
        self._loaded.pop((kind, id), None)

    @contextmanager
    def dry_run(self) -> Iterator[None]:
        """Run a block and roll everything back: rows, events and loaded objects."""
        with self.store.dry_run():
            loaded, stored, settings = self._loaded, self._stored, dict(self.settings)
            self._loaded, self._stored, self.events_suppressed = {}, {}, True
            try:
                yield
            finally:
                self._loaded, self._stored, self.events_suppressed = loaded, stored, False
                self.settings = settings

    @contextmanager
    def suppress_events(self) -> Iterator[None]:
        """Emit no events inside this context, to compute changes that do not happen yet."""
        before, self.events_suppressed = self.events_suppressed, True
        try:
            yield
        finally:
            self.events_suppressed = before

    def save_settings(self) -> None:
        """Store the settings and the base URL."""
        self.store.execute(
            "UPDATE accounts SET settings = ?, base_url = ? WHERE id = ?",
            json.dumps(self.settings), self.base_url, self.id,
        )  # fmt: skip

    def _remember(self, kind: str, id: str, body: str) -> None:
        self._loaded[kind, id] = json.loads(body)
        self._stored[kind, id] = body

    def enabled_endpoints(self) -> list[Resource]:
        """Return the enabled endpoints, cached: a transaction may emit thousands of events."""
        if self._endpoints is None:
            self._endpoints = self.select("webhook_endpoint", "status = 'enabled'")
        return self._endpoints

    def _write(self, resource: Resource, body: str) -> None:
        kind, id = resource["object"], resource["id"]
        self._endpoints = None if kind == "webhook_endpoint" else self._endpoints
        row = {**get_columns(resource), "body": body}
        assignments = ", ".join(f"{name} = ?" for name in row)
        self.store.execute(
            f"UPDATE objects SET {assignments} "  # noqa: S608 our own column names
            "WHERE account = ? AND type = ? AND id = ?",
            *row.values(), self.id, kind, id,
        )  # fmt: skip
        self._stored[kind, id] = body

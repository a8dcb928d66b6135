"""Stripe's published types, and the differences of the sandbox's responses from them.

The facts come from the types of Stripe's own library: whether a field is always present, whether
it may be null, and its values. Responses are compared at every depth, in both directions: an
additional field is as wrong as a missing one.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

SCHEMA = Path(os.environ.get("STRIPE_SCHEMA", "../shared/stripe/response-schema.json"))

Type = dict[str, Any]

# Stripe sends these only when they are expanded. (Other optional fields belong to a state.)
# https://docs.stripe.com/expand#includable-properties, and "Expandable" in the API reference.
ON_REQUEST = {
    "BillingPortal/Configurations:Configuration.Features.SubscriptionUpdate": {"products"},
    "Charges:Charge": {"refunds"},
    "Checkout/Sessions:Session": {"line_items"},
    "Coupons:Coupon": {"applies_to", "currency_options"},
    "Customers:Customer": {
        "cash_balance", "invoice_credit_balance", "sources", "subscriptions", "tax", "tax_ids",
    },
    "Invoices:Invoice": {"amount_paid_off_stripe", "confirmation_secret", "payments"},
    "PaymentIntents:PaymentIntent.AmountDetails": {"line_items"},
    "Prices:Price": {"currency_options", "tiers"},
    "PromotionCodes:PromotionCode.Restrictions": {"currency_options"},
}  # fmt: skip

# The subject of an event is found by its `object`; the published type of the event omits it.
OPEN = {"Events:Event.Data.Object", "Events:Event.Data.PreviousAttributes"}

# Intended differences, each with its reason. README.md shows this list.
KEPT = {
    "Invoices:Invoice.id is missing": (
        "The invoice in an `invoice.upcoming` event does not exist yet, so it has no `id`. "
        "Stripe's types require one; its documentation of the event says that there is none."
    ),
}


def is_published() -> bool:
    return SCHEMA.exists()


@cache
def schema() -> dict[str, Any]:
    entries: dict[str, Any] = json.loads(SCHEMA.read_text())
    return entries


def misfits(response: dict[str, Any], expand: tuple[str, ...] = ()) -> set[str]:
    """Return the differences of a response, or an event, from Stripe's published types."""
    asked = {tuple(path.split(".")) for path in expand}
    known = {path[:length] for path in asked for length in range(1, len(path) + 1)}
    return set(Walk(known).root(response, ())) - KEPT.keys()


@dataclass(frozen=True)
class Walk:
    """A comparison of one response; `expand` are the paths that its request expanded."""

    asked: set[tuple[str, ...]]
    partial: bool = False
    types: dict[str, Any] = field(default_factory=lambda: schema()["types"])

    def root(self, value: dict[str, Any], path: tuple[str, ...]) -> Iterator[str]:
        """Compare an object by the type that its `object` names."""
        kind = value.get("object")
        if kind == "list":
            yield from self.listed(value, path)
        elif value.get("deleted"):
            yield from self.tombstone(value)
        elif kind not in schema()["objects"]:
            yield f"{kind} is not published"
        else:
            yield from self.fields(schema()["objects"][kind], value, path)
            if kind == "event":
                yield from self.event(value)

    def listed(self, value: dict[str, Any], path: tuple[str, ...]) -> Iterator[str]:
        for name in value.keys() ^ {"object", "data", "has_more", "url"}:
            yield f"list.{name} is missing or too many"
        for entry in value["data"]:
            yield from self.root(entry, (*path, "data"))

    def tombstone(self, value: dict[str, Any]) -> Iterator[str]:
        for name in value.keys() ^ {"id", "object", "deleted"}:
            yield f"deleted {value['object']}.{name} is missing or too many"

    def event(self, value: dict[str, Any]) -> Iterator[str]:
        """Compare the subject of an event, and its previous attributes (some of its fields)."""
        about = value["data"]["object"]
        yield from self.root(about, ())
        before = value["data"].get("previous_attributes")
        name = schema()["objects"].get(about.get("object"))
        if before is not None and name:
            yield from Walk(set(), partial=True).fields(name, before, ())

    def fields(self, name: str, value: dict[str, Any], path: tuple[str, ...]) -> Iterator[str]:
        known = self.types.get(name)
        if known is None or name in OPEN:  # a type that is not among the published facts
            return
        for one in value.keys() - known.keys():
            yield f"{name}.{one} is unknown"
        for one, about in known.items():
            here = (*path, one)
            if one in value:
                yield from self.present(name, one, about, value[one], here)
            elif here in self.asked and one in ON_REQUEST.get(name, ()):
                yield f"{name}.{one} is missing though it was expanded"
            elif not about["optional"] and not self.partial:
                yield f"{name}.{one} is missing"

    def present(
        self, name: str, one: str, about: dict[str, Any], value: Any, path: tuple[str, ...]
    ) -> Iterator[str]:
        if one in ON_REQUEST.get(name, ()) and path not in self.asked:
            yield f"{name}.{one} is there without being expanded"
        if self.partial and value is None:
            return
        yield from self.value(about["type"], value, f"{name}.{one}", path)

    def value(self, type: Type, value: Any, label: str, path: tuple[str, ...]) -> Iterator[str]:
        kind = (type["k"], type_of(value))
        if type["k"] == "union":
            yield from self.union(type["o"], value, label, path)
        elif kind == ("ref", "hash"):
            yield from self.fields(type["n"], value, path)
        elif kind == ("array", "list"):
            for entry in value:
                yield from self.value(type["i"], entry, f"{label}[]", path)
        elif kind == ("map", "hash"):
            for entry in self.entries(value):
                yield from self.value(type["i"], entry, f"{label}{{}}", path)
        elif not is_plain(type, value):
            yield f"{label} is {value!r}"

    def entries(self, value: dict[str, Any]) -> list[Any]:
        """Compare the values of a map. In events, previously missing ones are null."""
        return [entry for entry in value.values() if not (self.partial and entry is None)]

    def union(
        self, arms: list[Type], value: Any, label: str, path: tuple[str, ...]
    ) -> Iterator[str]:
        """Compare with the best matching type. An object in place of an id was expanded."""
        if isinstance(value, list):
            arms = [arm for arm in arms if arm["k"] == "array"]
        elif isinstance(value, dict):
            if any(arm["k"] == "string" for arm in arms) and path not in self.asked:
                yield f"{label} is an object without being expanded"
            arms = self.arms_of(value, arms)
        elif any(arm["k"] == "lit" for arm in arms):
            arms = [arm for arm in arms if arm["k"] != "other"]
        result = [list(self.value(arm, value, label, path)) for arm in arms]
        yield from min(result, key=len, default=[f"{label} is {value!r}"])

    def arms_of(self, value: dict[str, Any], arms: list[Type]) -> list[Type]:
        """Return the types of objects with the right `object`."""
        fitting = [arm for arm in arms if arm["k"] in ("ref", "map", "any")]
        if len(fitting) < 2 or "object" not in value:
            return fitting
        kind = f"deleted:{value['object']}" if value.get("deleted") else value["object"]
        named = schema()["objects"].get(kind)
        return [arm for arm in fitting if arm.get("n") == named]


PLAIN = {"string": (str,), "number": (int, float), "boolean": (bool,), "null": (type(None),)}


def type_of(value: Any) -> str:
    return {dict: "hash", list: "list"}.get(type(value), "plain")


def is_plain(type: Type, value: Any) -> bool:
    if type["k"] == "lit":
        return bool(value == type["v"]) and isinstance(value, bool) == isinstance(type["v"], bool)
    if type["k"] in ("other", "any"):
        return type["k"] == "any" or isinstance(value, str)
    fits = isinstance(value, PLAIN.get(type["k"], ()))
    return fits and isinstance(value, bool) == (type["k"] == "boolean")

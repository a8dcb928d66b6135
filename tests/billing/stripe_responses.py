"""Responses of Stripe without the fields that its schema makes optional or nullable."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SCHEMA = Path(os.environ.get("STRIPE_SCHEMA", "../shared/stripe/response-schema.json"))
Change = Callable[
    [Any, list[str]], Any
]  # takes a body and the expanded fields, returns the changed body


def without_optional(body: Any, expanded: list[str]) -> Any:
    """Remove every optional field, except the requested ones."""
    return _walked(body, None, lambda field, name: field["optional"] and name not in expanded)


def without_nullable(body: Any, expanded: list[str]) -> Any:
    """Set every nullable field to null, except the requested ones."""
    return _walked(
        body, None, lambda *_: False, lambda field, name: name not in expanded and _may_be(field)
    )


def _walked(value: Any, kind: str | None, drop: Any, clear: Any = lambda *_: False) -> Any:
    if isinstance(value, list):
        return [_walked(item, kind, drop, clear) for item in value]
    if not isinstance(value, dict):
        return value
    name = value.get("object")
    known = _schema()["objects"].get(name, kind) if isinstance(name, str) else kind
    fields = _types().get(known, {})
    walked = {}
    for name, inner in value.items():
        field = fields.get(name)
        if field and drop(field, name):
            continue
        is_cleared = field and clear(field, name)
        walked[name] = None if is_cleared else _walked(inner, _reference(field), drop, clear)
    return walked


def _may_be(field: dict[str, Any], what: str = "null") -> bool:
    return any(item["k"] == what for item in field["type"].get("o", ()))


def _reference(field: dict[str, Any] | None) -> str | None:
    """Return the type of the objects in a field, if it has one."""
    if field is None:
        return None
    inner = [field["type"], *field["type"].get("o", ())]
    inner += [item["i"] for item in inner if item["k"] == "array"]
    return next((item["n"] for item in inner if item["k"] == "ref"), None)


def _schema() -> dict[str, Any]:
    if not SCHEMA.exists():
        pytest.skip(f"{SCHEMA} is absent: what Stripe may leave out is not known")
    if not _read:
        _read.update(json.loads(SCHEMA.read_text()))
    return _read


def _types() -> dict[str, Any]:
    types: dict[str, Any] = _schema()["types"]
    return types


_read: dict[str, Any] = {}

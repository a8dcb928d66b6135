"""A gate in front of Stripe that changes its answers: refusals, missing fields, rubbish."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl

import pytest
from flask import Flask
from saas_sandbox import create_sandbox

from tests.billing.live import Answer, Gate
from tests.conftest import Shop, open_shop, serving

SCHEMA = Path(os.environ.get("STRIPE_SCHEMA", "../shared/stripe/response-schema.json"))
Change = Callable[[Any, list[str]], Any]  # a body and what was to be expanded; another body


class GatedShop(Shop):
    """A shop whose application reaches Stripe through a gate; the test itself does not."""

    gate: Gate


def open_gated_shop(
    make_app: Callable[..., Flask], folder: Path, **changes: str
) -> Iterator[GatedShop]:
    stand_in = create_sandbox(str(folder / f"sandbox-{secrets.token_hex(4)}.db"))
    gate = Gate(stand_in)
    with serving(stand_in) as sandbox, serving(gate) as gated:
        for shop in open_shop(make_app, sandbox, SANDBOX_URL=gated, **changes):
            gated_shop = GatedShop(shop.app, shop.url, sandbox, shop.key)
            gated_shop.gate, gated_shop.visitors = gate, shop.visitors
            yield gated_shop
    stand_in.extensions["sandbox"].close()


def refusing(gate: Gate, call: str, status: int = 400, **error: str) -> Answer:
    """Refuse one kind of call, such as "POST /v1/refunds", as Stripe refuses."""
    body = json.dumps({"error": {"type": "invalid_request_error", **error}}).encode()

    def answer(environ: dict[str, Any], start_response: Any) -> Any:
        if not call_of(environ).startswith(call):
            return gate.app(environ, start_response)
        start_response(f"{status} Refused", [("Content-Type", "application/json")])
        return [body]

    return answer


def changing(gate: Gate, change: Change, call: str = "") -> Answer:
    """Answer as Stripe does, with the body of one kind of call changed."""

    def answer(environ: dict[str, Any], start_response: Any) -> Any:
        begun: list[Any] = []
        written = gate.app(environ, lambda status, headers, *_: begun.extend((status, headers)))
        body = b"".join(written)
        if call_of(environ).startswith(call) and begun[0].startswith("200"):
            body = json.dumps(change(json.loads(body), _expanded(environ))).encode()
        kept = [pair for pair in begun[1] if pair[0].lower() != "content-length"]
        start_response(begun[0], [*kept, ("Content-Length", str(len(body)))])
        return [body]

    return answer


def noting(shop: GatedShop, call: str, sent: list[dict[str, list[str]]]) -> Any:
    """Note what the application sends to Stripe in one kind of call."""

    def note(environ: dict[str, Any], start_response: Any) -> Any:
        if call_of(environ) == call:
            body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            sent.append(parse_qs(body.decode()))
            environ["wsgi.input"] = BytesIO(body)
        return shop.gate.app(environ, start_response)

    return shop.gate.answering(note)


def call_of(environ: dict[str, Any]) -> str:
    return f"{environ['REQUEST_METHOD']} {environ['PATH_INFO'].removeprefix('/stripe')}"


def _expanded(environ: dict[str, Any]) -> list[str]:
    """The last names of what a GET asks to expand; bodies have been read by then."""
    given = parse_qsl(environ["QUERY_STRING"])
    return [value.rpartition(".")[2] for name, value in given if name.startswith("expand")]


def without_optional(body: Any, expanded: list[str]) -> Any:
    """Leave out every field that Stripe may leave out, unless it was asked for."""
    return _walked(body, None, lambda field, name: field["optional"] and name not in expanded)


def without_nullable(body: Any, expanded: list[str]) -> Any:
    """Send null wherever Stripe's types allow it, but for what was asked for."""
    return _walked(
        body, None, lambda *_: False, lambda field, name: name not in expanded and _may_be(field)
    )


def _walked(value: Any, kind: str | None, drop: Any, clear: Any = lambda *_: False) -> Any:
    if isinstance(value, list):
        return [_walked(each, kind, drop, clear) for each in value]
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
    return any(each["k"] == what for each in field["type"].get("o", ()))


def _reference(field: dict[str, Any] | None) -> str | None:
    """The type of the objects in a field, where it is one."""
    if field is None:
        return None
    inner = [field["type"], *field["type"].get("o", ())]
    inner += [each["i"] for each in inner if each["k"] == "array"]
    return next((each["n"] for each in inner if each["k"] == "ref"), None)


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

"""Verify webhook requests by the signature of their raw bytes, before they are parsed."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flask import current_app

from saas.billing.gateway.client import from_timestamp

_ID = re.compile(r"[\x20-\x7e]{1,255}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
SIGNATURE_TOLERANCE = 300  # seconds, past or future; Stripe's default for the past


class BadSignature(Exception):
    """The request has no recent signature made with one of our secrets."""


class BadEvent(Exception):
    """The request is signed, but does not contain a readable event."""


@dataclass(frozen=True)
class Event:
    """The ids in an event. Its content is not used; the current state is fetched instead."""

    id: str
    type: str
    created: datetime
    livemode: bool
    api_version: str | None
    account: str | None
    customer_id: str | None
    object_id: str | None
    metadata: Mapping[str, str] = field(default_factory=dict)  # only a hint
    is_echo: bool = False  # changes no copied value, or another event reports it


def verify(payload: bytes, signature: str | None) -> Event:
    """Return the event of a request, after verifying the signature of the raw bytes.

    Raises `BadSignature` before the payload is parsed, then `BadEvent`.
    """
    _verify_signature(payload, signature or "")
    try:
        body = json.loads(payload)
    except (ValueError, RecursionError):
        raise BadEvent("the body is not valid JSON") from None
    return read_event(body)


def signature(payload: str, secret: str) -> str:
    """Return a signature header as Stripe sends it, for the current time."""
    from stripe import WebhookSignature

    return str(WebhookSignature.generate_signature_header(payload, secret))


def _verify_signature(payload: bytes, signature: str) -> None:
    from stripe import SignatureVerificationError, WebhookSignature

    if not signature.isascii():
        raise BadSignature("the signature header is not ASCII")
    if _timestamp(signature) > time.time() + SIGNATURE_TOLERANCE:
        raise BadSignature("the signature is from the future")  # the SDK checks only the past
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError:
        raise BadSignature("the body is not UTF-8") from None
    for secret in current_app.config["STRIPE_WEBHOOK_SECRETS"]:
        try:
            WebhookSignature.verify_header(text, signature, secret, SIGNATURE_TOLERANCE)
        except SignatureVerificationError:
            continue
        return
    raise BadSignature("no signature matches our secrets")


def _timestamp(signature: str) -> int:
    for part in signature.split(","):
        name, _, value = part.strip().partition("=")
        if name == "t" and value.isdigit() and len(value) < 15:
            return int(value)
    raise BadSignature("the signature header has no timestamp")


def read_event(body: object) -> Event:
    """Read an event from a request or Stripe's list. Raises `BadEvent`."""
    if not isinstance(body, dict):
        raise BadEvent("the body is not an object")
    data = body.get("data")
    subject = data.get("object") if isinstance(data, dict) else None
    if not isinstance(subject, dict):
        raise BadEvent("data.object is missing")
    if not isinstance(body.get("created"), int) or not 0 <= body["created"] < 2**33:
        raise BadEvent("created is not a time")
    return Event(
        id=_required(body, "id"),
        type=_required(body, "type"),
        created=from_timestamp(body["created"]),
        livemode=_livemode(body),
        api_version=_text(body, "api_version"),
        account=_optional_id(body, "account"),
        customer_id=_customer_of(subject),
        object_id=_text(subject, "id"),
        metadata=_metadata_of(subject),
        is_echo=_is_echo(body["type"], body["data"]),
    )


# Fields of a customer that change its next invoice. Our own writes and new cards do not.
_CHARGED = {"balance", "discount", "invoice_credit_balance", "tax_exempt", "address"}


def _is_echo(kind: str, data: Mapping[str, Any]) -> bool:
    """Return whether a frequent event has no effect on charges.

    A proration comes with the update of its subscription. In doubt, return False.
    """
    if kind == "customer.updated":
        changed = data.get("previous_attributes")
        return isinstance(changed, dict) and not _CHARGED & changed.keys()
    return kind == "invoiceitem.created" and data["object"].get("proration") is True


def _customer_of(subject: Mapping[str, object]) -> str | None:
    """Return the customer's id, expanded or not, or None without a customer."""
    if subject.get("object") == "customer":
        return _required(subject, "id")
    customer = subject.get("customer")
    return (
        _required(customer, "id")
        if isinstance(customer, dict)
        else _optional_id(subject, "customer")
    )


def _optional_id(holder: Mapping[str, object], name: str) -> str | None:
    """Return an id that may be missing. Raises `BadEvent` for an unreadable one.

    Otherwise the event would be ignored as another application's.
    """
    if holder.get(name) is not None and _text(holder, name) is None:
        raise BadEvent(f"{name} is not an id")
    return _text(holder, name)


def _livemode(body: Mapping[str, object]) -> bool:
    livemode = body.get("livemode")
    if not isinstance(livemode, bool):
        raise BadEvent("livemode is not true or false")
    return livemode


def _metadata_of(subject: Mapping[str, object]) -> dict[str, str]:
    """Return the metadata of the event's object; for an invoice, also its subscription's.

    Its position depends on the API version of the endpoint: in `parent` since 2025-03-31.basil, at
    the top level in earlier versions, and in the lines before 2023.
    """
    parent, lines = subject.get("parent"), subject.get("lines")
    listed = lines.get("data") if isinstance(lines, dict) else None
    holders = [
        *(listed if isinstance(listed, list) else ()),
        subject.get("subscription_details"),
        parent.get("subscription_details") if isinstance(parent, dict) else None,
        subject,
    ]
    merged: dict[str, str] = {}
    for holder in holders:
        metadata = holder.get("metadata") if isinstance(holder, dict) else None
        if isinstance(metadata, dict):
            merged |= {name: value for name, value in metadata.items() if isinstance(value, str)}
    return merged


def _required(holder: Mapping[str, object], name: str) -> str:
    value = _text(holder, name)
    if value is None:
        raise BadEvent(f"{name} is missing")
    return value


def _text(holder: Mapping[str, object], name: str) -> str | None:
    """Return an id or a name, which are printable ASCII in Stripe; None for anything else.

    Control characters raise an error, because databases may not store them.
    """
    value = holder.get(name)
    if not isinstance(value, str):
        return None
    if _CONTROL.search(value):
        raise BadEvent(f"{name} contains a control character")
    return value if _ID.fullmatch(value) else None

"""Webhooks: whose request this is, judged by the raw bytes before anything of them is read."""

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
SIGNATURE_TOLERANCE = 300  # seconds, both sides; Stripe's own default for the past


class BadSignature(Exception):
    """The request was not signed by Stripe with a secret of ours, or not just now."""


class BadEvent(Exception):
    """The request was signed, but is not an event that can be read."""


@dataclass(frozen=True)
class Event:
    """What we read of an event: an event is a doorbell, so ids and no content."""

    id: str
    type: str
    created: datetime
    livemode: bool
    api_version: str | None
    account: str | None
    customer_id: str | None
    object_id: str | None
    metadata: Mapping[str, str] = field(default_factory=dict)  # a hint, never the truth
    is_echo: bool = False  # changes nothing that we copy, or another event tells of it


def verify(payload: bytes, signature: str | None) -> Event:
    """The event in a request, once its signature over the raw bytes has been checked.

    Raises `BadSignature` before anything of the payload is read, then `BadEvent`.
    """
    _verify_signature(payload, signature or "")
    try:
        body = json.loads(payload)
    except (ValueError, RecursionError):
        raise BadEvent("the body is not valid JSON") from None
    return read_event(body)


def signature(payload: str, secret: str) -> str:
    """The header with which a request is signed as Stripe signs it, now."""
    from stripe import WebhookSignature

    return str(WebhookSignature.generate_signature_header(payload, secret))


def _verify_signature(payload: bytes, signature: str) -> None:
    from stripe import SignatureVerificationError, WebhookSignature

    if not signature.isascii():
        raise BadSignature("the signature header is not ASCII")
    if _timestamp(signature) > time.time() + SIGNATURE_TOLERANCE:
        raise BadSignature("the signature is from the future")  # the SDK looks at the past only
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
    """What we read of an event's JSON, from a request or from Stripe's list; or `BadEvent`."""
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


# What of a customer changes its next invoice. Our own writes, and a new card, do not.
_CHARGED = {"balance", "discount", "invoice_credit_balance", "tax_exempt", "address"}


def _is_echo(kind: str, data: Mapping[str, Any]) -> bool:
    """Of the events that come often, those without a meaning for what is charged.

    A proration comes with the update of its subscription. In doubt it is no echo.
    """
    if kind == "customer.updated":
        changed = data.get("previous_attributes")
        return isinstance(changed, dict) and not _CHARGED & changed.keys()
    return kind == "invoiceitem.created" and data["object"].get("proration") is True


def _customer_of(subject: Mapping[str, object]) -> str | None:
    """Return the customer's id, whether or not it is expanded; None without a customer."""
    if subject.get("object") == "customer":
        return _required(subject, "id")
    customer = subject.get("customer")
    return (
        _required(customer, "id")
        if isinstance(customer, dict)
        else _optional_id(subject, "customer")
    )


def _optional_id(holder: Mapping[str, object], name: str) -> str | None:
    """Return an id that may be absent. Raises `BadEvent` for one that cannot be read.

    Otherwise the event would count as another application's, and be ignored.
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
    """The metadata of the event's object; an invoice carries that of its subscription as well.

    Where it stands depends on the API's version, which is that of the endpoint: in `parent` since
    2025-03-31.basil, beside it before, and in the lines before 2023.
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
    """An id or a name of Stripe's, which are printable ASCII; anything else is as good as absent.

    Except for control characters, which neither Stripe sends nor every database stores.
    """
    value = holder.get(name)
    if not isinstance(value, str):
        return None
    if _CONTROL.search(value):
        raise BadEvent(f"{name} contains a control character")
    return value if _ID.fullmatch(value) else None

"""Test our own webhook: does the application accept requests signed with this configuration?"""

from __future__ import annotations

import enum
import json
import time
import uuid

import requests
from flask import current_app

from saas import http
from saas.billing import gateway
from saas.billing.operator import provisioning

_TIMEOUT = (2, 5)  # seconds


class ProbeResult(enum.Enum):
    """The result of a probe. REFUSED: the application has another secret."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    UNTRUSTED = "untrusted"  # its TLS certificate


def probe() -> ProbeResult:
    """Send a signed event of an ignored type: it is answered, and nothing is written."""
    secrets = current_app.config["STRIPE_WEBHOOK_SECRETS"]
    if not secrets:
        return ProbeResult.REFUSED
    payload = json.dumps(
        {
            "id": f"evt_knock_{uuid.uuid4().hex}",
            "object": "event",
            "type": "saas.doctor",
            "created": int(time.time()),
            "livemode": gateway.is_live(),
            "data": {"object": {"object": "knock"}},
        }
    )
    headers = {
        "Content-Type": "application/json",
        "Stripe-Signature": gateway.signature(payload, secrets[0]),
    }
    try:
        response = http.request(
            "POST",
            provisioning.webhook_url(),
            data=payload,
            headers=headers,
            timeout=_TIMEOUT,
            allow_redirects=False,
        )
    except requests.exceptions.SSLError:
        return ProbeResult.UNTRUSTED
    except requests.RequestException:
        return ProbeResult.UNREACHABLE
    if response.ok:
        return ProbeResult.ACCEPTED
    return ProbeResult.REFUSED if response.status_code == 400 else ProbeResult.UNREACHABLE

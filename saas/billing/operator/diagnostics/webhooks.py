"""Checks of the webhook: do Stripe's events arrive?

Stripe never shows a webhook secret again. There are only two ways to find out whether ours is
correct: look for events that are missing from the ledger, and test whether the running application
accepts requests signed with the secret of this configuration.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from urllib.parse import urlsplit

from flask import current_app
from sqlalchemy import func, select

from saas.billing import events, gateway
from saas.billing.gateway import Endpoint
from saas.billing.models import StripeEvent
from saas.billing.operator import backfill, provisioning
from saas.billing.operator.diagnostics import webhook_probe
from saas.billing.operator.diagnostics.findings import CATCH_UP, SETUP, Finding, Findings
from saas.database import db, now

_ON_ITS_WAY = timedelta(minutes=2)  # maximum duration of a delivery
_LOOK_BACK = timedelta(days=3)  # how long Stripe retries deliveries


def examine() -> Findings:
    """Check the endpoint in Stripe, and whether its events arrive."""
    if provisioning.is_unreachable_by_stripe():
        yield from _listener()
        return
    endpoints = provisioning.our_endpoints()
    if not endpoints:
        yield _no_endpoint()
        return
    if len(endpoints) > 1:
        yield Finding(
            "webhook",
            f"{len(endpoints)} endpoints deliver to {endpoints[0].url}: one is enough.",
            SETUP,
        )
    for endpoint in endpoints:
        yield from _endpoint_findings(endpoint)
    yield from _deliveries(max(endpoint.created for endpoint in endpoints))


def _listener() -> Findings:
    if not current_app.config["STRIPE_WEBHOOK_SECRETS"]:
        yield Finding(
            "webhook",
            f"Stripe cannot deliver to {provisioning.webhook_url()}.",
            f"Run stripe listen --forward-to {provisioning.webhook_url()}, and set "
            "STRIPE_WEBHOOK_SECRET to the secret that it prints.",
        )


def _no_endpoint() -> Finding:
    path = urlsplit(provisioning.webhook_url()).path
    others = [
        endpoint.url for endpoint in gateway.endpoints() if urlsplit(endpoint.url).path == path
    ]
    elsewhere = f"; there is one for {', '.join(others)}" if others else ""
    return Finding(
        "webhook",
        f"Stripe has no webhook endpoint for {provisioning.webhook_url()}{elsewhere}.",
        f"Run {SETUP}, or correct APP_URL." if others else SETUP,
    )


def _endpoint_findings(endpoint: Endpoint) -> Findings:
    if not current_app.config["STRIPE_WEBHOOK_SECRETS"]:
        yield Finding("webhook", "STRIPE_WEBHOOK_SECRET is missing.", SETUP)
    if not endpoint.is_enabled:
        yield Finding("webhook", f"{endpoint.id} is disabled in Stripe.", SETUP)
    missing = set(events.HANDLED_TYPES) - endpoint.events
    if missing and "*" not in endpoint.events:
        yield Finding(
            "webhook", f"{endpoint.id} does not send {', '.join(sorted(missing))}.", SETUP
        )
    if endpoint.api_version != gateway.api_version():
        version = endpoint.api_version or "of the account"
        yield Finding(
            "webhook",
            f"{endpoint.id} uses API version {version}, but we use {gateway.api_version()}.",
            SETUP,
        )


def _deliveries(endpoint_made: datetime) -> Findings:
    """Compare Stripe's list of events with the ledger."""
    response = webhook_probe.probe()
    if response is not webhook_probe.ProbeResult.ACCEPTED:
        yield _unreachable(response)
        return
    since = max(now() - _LOOK_BACK, endpoint_made)
    sent, lost = 0, []
    for batch in backfill.missing(since):
        sent += batch.checked
        lost += [event.created for event in batch.missing if event.created < now() - _ON_ITS_WAY]
    if lost:
        yield _explain_missing(lost, sent)
    elif sent:
        yield Finding("deliveries", f"All of Stripe's last {sent} events arrived.")
    else:
        yield Finding("deliveries", "No events yet, so the webhook secret is untested.")


def _unreachable(result: webhook_probe.ProbeResult) -> Finding:
    if result is webhook_probe.ProbeResult.UNREACHABLE:
        message = f"Nothing accepts webhooks at {provisioning.webhook_url()}."
        return Finding("deliveries", message, "Start the application there, or correct APP_URL.")
    if result is webhook_probe.ProbeResult.UNTRUSTED:
        message = f"The TLS certificate of {provisioning.webhook_url()} is not trusted here."
        return Finding(
            "deliveries",
            message,
            "Stripe does not deliver to it either, unless only this machine lacks the authority: "
            "check it with openssl s_client, and set REQUESTS_CA_BUNDLE for your own authority.",
        )
    return Finding(
        "deliveries",
        f"The application at {provisioning.webhook_url()} uses a different STRIPE_WEBHOOK_SECRET "
        "than this command.",
        "Restart it with this configuration.",
    )


def _explain_missing(lost: list[datetime], sent: int) -> Finding:
    """Distinguish single missing events from a gap with no events at all."""
    last = db.session.scalar(select(func.max(StripeEvent.created)))
    if last is not None and min(lost) <= last:
        message = (
            f"{len(lost)} of Stripe's last {sent} events never arrived, or could not be applied."
        )
        return Finding("deliveries", message, CATCH_UP)
    return Finding(
        "deliveries",
        f"None of Stripe's last {len(lost)} events arrived. The application accepts "
        "STRIPE_WEBHOOK_SECRET, so either the endpoint in Stripe has another secret, or Stripe "
        "cannot reach the application.",
        "Compare the secret at https://dashboard.stripe.com/webhooks, or unset it and run "
        f"{SETUP}. Then run {CATCH_UP}.",
    )

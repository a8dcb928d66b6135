"""Format dates and statuses."""

from datetime import UTC, datetime

from saas_sandbox.stripe.engine.resource import Resource

STATUS_LABELS = {
    "active": "Active",
    "trialing": "Trial",
    "past_due": "Payment is overdue",
    "unpaid": "Unpaid",
    "incomplete": "Waiting for the first payment",
    "incomplete_expired": "Never paid",
    "canceled": "Canceled",
    "paused": "Paused",
}


def format_date(moment: int) -> str:
    """ "22 November 2026"."""
    when = datetime.fromtimestamp(moment, UTC)
    return f"{when.day} {when:%B %Y}"


def get_status_label(subscription: Resource) -> str:
    return STATUS_LABELS[subscription["status"]]


def format_time(time: int) -> str:
    """ "22 Nov 2026, 14:05 UTC"."""
    when = datetime.fromtimestamp(time, UTC)
    return f"{when.day} {when:%b %Y, %H:%M} UTC"

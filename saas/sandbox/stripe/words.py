"""Dates and statuses for people."""

from datetime import UTC, datetime

from .resource import Resource

STATUS = {
    "active": "Active",
    "trialing": "Trial",
    "past_due": "Payment is overdue",
    "unpaid": "Unpaid",
    "incomplete": "Waiting for the first payment",
    "incomplete_expired": "Never paid",
    "canceled": "Canceled",
    "paused": "Paused",
}


def day(moment: int) -> str:
    """ "22 November 2026"."""
    when = datetime.fromtimestamp(moment, UTC)
    return f"{when.day} {when:%B %Y}"


def status_words(subscription: Resource) -> str:
    return STATUS[subscription["status"]]

"""The mails of billing: when one is promised (`following`), and what it says (`composing`)."""

from saas.billing.emails import composers, previews  # noqa: F401 - they register themselves
from saas.billing.emails.triggers import TRIAL_NOTICE, enqueue_for_change, enqueue_for_reminders

__all__ = ["TRIAL_NOTICE", "enqueue_for_change", "enqueue_for_reminders"]

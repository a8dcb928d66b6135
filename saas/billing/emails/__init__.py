"""Emails of billing: when they are enqueued (`triggers`), and their content (`composers`)."""

from saas.billing.emails import composers, previews  # noqa: F401 - they register on import
from saas.billing.emails.triggers import TRIAL_NOTICE, enqueue_for_change, enqueue_for_reminders

__all__ = ["TRIAL_NOTICE", "enqueue_for_change", "enqueue_for_reminders"]

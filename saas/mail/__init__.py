"""Email: enqueued in the transaction that causes it, composed when it is sent."""

from saas.mail.outbox import Email, RetryLater, delete_for, email, enqueue, preview

__all__ = ["Email", "RetryLater", "delete_for", "email", "enqueue", "preview"]

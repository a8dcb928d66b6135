"""Mail: promised as a row in the transaction of what causes it, composed when it is delivered."""

from saas.mail.outbox import Email, RetryLater, delete_for, email, enqueue, preview

__all__ = ["Email", "RetryLater", "delete_for", "email", "enqueue", "preview"]

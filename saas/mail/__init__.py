"""Mail: promised as a row in the transaction of what causes it, composed when it is delivered."""

from saas.mail.outbox import Letter, letter, promise, sample

__all__ = ["Letter", "letter", "promise", "sample"]

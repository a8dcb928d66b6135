"""Mail: promised as a row in the transaction of what causes it, composed when it is delivered."""

from saas.mail.outbox import Letter, NotYet, forget, letter, promise, sample

__all__ = ["Letter", "NotYet", "forget", "letter", "promise", "sample"]

"""The mails of billing: when one is promised (`following`), and what it says (`composing`)."""

from saas.billing.letters import composing, samples  # noqa: F401 - they register themselves
from saas.billing.letters.following import TRIAL_NOTICE, follow, tell

__all__ = ["TRIAL_NOTICE", "follow", "tell"]

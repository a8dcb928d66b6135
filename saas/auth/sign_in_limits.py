"""Limits on mails that sign somebody in, by who asks: a stranger, the same browser, the owner."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from werkzeug.exceptions import TooManyRequests

from saas import limits

# The same for every address, so that it does not tell which ones have an account.
_WHAT_WORKS = (
    "Mails that were sent already work: open the newest one and use its button or its code. The "
    "page of an older one sends another. Google, GitHub and passkeys work as well."
)


def count_stranger(email: str) -> None:
    """Count a mail that somebody who has proven nothing asks for; raises 429."""
    with _advised():
        limits.count(limits.SIGN_IN_BY_IP, "sign-in-ip", limits.client_ip())
        limits.count(limits.SIGN_IN_BY_ADDRESS, "sign-in-address", email)
        limits.count(limits.SIGN_IN_BY_MAILBOX, "sign-in-mailbox", limits.normalize_mailbox(email))
        limits.count(limits.SIGN_IN_BY_ADDRESS_A_DAY, "sign-in-address-day", email)


def count_browser(browser: str, email: str) -> None:
    """Count another mail for the browser that asked for the first; raises 429.

    Separate from strangers' requests, but with a daily limit per email, since new browsers are
    easy to make.
    """
    with _advised():
        limits.count(limits.SIGN_IN_BY_IP, "sign-in-ip", limits.client_ip())
        limits.count(limits.SIGN_IN_BY_BROWSER, "sign-in-browser", browser)
        limits.count(limits.SIGN_IN_BY_ADDRESS_A_DAY, "sign-in-browser-day", email)


def count_owner(owner: str) -> None:
    """Count a mail for somebody with a session, or with an earlier mail; raises 429."""
    with _advised():
        limits.count(limits.SIGN_IN_BY_OWNER, "sign-in-owner", owner)


def count_new_address(owner: str, email: str) -> None:
    """Count a mail that confirms a change of email; raises 429.

    Separate from sign-in mails, so that it cannot use up those of the email's owner.
    """
    limits.count(limits.SIGN_IN_BY_IP, "sign-in-ip", limits.client_ip())
    limits.count(limits.SIGN_IN_BY_OWNER, "new-address-owner", owner)
    limits.count(limits.SIGN_IN_BY_ADDRESS, "new-address", email)
    limits.count(limits.NEW_ADDRESS_A_DAY, "new-address-day", email)


@contextmanager
def _advised() -> Iterator[None]:
    try:
        yield
    except TooManyRequests as error:
        error.description = _WHAT_WORKS
        raise

"""Limits on sign-in emails requested by strangers, by the same browser again, or by the owner."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from werkzeug.exceptions import TooManyRequests

from saas import limits

# The limit is the same for every email, so it does not reveal which ones have an account.
_ADVICE = (
    "Emails that were sent already still work: open the newest one and use its button or its "
    "code. Google, GitHub and passkeys work as well."
)


def hit_by_anyone(email: str) -> None:
    """Count a request for a sign-in email without any proof of identity; raise 429."""
    with _advice():
        limits.SIGN_IN_BY_IP.hit(limits.client_ip())
        limits.SIGN_IN_BY_EMAIL.hit(email)
        limits.SIGN_IN_BY_MAILBOX.hit(limits.normalize_mailbox(email))
        limits.SIGN_IN_BY_EMAIL_DAILY.hit(email)


def hit_by_browser(browser: str, email: str) -> None:
    """Count a resend in the browser that requested the first email; raise 429.

    Other people's requests do not use it up. New browsers are easy to make, so there is a daily
    limit per email as well.
    """
    with _advice():
        limits.SIGN_IN_BY_IP.hit(limits.client_ip())
        limits.SIGN_IN_BY_BROWSER.hit(browser)
        limits.SIGN_IN_BY_BROWSER_DAILY.hit(email)


def hit_by_owner(user_id: str) -> None:
    """Count a request by a user with a session or an earlier sign-in email; raise 429."""
    with _advice():
        limits.SIGN_IN_BY_OWNER.hit(user_id)


def hit_email_change(user_id: str, email: str) -> None:
    """Count a request to confirm a new email; raise 429.

    It is separate from the limits on sign-in emails, so it cannot lock out the new email's owner.
    """
    limits.SIGN_IN_BY_IP.hit(limits.client_ip())
    limits.EMAIL_CHANGE_BY_USER.hit(user_id)
    limits.EMAIL_CHANGE_BY_EMAIL.hit(email)
    limits.EMAIL_CHANGE_BY_EMAIL_DAILY.hit(email)


@contextmanager
def _advice() -> Iterator[None]:
    try:
        yield
    except TooManyRequests as error:
        error.description = _ADVICE
        raise

"""Sign-in emails: valid once, for ten minutes, by link or by code.

The link works in any browser. The six-digit code works only in the browser that requested it, and
for at most five attempts. Token and code are derived from the row's id (`tokens`).
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from sqlalchemy import delete, select, update
from werkzeug.exceptions import TooManyRequests

from saas import database, jobs, limits, mail
from saas.auth import accounts, tokens
from saas.auth.models import SignInLink, User
from saas.database import db, now

SignIn = Callable[[User], None]

LIFETIME = timedelta(minutes=10)
RESEND_COOLDOWN = timedelta(seconds=30)  # between two emails requested by one browser
MAX_ATTEMPTS = 5
_KEPT = timedelta(days=1)  # so that a late click gets "used" or "expired", not "unknown"
_LINK, _CODE = "sign-in-link", "sign-in-code"


class InvalidLink(Exception):
    """The link cannot be used.

    `reason` is unknown, used, replaced, expired, disabled or closing.
    """

    def __init__(self, reason: str, link: SignInLink | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.link = link


class InvalidCode(Exception):
    """The code cannot be used; the message says why, for the user."""


# --- requesting ---------------------------------------------------------------------------------


def send(email: str, next_path: str, browser: str | None = None) -> None:
    """Enqueue an email with a link and a code for a cleaned `email`.

    `browser` is the secret of the requesting browser; a new email replaces only the older ones of
    that browser. The same happens for every email, and a worker sends it, so that neither the
    response nor its timing reveals accounts. `next_path` is a path within the application.
    """
    with database.write_transaction() as session:
        if browser:
            _end(SignInLink.browser_hash == _hash(browser), replaced_at=now())
        link = SignInLink(
            id=database.uuid7(),
            email=email,
            next_path=next_path,
            expires_at=now() + LIFETIME,
            browser_hash=_hash(browser) if browser else None,
        )
        session.add(link)
        session.flush()
        mail.enqueue("sign_in", link.id)


def latest_for_browser(browser: str) -> SignInLink | None:
    """Return the newest link that this browser requested, in any state."""
    return db.session.scalar(
        select(SignInLink)
        .where(SignInLink.browser_hash == _hash(browser))
        .order_by(SignInLink.id.desc())
        .limit(1)
    )


def find_by_token(token: str) -> SignInLink | None:
    """Return the link with this token, in any state. The holder may request another one."""
    link_id = tokens.row_id(_LINK, token)
    return db.session.get(SignInLink, link_id) if link_id else None


def seconds_until_resend(link: SignInLink) -> int:
    """Return the seconds until the browser may request another email; 0 if it may."""
    return max(0, ceil((link.created_at + RESEND_COOLDOWN - now()).total_seconds()))


# --- redeeming ----------------------------------------------------------------------------------


def find_valid(token: str) -> SignInLink:
    """Return the valid link of a token. Raises `InvalidLink`. Changes nothing."""
    link = _find(token)
    for reason, is_so in (
        ("used", link.used_at is not None),
        ("replaced", link.replaced_at is not None or _is_superseded(link)),
        ("expired", link.expires_at <= now()),
    ):
        if is_so:
            raise InvalidLink(reason, link)
    return link


def redeem(token: str, enter: SignIn) -> str:
    """Redeem a link: sign in its user, creating one if necessary, and return the next path.

    `enter` is called with the user in the same transaction. Raises `InvalidLink`.
    """
    return _use(find_valid(token), enter)


def redeem_code(browser: str, code: str, enter: SignIn) -> str:
    """Redeem a code in the browser that requested it. Raises `InvalidCode`, `InvalidLink`."""
    link = latest_for_browser(browser)
    if link is None or link.used_at or link.expires_at <= now():
        raise InvalidCode("This code has expired. Request another email.")
    if not _count_attempt(link.id):
        raise InvalidCode("Too many attempts. Use the link in the email, or request another email.")
    _hit_code_limit(link.email)
    if not tokens.is_code(_CODE, link.id, code):
        tries_left = MAX_ATTEMPTS - link.tries - 1
        raise InvalidCode(
            "This is not the code in the newest email. "
            + (
                f"You can try {tries_left} more time{'s'[: tries_left != 1]}."
                if tries_left
                else "It no longer works. Request another email."
            )
        )
    return _use(link, enter)


def token_for(link_id: uuid.UUID) -> str:
    """Return the token for the URL in the email."""
    return tokens.token_for(_LINK, link_id)


def code_for(link_id: uuid.UUID) -> str:
    """Return the six digits for the email."""
    return tokens.code_for(_CODE, link_id)


def _find(token: str) -> SignInLink:
    if tokens.row_id(_LINK, token) is None:
        raise InvalidLink("unknown")
    link = find_by_token(token)
    if link is None:
        raise InvalidLink("expired")  # expired so long ago that it was deleted
    return link


def _is_superseded(link: SignInLink) -> bool:
    """Return whether the browser requested a newer link concurrently."""
    newer = select(SignInLink.id).where(
        SignInLink.browser_hash == link.browser_hash, SignInLink.id > link.id
    )
    return link.browser_hash is not None and db.session.scalar(newer.limit(1)) is not None


def _use(link: SignInLink, enter: SignIn) -> str:
    """Redeem the link for one of several concurrent attempts; end all other links of the email."""
    with database.write_transaction() as session:
        # Lock in a fixed order, or two links of one email would deadlock.
        all_of_it = select(SignInLink.id).where(SignInLink.email == link.email)
        session.execute(all_of_it.order_by(SignInLink.id).with_for_update())
        if not _end(SignInLink.id == link.id, used_at=now()):
            raise InvalidLink("used", link)
        _end(SignInLink.email == link.email, used_at=now())
        user = accounts.get_or_create_verified(link.email)
        if user.is_closing:
            raise InvalidLink("closing", link)
        if user.disabled_at:
            raise InvalidLink("disabled", link)
        enter(user)
    return link.next_path


def _count_attempt(link_id: uuid.UUID) -> bool:
    """Count an attempt; return False if none are left. Safe for concurrent attempts."""
    with database.write_transaction():
        return bool(
            database.execute(
                update(SignInLink)
                .where(SignInLink.id == link_id, SignInLink.tries < MAX_ATTEMPTS)
                .values(tries=SignInLink.tries + 1)
            )
        )


def _hit_code_limit(email: str) -> None:
    """Limit attempts per email, so that codes of many requests cannot be guessed."""
    try:
        limits.CODES_BY_MAILBOX.hit(limits.normalize_mailbox(email))
    except TooManyRequests:
        raise InvalidCode(
            "Too many attempts for this email address today. The link in the email still works."
        ) from None


def _end(which: Any, **how: datetime) -> int:
    still_good = (SignInLink.used_at.is_(None), SignInLink.replaced_at.is_(None))
    return database.execute(update(SignInLink).where(which, *still_good).values(**how))


def _hash(browser: str) -> bytes:
    return hashlib.sha256(browser.encode()).digest()


@jobs.periodic_task(minutes=60)
def delete_expired_links() -> None:
    """Delete old links, including the email addresses of people who never signed in."""
    is_old = SignInLink.expires_at < now() - _KEPT
    with database.write_transaction():
        mail.delete_for(select(SignInLink.id).where(is_old))
        database.execute(delete(SignInLink).where(is_old))

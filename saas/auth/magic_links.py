"""Sign-in mails: asked for with an address, good once, for ten minutes, by link or by code.

The link works in any browser. The code, six digits that one can type, works in the browser alone
that asked, and five tries end it. Token and code are derived from the row's id (`tokens`).
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
RESEND_COOLDOWN = timedelta(seconds=30)  # between two mails that one browser asks for
MAX_ATTEMPTS = 5
_KEPT = timedelta(days=1)  # so that a late click is told "used" or "expired", not "unknown"
_LINK, _CODE = "sign-in-link", "sign-in-code"


class InvalidLink(Exception):
    """The link signs nobody in.

    `reason` is unknown, used, replaced, expired, disabled or closing.
    """

    def __init__(self, reason: str, link: SignInLink | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.link = link


class InvalidCode(Exception):
    """The code signs nobody in; the message says why, for a person."""


# --- asking -------------------------------------------------------------------------------------


def send(email: str, next_path: str, browser: str | None = None) -> None:
    """Promise a mail with a link and a code; `email` is cleaned, `next_path` is a path of ours.

    `browser` is the secret of the browser that asks; a newer mail replaces its older ones, and
    nobody else's. The same is done for every address, and the mail goes out in a worker, so that
    neither the answer nor its timing tells whether somebody has an account.
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
    """The newest mail that a browser asked for, whatever became of it."""
    return db.session.scalar(
        select(SignInLink)
        .where(SignInLink.browser_hash == _hash(browser))
        .order_by(SignInLink.id.desc())
        .limit(1)
    )


def find_by_token(token: str) -> SignInLink | None:
    """The mail that a token came with, whatever became of it: who has it may have another."""
    link_id = tokens.row_id(_LINK, token)
    return db.session.get(SignInLink, link_id) if link_id else None


def seconds_until_resend(link: SignInLink) -> int:
    """How long the browser waits before it may ask for another mail; 0 when it may."""
    return max(0, ceil((link.created_at + RESEND_COOLDOWN - now()).total_seconds()))


# --- answering ----------------------------------------------------------------------------------


def find_valid(token: str) -> SignInLink:
    """The link that a token stands for, still good; raises `BadLink`. Changes nothing."""
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
    """Use a link up: signs in whom it proves, made now if new; where they were going.

    `enter` is called with the person, in the same transaction. Raises `BadLink`.
    """
    return _use(find_valid(token), enter)


def redeem_code(browser: str, code: str, enter: SignIn) -> str:
    """Use a mail up by its code, typed in the browser that asked; raises `BadCode`, `BadLink`."""
    link = latest_for_browser(browser)
    if link is None or link.used_at or link.expires_at <= now():
        raise InvalidCode("This code has expired. Request another email.")
    if not _count_attempt(link.id):
        raise InvalidCode(
            "Too many codes were tried. The link in the mail still works, or ask for another mail."
        )
    _hit_code_limit(link.email)
    if not tokens.is_code(_CODE, link.id, code):
        tries_left = MAX_ATTEMPTS - link.tries - 1
        raise InvalidCode(
            "This is not the code in the newest mail. "
            + (
                f"You can try {tries_left} more time{'s'[: tries_left != 1]}."
                if tries_left
                else "It has ended now."
            )
        )
    return _use(link, enter)


def token_for(link_id: uuid.UUID) -> str:
    """What the address in the mail carries."""
    return tokens.token_for(_LINK, link_id)


def code_for(link_id: uuid.UUID) -> str:
    """The six digits in the mail."""
    return tokens.code_for(_CODE, link_id)


def _find(token: str) -> SignInLink:
    if tokens.row_id(_LINK, token) is None:
        raise InvalidLink("unknown")
    link = find_by_token(token)
    if link is None:
        raise InvalidLink("expired")  # so long ago that it was forgotten
    return link


def _is_superseded(link: SignInLink) -> bool:
    """Whether its browser has asked for another one in the same moment: neither saw the other."""
    newer = select(SignInLink.id).where(
        SignInLink.browser_hash == link.browser_hash, SignInLink.id > link.id
    )
    return link.browser_hash is not None and db.session.scalar(newer.limit(1)) is not None


def _use(link: SignInLink, enter: SignIn) -> str:
    """Exactly one of many simultaneous tries succeeds, and it ends every mail of the address."""
    with database.write_transaction() as session:
        # In one order, or two links of one address would wait for each other.
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
    """Take one of the tries; False when there is none left, however many take at once."""
    with database.write_transaction():
        return bool(
            database.execute(
                update(SignInLink)
                .where(SignInLink.id == link_id, SignInLink.tries < MAX_ATTEMPTS)
                .values(tries=SignInLink.tries + 1)
            )
        )


def _hit_code_limit(email: str) -> None:
    """Whoever asks for mails to somebody else's address shall not guess a code some day."""
    try:
        limits.CODES_BY_MAILBOX.hit(limits.normalize_mailbox(email))
    except TooManyRequests:
        raise InvalidCode(
            "Too many codes were tried for this address today. The link in the mail still works."
        ) from None


def _end(which: Any, **how: datetime) -> int:
    still_good = (SignInLink.used_at.is_(None), SignInLink.replaced_at.is_(None))
    return database.execute(update(SignInLink).where(which, *still_good).values(**how))


def _hash(browser: str) -> bytes:
    return hashlib.sha256(browser.encode()).digest()


@jobs.periodic_task(minutes=60)
def delete_expired_links() -> None:
    """An address that only ever asked for a link is not kept."""
    is_old = SignInLink.expires_at < now() - _KEPT
    with database.write_transaction():
        mail.delete_for(select(SignInLink.id).where(is_old))
        database.execute(delete(SignInLink).where(is_old))

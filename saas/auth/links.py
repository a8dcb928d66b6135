"""Sign-in links: asked for with an address, good once, for ten minutes.

The token is an HMAC of the row's id under the secret key. A copy of the database alone yields
nothing that signs anybody in, and a queued mail carries an id only.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import uuid
from datetime import timedelta

from flask import current_app
from sqlalchemy import delete, select, update

from saas import database, jobs, mail
from saas.auth import accounts
from saas.auth.models import SignInLink, User
from saas.database import db, now

LIFETIME = timedelta(minutes=10)
_KEPT = timedelta(days=1)  # so that a late click is told "used" or "expired", not "unknown"
_MAC_BYTES = 24


class BadLink(Exception):
    """The link signs nobody in. `reason` is unknown, used, expired or disabled."""

    def __init__(self, reason: str, email: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.email = email


def send(email: str, next_path: str) -> None:
    """Promise a mail with a link; `email` is cleaned, `next_path` is a path of ours.

    The same is done for every address, and the mail goes out in a worker, so that neither the
    answer nor its timing tells whether somebody has an account.
    """
    with database.writing() as session:
        link = SignInLink(
            id=database.uuid7(), email=email, next_path=next_path, expires_at=now() + LIFETIME
        )
        session.add(link)
        session.flush()
        mail.promise("sign_in", link.id)


def read(token: str) -> SignInLink:
    """The link that a token stands for, still good; raises `BadLink`. Changes nothing."""
    link = _find(token)
    if link.used_at is not None:
        raise BadLink("used", link.email)
    if link.expires_at <= now():
        raise BadLink("expired", link.email)
    return link


def redeem(token: str) -> tuple[User, str]:
    """Use a link up: the person it signs in, made now if new, and where they were going.

    Exactly one of many simultaneous tries succeeds, and it ends every other link of the address.
    """
    link = read(token)
    with database.writing():
        used = database.execute(
            update(SignInLink)
            .where(SignInLink.id == link.id, SignInLink.used_at.is_(None))
            .values(used_at=now())
        )
        if not used:
            raise BadLink("used", link.email)
        database.execute(
            update(SignInLink)
            .where(SignInLink.email == link.email, SignInLink.used_at.is_(None))
            .values(used_at=now())
        )
        person = accounts.arrive(link.email)
        if person.disabled_at or person.is_closing:
            raise BadLink("disabled", link.email)
    return person, link.next_path


def token_for(link_id: uuid.UUID) -> str:
    """What the mail carries: the id and its proof, as 54 characters that fit an address."""
    return _encode(link_id, current_app.config["SECRET_KEY"])


@jobs.sweep(minutes=60)
def forget_old_links() -> None:
    """An address that only ever asked for a link is not kept."""
    with database.writing():
        database.execute(delete(SignInLink).where(SignInLink.expires_at < now() - _KEPT))


def _find(token: str) -> SignInLink:
    try:
        raw = base64.urlsafe_b64decode(token.encode("ascii") + b"==")
        link_id = uuid.UUID(bytes=raw[:16])
    except (ValueError, binascii.Error):
        raise BadLink("unknown") from None
    keys = [current_app.config["SECRET_KEY"], *current_app.config["SECRET_KEY_FALLBACKS"]]
    if not any(hmac.compare_digest(_encode(link_id, key), token) for key in keys):
        raise BadLink("unknown")
    link = db.session.scalar(select(SignInLink).where(SignInLink.id == link_id))
    if link is None:
        raise BadLink("expired")
    return link


def _encode(link_id: uuid.UUID, key: str) -> str:
    proof = hmac.new(key.encode(), b"sign-in-link:" + link_id.bytes, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(link_id.bytes + proof[:_MAC_BYTES]).rstrip(b"=").decode()

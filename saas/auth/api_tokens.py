"""Personal access tokens let programs act for the token's owner, within its scopes.

A token is `pat_`, an eight-character prefix that identifies its row, and a secret. The row stores a
hash of the whole token. The secret is long and random, so plain SHA-256 is sufficient.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import uuid
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import delete, func, select, update

from saas import database, mail
from saas.auth.accounts import AccountError
from saas.auth.models import ApiToken, User
from saas.database import db, now

MAX_TOKENS = 50  # per user
LONGEST_NAME = 60
_TOKEN = re.compile(r"(pat_[0-9a-f]{8})_[A-Za-z0-9_-]{43}")
_NOTE_USE_EVERY = timedelta(minutes=1)  # precision of "last used", to limit writes


def create(
    user: User, name: str, scopes: Sequence[str], lifetime: timedelta | None
) -> tuple[ApiToken, str]:
    """Create a token and return it with its text, which cannot be shown again.

    Without a `lifetime`, the token never expires. Raises `AccountError` if the user already has
    `MAX_TOKENS` tokens.
    """
    prefix = f"pat_{secrets.token_hex(4)}"
    token = f"{prefix}_{secrets.token_urlsafe(32)}"
    row = ApiToken(
        user_id=user.id,
        name=name,
        prefix=prefix,
        token_hash=_hash(token),
        scopes=list(scopes),
        expires_at=now() + lifetime if lifetime else None,
    )
    with database.write_transaction() as session:
        count = select(func.count()).select_from(ApiToken).where(ApiToken.user_id == user.id)
        if (session.scalar(count) or 0) >= MAX_TOKENS:
            raise AccountError(f"You can have {MAX_TOKENS} tokens. Revoke one first.")
        session.add(row)
        session.flush()
        mail.enqueue("api_token", row.id)
    return row, token


def find(token: str) -> ApiToken | None:
    """Return the valid token with this text: not revoked, not expired, owner not disabled."""
    parts = _TOKEN.fullmatch(token)
    if parts is None:
        return None
    row = db.session.scalar(select(ApiToken).where(ApiToken.prefix == parts[1]))
    if row is None or not hmac.compare_digest(row.token_hash, _hash(token)) or row.is_expired:
        return None
    return None if row.user.disabled_at or row.user.is_closing else row


def note_use(row: ApiToken) -> None:
    """Record when a token was last used, to the minute."""
    at = now()
    if row.last_used_at is None or row.last_used_at < at - _NOTE_USE_EVERY:
        with database.write_transaction():
            database.execute(update(ApiToken).where(ApiToken.id == row.id).values(last_used_at=at))


def list_for_user(user: User) -> Sequence[ApiToken]:
    """Return a user's tokens, newest first, including expired ones."""
    own = select(ApiToken).where(ApiToken.user_id == user.id)
    return db.session.scalars(own.order_by(ApiToken.created_at.desc(), ApiToken.id.desc())).all()


def revoke(user: User, token_id: uuid.UUID) -> bool:
    """Delete a token of this user; return False if there is none. It stops working immediately."""
    own_token = (ApiToken.id == token_id, ApiToken.user_id == user.id)
    with database.write_transaction():
        return bool(database.execute(delete(ApiToken).where(*own_token)))


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()

"""Sign-ins in progress, each completed once, in the browser that started it.

The browser keeps only a few ids, so that its cookie stays small. Providers and authenticators see
HMACs of the id under the secret key, so a copy of the database cannot complete a sign-in.
"""

from __future__ import annotations

import base64
import hmac
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from flask import current_app
from sqlalchemy import delete, select

from saas import database, jobs
from saas.auth import tokens
from saas.auth.models import PendingSignIn, User
from saas.database import db, now

LIFETIME = timedelta(minutes=10)
MAX_PER_BROWSER = 5  # per browser: enough for several tabs


@dataclass(frozen=True)
class SignInState:
    """The values of a row, and those derived from its id.

    `state` and `nonce` are sent to the provider and come back; `verifier` is PKCE's; `challenge` is
    32 bytes.
    """

    id: uuid.UUID
    method: str
    purpose: str
    user_id: uuid.UUID | None
    next_path: str
    key: str

    @property
    def state(self) -> str:
        return _text(self._secret("state"))

    @property
    def nonce(self) -> str:
        return _text(self._secret("nonce"))

    @property
    def verifier(self) -> str:
        return _text(self._secret("verifier"))

    @property
    def challenge(self) -> bytes:
        return self._secret("challenge")

    def _secret(self, purpose: str) -> bytes:
        return tokens.secret_for(f"pending-sign-in-{purpose}", self.id, self.key)


def start(method: str, purpose: str, next_path: str, user: User | None = None) -> SignInState:
    """Store the start of a sign-in; `method` is google, github or passkey.

    `purpose` is sign_in, or confirm, link or register, which require the signed-in `user`.
    """
    with database.write_transaction() as session:
        row = PendingSignIn(
            method=method,
            purpose=purpose,
            user_id=user.id if user else None,
            next_path=next_path,
            expires_at=now() + LIFETIME,
        )
        session.add(row)
    return _read(row, current_app.config["SECRET_KEY"])


def complete(method: str, state: str, ids: Sequence[str]) -> SignInState | None:
    """Return this browser's sign-in for `state`, and use it up.

    `ids` are the ids that the browser kept. Returns None if the sign-in is unknown, expired,
    completed, or belongs to another browser. Only one of several concurrent calls gets it.
    """
    for started in (pending for states in map(_find, ids) for pending in states):
        if started.method == method and hmac.compare_digest(started.state.encode(), state.encode()):
            return started if _consume(started.id) else None
    return None


def complete_latest(method: str, ids: Sequence[str]) -> SignInState | None:
    """Return the browser's latest sign-in, and use it up; for passkeys, which have no state.

    Only the current key is tried: after a change of keys, users start again.
    """
    newest = [candidates[0] for candidates in map(_find, ids) if candidates]
    matching = [pending for pending in newest if pending.method == method]
    return matching[-1] if matching and _consume(matching[-1].id) else None


@jobs.periodic_task(minutes=60)
def delete_expired() -> None:
    """Delete sign-ins that were not completed in time."""
    with database.write_transaction():
        database.execute(delete(PendingSignIn).where(PendingSignIn.expires_at <= now()))


def _find(text: str) -> list[SignInState]:
    """Return a sign-in of this browser; try every secret key, because keys may have changed."""
    try:
        start_id = uuid.UUID(text)
    except ValueError:
        return []
    row = db.session.scalar(
        select(PendingSignIn).where(PendingSignIn.id == start_id, PendingSignIn.expires_at > now())
    )
    keys = [current_app.config["SECRET_KEY"], *current_app.config["SECRET_KEY_FALLBACKS"]]
    return [_read(row, key) for key in keys] if row else []


def _read(row: PendingSignIn, key: str) -> SignInState:
    return SignInState(row.id, row.method, row.purpose, row.user_id, row.next_path, key)


def _consume(start_id: uuid.UUID) -> bool:
    with database.write_transaction():
        return database.execute(delete(PendingSignIn).where(PendingSignIn.id == start_id)) == 1


def _text(secret: bytes) -> str:
    return base64.urlsafe_b64encode(secret).rstrip(b"=").decode()

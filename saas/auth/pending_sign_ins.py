"""Sign-ins that are under way elsewhere, and are finished once, in the browser that began them.

The browser keeps ids alone, a few of them, so that no number of attempts makes its cookie too large
to be sent. What a provider or an authenticator gets to see is an HMAC of the id under the secret
key: a copy of the database finishes nothing.
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
MAX_PER_BROWSER = 5  # by a browser: several tabs, not twenty


@dataclass(frozen=True)
class SignInState:
    """What stands in a row, and what is derived from its id.

    `state` and `nonce` are sent out and come back; `verifier` is PKCE's; `challenge` is 32 bytes.
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
    """Note that somebody goes off to sign in: `method` is google, github or passkey.

    `purpose` is sign_in, or confirm, link or register, which are for the signed-in `person`.
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
    """The sign-in of this browser that `state` belongs to, which is used up by this.

    `ids` is what the browser kept. None for what is unknown, foreign, over, or finished already;
    of many at once exactly one gets it.
    """
    for started in (pending for states in map(_find, ids) for pending in states):
        if started.method == method and hmac.compare_digest(started.state.encode(), state.encode()):
            return started if _consume(started.id) else None
    return None


def complete_latest(method: str, ids: Sequence[str]) -> SignInState | None:
    """The same, where nothing but what was asked last can be meant: a passkey's challenge.

    By the present key alone: after a change of keys one clicks once more.
    """
    newest = [candidates[0] for candidates in map(_find, ids) if candidates]
    matching = [pending for pending in newest if pending.method == method]
    return matching[-1] if matching and _consume(matching[-1].id) else None


@jobs.periodic_task(minutes=60)
def delete_expired() -> None:
    """Nobody came back in time."""
    with database.write_transaction():
        database.execute(delete(PendingSignIn).where(PendingSignIn.expires_at <= now()))


def _find(text: str) -> list[SignInState]:
    """What a browser began, by each secret key: it may have been changed meanwhile."""
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

"""Email changes: confirmed at the new address, and undone from the old one.

The email to the old address has an undo link for a week, so that an attacker with brief access to
an account cannot take it over.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError

from saas import database, jobs, mail, used_trials
from saas.auth import accounts, tokens
from saas.auth.models import (
    ApiToken,
    EmailChange,
    Identity,
    Passkey,
    PendingSignIn,
    Session,
    SignInLink,
    User,
)
from saas.database import db, now

log = logging.getLogger("saas.auth")

LIFETIME = timedelta(hours=1)  # long enough to find the other mailbox
UNDO = timedelta(days=7)
_KEPT = timedelta(days=1)  # so that a late click gets "expired", not "unknown"
_CONFIRM, _UNDO = "email-change", "email-undo"

Listener = Callable[[uuid.UUID], None]
_listeners: list[Listener] = []


class InvalidChange(Exception):
    """The change is not possible. `reason` is unknown, used, expired, taken or other_user."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def on_change(listener: Listener) -> Listener:
    """Register a function that runs when an email changes.

    It is called with the user's id, in the same transaction.
    """
    _listeners.append(listener)
    return listener


# --- requesting and confirming ------------------------------------------------------------------


def request_change(user: User, email: str) -> None:
    """Enqueue an email to the new, cleaned address; it replaces an older request.

    The same happens for an email that already has an account. Only the composer tells the two cases
    apart, so neither the response nor its timing reveals whether an account exists.
    """
    with database.write_transaction() as session:
        _end(EmailChange.user_id == user.id, EmailChange.confirmed_at.is_(None))
        change = EmailChange(
            id=database.uuid7(),
            user_id=user.id,
            old_email=user.email,
            new_email=email,
            expires_at=now() + LIFETIME,
        )
        session.add(change)
        session.flush()
        mail.enqueue("email_change", change.id)


def find_open(token: str, user: User) -> EmailChange:
    """Return this user's open change with this token. Raises `InvalidChange`."""
    change = _find(_CONFIRM, token)
    if change.user_id != user.id:
        raise InvalidChange("other_user")
    if change.confirmed_at or change.ended_at:
        raise InvalidChange("used")
    if change.expires_at <= now():
        raise InvalidChange("expired")
    return change


def confirm(token: str, user: User) -> str:
    """Change the user's email, once, and return the new one. Raises `InvalidChange`.

    Sign-in links sent to the old address stop working.
    """
    change = find_open(token, user)
    with database.write_transaction():
        if not _claim(change, EmailChange.confirmed_at.is_(None), confirmed_at=now()):
            raise InvalidChange("used")
        _move(user.id, change.old_email, change.new_email)
        mail.enqueue("email_changed", change.id)
    db.session.refresh(user)
    log.info("email changed", extra={"user_id": user.id})
    return change.new_email


# --- undoing ------------------------------------------------------------------------------------


def find_undoable(token: str) -> EmailChange:
    """Return the change that this token can still undo. Raises `InvalidChange`."""
    change = _find(_UNDO, token)
    if change.ended_at or change.confirmed_at is None:
        raise InvalidChange("used")
    if change.expires_at <= now():
        raise InvalidChange("expired")
    return change


def undo(token: str) -> uuid.UUID:
    """Restore the old email, once, and return the user's id. Raises `InvalidChange`.

    This ends all sessions, cancels later changes, and removes credentials added since the request
    or in the week before it, because an attacker may have added them.
    """
    change = find_undoable(token)
    with database.write_transaction():
        if not _claim(change, EmailChange.confirmed_at.isnot(None), ended_at=now()):
            raise InvalidChange("used")
        user = db.session.get(User, change.user_id, populate_existing=True)
        if user is None:
            raise InvalidChange("expired")
        _delete_empty_successor(change)
        _move(user.id, user.email, change.old_email)
        _end(EmailChange.user_id == user.id, EmailChange.id > change.id)
        _revoke_credentials(user.id, since=change.created_at - UNDO)
    log.info("email change undone", extra={"user_id": change.user_id})
    return change.user_id


def _delete_empty_successor(change: EmailChange) -> None:
    """Delete an empty account that took the old address after the change.

    Its owner signed in with that email before using the undo link. The link proves that they own
    the mailbox, so no other user loses anything.
    """
    newer = accounts.find_by_email(change.old_email)
    if newer is None or newer.id == change.user_id:
        return
    locked = accounts.lock(newer)
    is_younger = locked and change.confirmed_at and locked.created_at >= change.confirmed_at
    if locked and is_younger and accounts.is_empty(locked):
        database.execute(delete(User).where(User.id == locked.id))


def _revoke_credentials(user_id: uuid.UUID, since: datetime) -> None:
    for begun in (Session, PendingSignIn):
        database.execute(delete(begun).where(begun.user_id == user_id))
    for added in (Identity, Passkey, ApiToken):
        database.execute(delete(added).where(added.user_id == user_id, added.created_at >= since))


# --- shared -------------------------------------------------------------------------------------


def confirm_token(change_id: uuid.UUID) -> str:
    """Return the token for the email to the new address."""
    return tokens.token_for(_CONFIRM, change_id)


def undo_token(change_id: uuid.UUID) -> str:
    """Return the token for the email to the old address."""
    return tokens.token_for(_UNDO, change_id)


def _find(purpose: str, token: str) -> EmailChange:
    change_id = tokens.row_id(purpose, token)
    if change_id is None:
        raise InvalidChange("unknown")
    change = db.session.scalar(select(EmailChange).where(EmailChange.id == change_id))
    if change is None:
        raise InvalidChange("expired")  # deleted, or its user was deleted
    return change


def _claim(change: EmailChange, *conditions: Any, **values: datetime) -> bool:
    """Mark the change as used; return True for only one of several concurrent calls."""
    until = {"expires_at": now() + UNDO} if "confirmed_at" in values else {}
    still_open = (EmailChange.ended_at.is_(None), EmailChange.expires_at > now())
    return bool(
        database.execute(
            update(EmailChange)
            .where(EmailChange.id == change.id, *still_open, *conditions)
            .values(**values, **until)
        )
    )


def _move(user_id: uuid.UUID, old: str, new: str) -> None:
    """Write the new email, delete sign-in links of the old one, and call the listeners.

    The trial of the old email remains used.
    """
    trial_used_at = db.session.scalar(select(User.trial_used_at).where(User.id == user_id))
    if trial_used_at:
        used_trials.remember(old, trial_used_at)
    other = accounts.find_by_email(new)
    if other is not None and other.id != user_id:
        raise InvalidChange("taken")
    try:
        accounts.write(user_id, email=new, verified_at=now())
    except IntegrityError:  # another user signed up with it at the same time
        raise InvalidChange("taken") from None
    database.execute(delete(SignInLink).where(SignInLink.email == old))
    for listener in _listeners:
        listener(user_id)


def _end(*which: Any) -> None:
    database.execute(
        update(EmailChange).where(*which, EmailChange.ended_at.is_(None)).values(ended_at=now())
    )


@jobs.periodic_task(minutes=60)
def delete_old_changes() -> None:
    """Delete changes that can no longer be undone."""
    is_old = EmailChange.expires_at < now() - _KEPT
    with database.write_transaction():
        mail.delete_for(select(EmailChange.id).where(is_old))
        database.execute(delete(EmailChange).where(is_old))

"""View the pages of a user as an administrator: read-only, and for at most an hour.

The administrator's session stays; its row names the viewed user. The pages of `saas.admin` start
and end it.
"""

from __future__ import annotations

import uuid
from datetime import timedelta

from flask import session
from sqlalchemy import update

from saas import database
from saas.auth import audit
from saas.auth.accounts import AccountError
from saas.auth.models import Session, User
from saas.database import db, now

LONGEST = timedelta(hours=1)


def start(admin: User, user: User, *, reason: str) -> None:
    """Show the pages of `user` in this browser. Raises `AccountError` for an administrator."""
    if user.is_admin:
        raise AccountError("Administrators cannot be viewed. Ask them.")
    with database.write_transaction():
        _write(admin, viewed_user_id=user.id, viewing_until=now() + LONGEST)
        audit.record("view as", user.id, by=str(admin.id), reason=reason)
    session.pop("csrf_token", None)  # forms of the own pages, in other tabs, are not accepted


def end(user: User) -> None:
    """Show the administrator's own pages again, and record the end."""
    viewed_id = user.id if user.viewer else user.viewed_before
    if viewed_id is None:
        return
    admin = user.viewer or user
    with database.write_transaction():
        _write(user, viewed_user_id=None, viewing_until=None)
        audit.record("end view as", viewed_id, by=str(admin.id))
    session.pop("csrf_token", None)  # forms of the viewed pages, in other tabs, are not accepted


def has_run_out(user: User) -> bool:
    """Return whether viewing ended by time, and no request has said so yet."""
    return getattr(user, "viewed_before", None) is not None


def viewed_by(admin: User, user_id: uuid.UUID) -> User:
    """Return the viewed user, or the administrator if viewing is not possible any more."""
    user = db.session.get(User, user_id)
    if user is None or user.is_admin or not admin.is_admin:
        return admin
    user.viewer = admin
    return user


def _write(user: User, **columns: object) -> None:
    own = update(Session).where(Session.id == user.session_id)
    database.execute(own.values(columns))

"""Sessions are rows: signing out, revoking and deleting take effect on the next request.

The browser holds a random token, and the row stores its hash. With Flask-Login's cookie alone, a
copy of the cookie would stay valid after signing out.
"""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Sequence
from datetime import timedelta

from flask import Flask, request, session, url_for
from flask_login import current_user, login_user, logout_user
from sqlalchemy import bindparam, delete, select, update
from werkzeug.exceptions import Unauthorized
from werkzeug.utils import redirect
from werkzeug.wrappers import Response

from saas import database, errors, jobs, mail, security
from saas.auth import accounts, viewing
from saas.auth.models import PendingSignIn, Session, SignInLink, User
from saas.database import db, now
from saas.extensions import login_manager

IDLE = timedelta(days=30)
ABSOLUTE = timedelta(days=90)
_SEEN_EVERY = timedelta(minutes=5)  # precision of "last seen", to limit writes


# Every signed-in request runs the first query, and the settings the second, so they are built once.
_SESSION_AND_USER = (
    select(
        User,
        Session.id,
        Session.last_seen_at,
        Session.created_at,
        Session.viewed_user_id,
        Session.viewing_until,
    )
    .join(Session, User.id == Session.user_id)
    .where(Session.token_hash == bindparam("token_hash"), User.disabled_at.is_(None))
    .where(Session.expires_at > bindparam("now"), Session.last_seen_at > bindparam("idle"))
)
_OF_USER = (
    select(Session)
    .where(Session.user_id == bindparam("user_id"))
    .where(Session.expires_at > bindparam("now"), Session.last_seen_at > bindparam("idle"))
    .order_by(Session.last_seen_at.desc())
)


def init_app(app: Flask) -> None:
    """Let Flask-Login load users by the session in the browser's cookie."""
    app.config["PERMANENT_SESSION_LIFETIME"] = ABSOLUTE
    app.config["SESSION_REFRESH_EACH_REQUEST"] = False
    login_manager.init_app(app)
    login_manager.session_protection = None  # the row decides, not the browser's fingerprint
    login_manager.user_loader(_load)
    login_manager.unauthorized_handler(_ask_to_sign_in)


def start(user: User) -> None:
    """Sign this browser in with a new session.

    Call it in the transaction that identified the user, so that the session does not outlive a
    concurrent end of all sessions, such as disabling.
    """
    if current_user.is_authenticated:
        end()
    token = secrets.token_urlsafe(32)
    with database.write_transaction() as database_session:
        locked = accounts.lock(user)
        if locked is None or locked.disabled_at:
            return
        row = Session(
            token_hash=_hash(token),
            user_id=user.id,
            expires_at=now() + ABSOLUTE,
            user_agent=request.user_agent.string[:200],
        )
        database_session.add(row)
    security.new_session()
    session.permanent = True
    user.session_id, user.session_token = row.id, token
    user.signed_in_at = row.created_at
    login_user(user)


def end() -> None:
    """Sign this browser out."""
    with database.write_transaction():
        database.execute(delete(Session).where(Session.id == current_user.session_id))
    clear_cookie()


def clear_cookie() -> None:
    """Clear the cookie of a user whose rows are already deleted."""
    logout_user()
    security.new_session()


def list_for_user(user: User) -> Sequence[Session]:
    """Return the user's sessions, the current one first."""
    at = now()
    which = {"user_id": user.id, "now": at, "idle": at - IDLE}
    rows = db.session.scalars(_OF_USER, which).all()
    return sorted(rows, key=lambda row: row.id != user.session_id)


def revoke(user: User, session_id: uuid.UUID) -> bool:
    """Sign out another browser of this user; return False if there is no such session."""
    own_session = (Session.user_id == user.id, Session.id != user.session_id)
    with database.write_transaction():
        return bool(database.execute(delete(Session).where(Session.id == session_id, *own_session)))


def revoke_others(user: User) -> int:
    """Sign out all other browsers of this user; return their number."""
    other_sessions = (Session.user_id == user.id, Session.id != user.session_id)
    with database.write_transaction():
        return database.execute(delete(Session).where(*other_sessions))


def revoke_all() -> int:
    """Sign out all users; return the number of sessions.

    Also deletes sign-in links and sign-ins in progress: in a restored database, those that were
    used or replaced since the backup would be valid again.
    """
    with database.write_transaction():
        mail.delete_for(select(SignInLink.id))
        for begun in (SignInLink, PendingSignIn):
            database.execute(delete(begun))
        return database.execute(delete(Session))


@jobs.periodic_task(minutes=60)
def delete_expired_sessions() -> None:
    """Delete expired sessions. Idle ones are no longer valid, and are deleted when they expire."""
    with database.write_transaction():
        database.execute(delete(Session).where(Session.expires_at <= now()))


def _load(token: str) -> User | None:
    at = now()
    which = {"token_hash": _hash(token), "now": at, "idle": at - IDLE}
    row = db.session.execute(_SESSION_AND_USER, which).one_or_none()
    if row is None:
        return None
    user: User = row[0]
    if row.viewed_user_id:
        if row.viewing_until > at:
            user = viewing.viewed_by(user, row.viewed_user_id)
        else:
            user.viewed_before = row.viewed_user_id
    user.session_id, user.session_token = row.id, token
    user.signed_in_at = row.created_at
    if row.last_seen_at < at - _SEEN_EVERY:
        _note_seen(row.id)
    return user


def _note_seen(session_id: uuid.UUID) -> None:
    with database.write_transaction():
        database.execute(update(Session).where(Session.id == session_id).values(last_seen_at=now()))


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _ask_to_sign_in() -> Response:
    """Redirect browsers to sign-in and back; return 401 to programs."""
    if errors.wants_json():
        raise Unauthorized
    next_path = request.full_path.rstrip("?") if request.method == "GET" else ""
    return redirect(url_for("auth.login", next=security.safe_path(next_path, "") or None), code=303)

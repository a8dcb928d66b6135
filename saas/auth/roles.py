"""Roles and disabled accounts. The last administrator always remains."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from flask import abort
from flask_login import current_user, login_required
from sqlalchemy import delete, select

from saas import database
from saas.auth import accounts, audit
from saas.auth.accounts import AccountError
from saas.auth.models import PendingSignIn, Session, User
from saas.database import db, now

View = TypeVar("View", bound=Callable[..., Any])


def admin_required(view: View) -> View:
    """Require an administrator: anonymous visitors are sent to sign-in, users get 403."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if not current_user.is_admin:
            abort(403)
        return view(*args, **kwargs)

    return login_required(guarded)  # type: ignore[return-value]  # the same signature, by wraps


def promote(user: User, *, by: str, reason: str | None = None) -> None:
    """Make a user an administrator. Raises `AccountError` if they cannot sign in."""
    with database.write_transaction():
        _refresh(user)
        if user.disabled_at or user.is_closing:
            raise AccountError(f"{user.email} cannot sign in, so they cannot be an administrator.")
        _change(user, "promote", by, reason, role="admin")


def demote(user: User, *, by: str, reason: str | None = None) -> None:
    """Make an administrator an ordinary user. Raises `AccountError` for the last one."""
    with database.write_transaction():
        _refuse_last_admin(user)
        _change(user, "demote", by, reason, role="user")


def step_down(user: User) -> None:
    """Give up one's own administrator role. Raises `AccountError` for the last administrator."""
    with database.write_transaction():
        if is_last_admin(user):
            raise AccountError(
                "You are the last administrator, so nothing was changed. Promote another user "
                "first."
            )
        _change(user, "step down", str(user.id), None, role="user")


def disable(user: User, *, by: str, reason: str | None = None) -> None:
    """Block sign-in, and end all sessions. Raises `AccountError` for the last administrator.

    A subscription continues; cancel it in Stripe.
    """
    with database.write_transaction():
        _refuse_last_admin(user)
        _end_sessions(user)
        _change(user, "disable", by, reason, disabled_at=user.disabled_at or now())


def enable(user: User, *, by: str, reason: str | None = None) -> None:
    """Allow a disabled user to sign in again."""
    with database.write_transaction():
        _change(user, "enable", by, reason, disabled_at=None)


def is_last_admin(user: User) -> bool:
    """Return whether this is the only administrator.

    Inside `write_transaction()`, this stays true until its end.
    """
    # Lock the rows, so that two administrators who leave at the same time wait for each other on
    # PostgreSQL, and in a fixed order to avoid a deadlock.
    admins = db.session.scalars(
        select(User.id)
        .where(User.role == "admin", User.disabled_at.is_(None), User.closing_at.is_(None))
        .order_by(User.id)
        .with_for_update()
    ).all()
    return list(admins) == [user.id]


def _refuse_last_admin(user: User) -> None:
    if is_last_admin(user):
        raise AccountError(f"{user.email} is the last administrator. Promote another user first.")


def _change(user: User, action: str, by: str, reason: str | None, **columns: Any) -> None:
    """Change columns and record the action, if anything changes. A new role ends all sessions."""
    _refresh(user)
    if all(getattr(user, name) == value for name, value in columns.items()):
        return
    if "role" in columns:
        _end_sessions(user)
    accounts.write(user.id, **columns)
    audit.record(action, user.id, by=by, reason=reason)
    _refresh(user)


def _end_sessions(user: User) -> None:
    for begun in (Session, PendingSignIn):
        database.execute(delete(begun).where(begun.user_id == user.id))


def _refresh(user: User) -> None:
    db.session.refresh(user)

"""Roles, and accounts that may not sign in. The last administrator stays, whoever tries at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from flask import abort
from flask_login import current_user, login_required
from sqlalchemy import delete, select, update

from saas import database
from saas.auth import audit
from saas.auth.accounts import AccountError
from saas.auth.models import PendingSignIn, Session, User
from saas.database import db, now

View = TypeVar("View", bound=Callable[..., Any])


def admin_required(view: View) -> View:
    """Let administrators in: anonymous people are sent to sign in, users get 403."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if not current_user.is_admin:
            abort(403)
        return view(*args, **kwargs)

    return login_required(guarded)  # type: ignore[return-value]  # the same signature, by wraps


def promote(person: User, *, by: str) -> None:
    """Make somebody an administrator; raises `NotPossible` for who cannot sign in."""
    with database.write_transaction():
        _reread(person)
        if person.disabled_at or person.is_closing:
            raise AccountError(f"{person.email} cannot sign in, and so cannot administer.")
        _change(person, "promote", by, role="admin")


def demote(person: User, *, by: str) -> None:
    """Make an administrator a user again; raises `NotPossible` for the last one."""
    with database.write_transaction():
        _keep_the_last(person)
        _change(person, "demote", by, role="user")


def step_down(person: User) -> None:
    """Give one's own role up; raises `NotPossible` for the last administrator."""
    with database.write_transaction():
        if is_last_admin(person):
            raise AccountError(
                "You are the last administrator. Promote somebody else first; nothing was changed."
            )
        _change(person, "step down", str(person.id), role="user")


def disable(person: User, *, by: str) -> None:
    """Nobody signs in to this account any more, and whoever is signed in is not at the next click.

    Raises `NotPossible` for the last administrator. What is paid for goes on: end that at Stripe.
    """
    with database.write_transaction():
        _keep_the_last(person)
        _end_sessions(person)
        _change(person, "disable", by, disabled_at=person.disabled_at or now())


def enable(person: User, *, by: str) -> None:
    """Let a disabled person sign in again."""
    with database.write_transaction():
        _change(person, "enable", by, disabled_at=None)


def is_last_admin(person: User) -> bool:
    """Return whether this is the only administrator.

    Inside `write_transaction()` the answer holds until its end.
    """
    # Locking the rows makes two who leave at once wait for each other on PostgreSQL too; in one
    # order, so that neither holds what the other waits for.
    admins = db.session.scalars(
        select(User.id)
        .where(User.role == "admin", User.disabled_at.is_(None), User.closing_at.is_(None))
        .order_by(User.id)
        .with_for_update()
    ).all()
    return list(admins) == [person.id]


def _keep_the_last(person: User) -> None:
    if is_last_admin(person):
        raise AccountError(f"{person.email} is the last administrator. Promote another first.")


def _change(person: User, action: str, by: str, **columns: Any) -> None:
    """Change and record it, unless the person is like that already.

    A session never outlives the role that it was begun with.
    """
    _reread(person)
    if all(getattr(person, name) == value for name, value in columns.items()):
        return
    if "role" in columns:
        _end_sessions(person)
    database.execute(update(User).where(User.id == person.id).values(**columns))
    audit.record(action, person.id, by=by)
    _reread(person)


def _end_sessions(person: User) -> None:
    for begun in (Session, PendingSignIn):
        database.execute(delete(begun).where(begun.user_id == person.id))


def _reread(person: User) -> None:
    db.session.refresh(person)

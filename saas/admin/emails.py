"""The email to a user whose pages an administrator views, if the operator wants it sent."""

from __future__ import annotations

import uuid

from flask import current_app

from saas import database, mail, security
from saas.auth.models import User
from saas.database import db
from saas.mail.transports import compose


def notify(user: User) -> None:
    """Enqueue the email if `VIEW_AS_EMAIL` is true."""
    if not current_app.config["VIEW_AS_EMAIL"]:
        return
    with database.write_transaction():
        mail.enqueue("account_viewed", user.id, key=f"account_viewed:{database.uuid7()}")


@mail.email("account_viewed")
def account_viewed(user_id: uuid.UUID) -> mail.Email | None:
    """Compose the email; None if the user was deleted."""
    user = db.session.get(User, user_id)
    return _account_viewed(user.email) if user else None


@mail.preview("account_viewed")
def account_viewed_preview() -> mail.Email:
    """Return a sample."""
    return _account_viewed("ada@example.com")


def _account_viewed(to: str) -> mail.Email:
    return compose(
        to,
        f"We looked at your account at {current_app.config['APP_NAME']}",
        "account_viewed",
        url=security.public_url("users.dashboard"),
        contact=current_app.config["SUPPORT_EMAIL"],
    )

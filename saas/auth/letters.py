"""The mails that auth sends."""

from __future__ import annotations

import uuid

from flask import current_app

from saas import mail, security
from saas.auth import accounts, links
from saas.auth.models import SignInLink
from saas.database import db, now
from saas.mail.transports import compose


@mail.letter("sign_in")
def sign_in(link_id: uuid.UUID) -> mail.Letter | None:
    """The link that was asked for; nothing when it is used, over, or the account is disabled."""
    link = db.session.get(SignInLink, link_id)
    if link is None or link.used_at is not None or link.expires_at <= now():
        return None
    person = accounts.find(link.email)
    if person is not None and (person.disabled_at or person.is_closing):
        return None
    name = current_app.config["APP_NAME"]
    return compose(
        link.email,
        f"Sign in to {name}",
        "sign_in",
        url=security.public_url("auth.link", token=links.token_for(link.id)),
        app_name=name,
        minutes=int(links.LIFETIME.total_seconds() // 60),
    )

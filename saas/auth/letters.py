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
    if link is None or link.used_at or link.replaced_at or link.expires_at <= now():
        return None
    person = accounts.find(link.email)
    if person is not None and (person.disabled_at or person.is_closing):
        return None
    return _sign_in(link.email, links.token_for(link.id), links.code_for(link.id))


@mail.sample("sign_in")
def sign_in_sample() -> mail.Letter:
    """A link and a code that sign nobody in."""
    return _sign_in(
        "ada@example.com", "AZqp3rN6e2S4mYcXc1vT0H2oWq8Lk5RbJd7Gf9ZxQpUwEnMtVsKyCA", "402718"
    )


def _sign_in(to: str, token: str, code: str) -> mail.Letter:
    name = current_app.config["APP_NAME"]
    return compose(
        to,
        f"Sign in to {name}",
        "sign_in",
        url=security.public_url("auth.link", token=token),
        code=code,
        minutes=int(links.LIFETIME.total_seconds() // 60),
    )

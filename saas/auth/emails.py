"""The emails of the auth package."""

from __future__ import annotations

import uuid

from flask import current_app

from saas import mail, security
from saas.auth import accounts, email_changes, magic_links
from saas.auth.errors import PROVIDER_NAMES
from saas.auth.models import ApiToken, EmailChange, SignInLink, User
from saas.database import db, now
from saas.mail.transports import compose

_NO_TOKEN = "AZqp3rN6e2S4mYcXc1vT0H2oWq8Lk5RbJd7Gf9ZxQpUwEnMtVsKyCA"  # noqa: S105 - as long as a real one, but invalid


@mail.email("sign_in")
def sign_in(link_id: uuid.UUID) -> mail.Email | None:
    """Compose the sign-in email, unless its link is used or expired, or the account is disabled."""
    link = db.session.get(SignInLink, link_id)
    if link is None or link.used_at or link.replaced_at or link.expires_at <= now():
        return None
    user = accounts.find_by_email(link.email)
    if user is not None and (user.disabled_at or user.is_closing):
        return None
    return _sign_in(link.email, magic_links.token_for(link.id), magic_links.code_for(link.id))


@mail.preview("sign_in")
def sign_in_preview() -> mail.Email:
    """Return a sample with an invalid link and code."""
    return _sign_in("ada@example.com", _NO_TOKEN, "402718")


def _sign_in(to: str, token: str, code: str) -> mail.Email:
    name = current_app.config["APP_NAME"]
    return compose(
        to,
        f"Sign in to {name}",
        "sign_in",
        url=security.public_url("auth.link", token=token),
        code=code,
        minutes=int(magic_links.LIFETIME.total_seconds() // 60),
    )


@mail.email("email_change")
def email_change(change_id: uuid.UUID) -> mail.Email | None:
    """Compose the email to a new address; its text differs if it already has an account."""
    change = db.session.get(EmailChange, change_id)
    if change is None or change.confirmed_at or change.ended_at or change.expires_at <= now():
        return None
    if accounts.find_by_email(change.new_email):
        return _email_taken(change.new_email)
    return _email_change(change.new_email, email_changes.confirm_token(change.id))


@mail.email("email_changed")
def email_changed(change_id: uuid.UUID) -> mail.Email | None:
    """Compose the email to the old address, with the undo link."""
    change = db.session.get(EmailChange, change_id)
    if change is None or change.ended_at or change.expires_at <= now():
        return None
    return _email_changed(change.old_email, email_changes.undo_token(change.id))


@mail.email("sign_in_method")
def sign_in_method(user_id: uuid.UUID, method: str, change: str, to: str = "") -> mail.Email | None:
    """Notify the owner of an account that a sign-in method was added or removed.

    `to` is empty if the email had been given up on and is now retried.
    """
    user = db.session.get(User, user_id)
    return _sign_in_method(to or user.email, method, change) if user else None


@mail.email("api_token")
def api_token(token_id: uuid.UUID) -> mail.Email | None:
    """Notify the owner of a new API token, unless it was revoked."""
    row = db.session.get(ApiToken, token_id)
    return _api_token(row.user.email, row.name) if row else None


@mail.preview("api_token")
def api_token_preview() -> mail.Email:
    """Return a sample email about a new token."""
    return _api_token("ada@example.com", "Nightly job")


@mail.preview("email_change")
def email_change_preview() -> mail.Email:
    """Return a sample with an invalid link."""
    return _email_change("ada@example.com", _NO_TOKEN)


@mail.preview("email_taken")
def email_taken_preview() -> mail.Email:
    """Return a sample for the owner of an email that has an account."""
    return _email_taken("ada@example.com")


@mail.preview("email_changed")
def email_changed_preview() -> mail.Email:
    """Return a sample with an invalid undo link."""
    return _email_changed("ada@example.com", _NO_TOKEN)


@mail.preview("sign_in_method")
def sign_in_method_preview() -> mail.Email:
    """Return a sample email about an added passkey."""
    return _sign_in_method("ada@example.com", "passkey", "added")


@mail.preview("sign_in_method_removed")
def sign_in_method_removed_preview() -> mail.Email:
    """Return a sample email about an unlinked Google account."""
    return _sign_in_method("ada@example.com", "google", "removed")


def _email_change(to: str, token: str) -> mail.Email:
    url = security.public_url("auth.email_change", token=token)
    return compose(to, f"Confirm your new address at {_name()}", "email_change", url=url)


def _email_taken(to: str) -> mail.Email:
    return compose(to, f"This address has an account at {_name()}", "email_taken")


def _email_changed(to: str, token: str) -> mail.Email:
    url = security.public_url("auth.email_undo", token=token)
    return compose(to, f"Your address at {_name()} was changed", "email_changed", url=url)


def _sign_in_method(to: str, method: str, change: str) -> mail.Email:
    called = "A passkey" if method == "passkey" else f"Your {PROVIDER_NAMES[method]} account"
    subject = {
        "added": f"{called} can sign in to {_name()}",
        "removed": f"{called} can no longer sign in to {_name()}",
    }[change]
    is_added = change == "added"
    url = security.public_url("users.settings")
    return compose(to, subject, "sign_in_method", called=called, is_added=is_added, url=url)


def _api_token(to: str, name: str) -> mail.Email:
    url = security.public_url("users.tokens")
    return compose(to, f"New API token at {_name()}", "api_token", name=name, url=url)


def _name() -> str:
    return str(current_app.config["APP_NAME"])

"""Create, find and rename accounts."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Any

from email_validator import EmailNotValidError, validate_email
from flask import current_app
from sqlalchemy import ColumnElement, bindparam, delete, exists, func, select, update
from sqlalchemy.orm import joinedload

from saas import database
from saas.auth import audit, normalization
from saas.auth.models import ApiToken, Identity, Passkey, PendingSignIn, Session, SignInLink, User
from saas.database import db

_PAGE_SIZE = 500
NAME_LENGTH = 100  # characters
# RFC 6761, RFC 6762, RFC 8375, and ICANN's `internal`.
_LOCAL_NAME = re.compile(
    r"(?<=[@.])(?:localhost|local|test|internal|invalid|home\.arpa)\Z", re.IGNORECASE
)

_SIGN_IN_METHODS = (
    select(User)
    .options(joinedload(User.identities), joinedload(User.passkeys))
    .where(User.id == bindparam("user_id"))
)


class AccountError(Exception):
    """The operation on the account is not possible; the message tells the user why."""


def load_sign_in_methods(user: User) -> None:
    """Load a user's identities and passkeys with one query, before a page asks for both."""
    db.session.scalars(_SIGN_IN_METHODS, {"user_id": user.id}).unique().one_or_none()


def clean_email(value: str) -> str:
    """Return the canonical form of an email, used for lookups, limits, storage and sending.

    The result is ASCII and lower case. Otherwise a fullwidth dot or a Kelvin sign could give one
    mailbox two accounts, or two mailboxes one. Invisible characters are removed. Encoded words (RFC
    2047) are refused, because an email header would decode them into another address.

    Raises ValueError with a message for the user.
    """
    value = normalization.strip(normalization.half_width(value))
    if "=?" in value:
        raise ValueError("An email address cannot contain encoded words such as =?utf-8?q?…?=.")
    try:
        email = _validate(value)
    except EmailNotValidError as error:
        raise ValueError(str(error)) from None
    if not email:
        raise ValueError("We can't send email to this kind of address.")
    return email.lower()


def _validate(email: str) -> str | None:
    """Return the ASCII form of an email; local domains are valid outside of production.

    The validator refuses domains that never exist in the public DNS, except `test` on request.
    Local domains are therefore validated as `test`.
    """
    local_name = _LOCAL_NAME.search(email)
    if local_name is None or current_app.config["SAAS_ENV"] == "production":
        return validate_email(email, check_deliverability=False, allow_smtputf8=False).ascii_email
    checked = validate_email(
        email[: local_name.start()] + "test",
        check_deliverability=False,
        allow_smtputf8=False,
        test_environment=True,
        globally_deliverable=False,
    )
    return checked.ascii_email and checked.ascii_email.removesuffix("test") + local_name[0]


def clean_name(value: str) -> str:
    """Return a name in its stored form. Raises ValueError with a message for the user."""
    name = normalization.clean_name(value)
    if not name:
        raise ValueError("Enter your name.")
    if len(name) > NAME_LENGTH:
        raise ValueError(f"Enter at most {NAME_LENGTH} characters. You entered {len(name)}.")
    if not normalization.without_invisible(name).isprintable():
        raise ValueError("Use visible characters only.")
    return name


def find_by_email(email: str) -> User | None:
    """Return the user with this cleaned email, or None."""
    return db.session.scalar(select(User).where(User.email == email))


def get_by_email(email: str) -> User:
    """Return the user with this email. Raises `AccountError` if there is none."""
    try:
        cleaned = clean_email(email)
    except ValueError as error:
        raise AccountError(f"{email!r} is not a valid email address: {error}") from None
    user = find_by_email(cleaned)
    if user is None:
        raise AccountError(f"No account has the email {cleaned}.")
    return user


def get_or_create(
    email: str, *, name: str | None = None, role: str = "user", user_id: uuid.UUID | None = None
) -> User:
    """Return the account with this email, creating it if necessary, with a new id or `user_id`."""
    with database.write_transaction():
        database.insert_or_ignore(
            User,
            id=user_id or database.uuid7(),
            email=email,
            name=name,
            role=role,
            created_at=database.now(),
            stripe_customer_generation=0,
            stripe_sync_counter=0,
        )
        user = find_by_email(email)
    if user is None:
        raise RuntimeError("the account was inserted but cannot be read")
    return user


def create(email: str, *, name: str | None, role: str, by: str) -> User:
    """Create an account for another person. Raises `AccountError` if the email already has one."""
    with database.write_transaction():
        if find_by_email(email):
            raise AccountError(f"{email} already has an account.")
        user = get_or_create(email, name=name, role=role)
        audit.record("create" if role == "user" else f"create as {role}", user.id, by=by)
    return user


def recreate(user_id: uuid.UUID, email: str, *, by: str) -> User:
    """Create an account again under its earlier id, because a restored backup does not have it.

    Its email is unverified until its owner signs in. Raises `AccountError` if it already has an
    account.
    """
    with database.write_transaction():
        user = get_or_create(email, user_id=user_id)
        if user.id != user_id:
            raise AccountError(f"{email} already has an account.")
        audit.record("recreate", user_id, by=by)
    return user


def lock(user: User) -> User | None:
    """Return the current user, locked until the end of the transaction.

    Returns None if the user was deleted. Call inside `write_transaction()`.
    """
    # Do not block inserts of rows that refer to this one, to avoid deadlocks.
    locked = select(User).where(User.id == user.id).with_for_update(key_share=True)
    return db.session.scalar(locked.execution_options(populate_existing=True))


def get_or_create_verified(email: str) -> User:
    """Return the account of an email that its owner has just verified, creating it if necessary.

    The first verification revokes earlier credentials. Otherwise an attacker could create an
    account for another person's email and wait for its owner to use it (account pre-hijacking).
    """
    with database.write_transaction():
        user = get_or_create(email)
        if user.verified_at is None:
            _revoke_credentials(user)
            write(user.id, verified_at=database.now())
            db.session.refresh(user)
    return user


def is_empty(user: User) -> bool:
    """Return whether an account has only an email, a name and sign-in methods."""
    if user.is_admin or user.stripe_customer_id or user.trial_used_at:
        return False
    credentials = {
        model.__tablename__ for model in (Session, PendingSignIn, Identity, Passkey, ApiToken)
    }
    references = (
        key.parent
        for table in db.metadata.tables.values()
        if table.name not in credentials
        for key in table.foreign_keys
        if key.column.table.name == User.__tablename__
    )
    return not any(db.session.scalar(select(exists().where(it == user.id))) for it in references)


def rename(user: User, name: str) -> None:
    """Change the name of a user; the form has validated it."""
    with database.write_transaction():
        write(user.id, name=name)
    db.session.refresh(user)


def write(user_id: uuid.UUID, *conditions: ColumnElement[bool], **columns: Any) -> bool:
    """Write columns of an account; return whether it existed and met the conditions.

    Columns that copy Stripe's state belong to `billing.customers` and `billing.subscriptions`.
    Call inside `write_transaction()`.
    """
    row = update(User).where(User.id == user_id, *conditions)
    return database.execute(row.values(columns)) == 1


def list_all(after: str = "") -> Iterator[User]:
    """Yield the users in order of email, loaded page by page; with `after`, only later emails."""
    last = after
    while page := db.session.scalars(
        select(User).where(User.email > last).order_by(User.email).limit(_PAGE_SIZE)
    ).all():
        last = page[-1].email
        for user in page:
            yield user
            db.session.expunge(user)  # so that memory does not grow with the number of users


def count() -> int:
    """Return the number of accounts."""
    return db.session.scalar(select(func.count()).select_from(User)) or 0


def _revoke_credentials(user: User) -> None:
    for way_in in (Session, Identity, Passkey, PendingSignIn, ApiToken):
        database.execute(delete(way_in).where(way_in.user_id == user.id))
    # The link that is being used is already marked as used; attackers may hold others.
    others = (SignInLink.email == user.email, SignInLink.used_at.is_(None))
    database.execute(update(SignInLink).where(*others).values(used_at=database.now()))

"""Accounts: making them, naming them, finding them."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Any

from email_validator import EmailNotValidError, validate_email
from flask import current_app
from sqlalchemy import ColumnElement, delete, exists, func, select, update

from saas import database
from saas.auth import audit, normalization
from saas.auth.models import ApiToken, Identity, Passkey, PendingSignIn, Session, SignInLink, User
from saas.database import db

NAME_LENGTH = 100  # characters, of a name that may have one
# RFC 6761, RFC 6762, RFC 8375, and ICANN's `internal`.
_LOCAL_NAME = re.compile(
    r"(?<=[@.])(?:localhost|local|test|internal|invalid|home\.arpa)\Z", re.IGNORECASE
)


class AccountError(Exception):
    """Something about an account cannot be done; the message says why, for a person."""


def clean_email(value: str) -> str:
    """The one form of an address that is looked up, limited, stored and sent to.

    ASCII and lower case: a fullwidth dot or a Kelvin sign would otherwise make two addresses of
    one mailbox, or one address of two. What was pasted along invisibly is dropped. Encoded words
    (RFC 2047) are refused: a mail header would decode them into another address. Raises ValueError
    with a message for a person.
    """
    value = normalization.strip(normalization.half_width(value))
    if "=?" in value:
        raise ValueError("An address must not hold encoded words, such as =?utf-8?q?…?=.")
    try:
        email = _validate(value)
    except EmailNotValidError as error:
        raise ValueError(str(error)) from None
    if not email:
        raise ValueError("We can't send email to this kind of address.")
    return email.lower()


def _validate(email: str) -> str | None:
    """Return the ASCII form of an address; outside of production also where it is local.

    The validator refuses names that are never in the public DNS, but for `test` if it is asked to
    accept that one, so `test` stands in for them.
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
    """A name as it is stored; raises ValueError with a message for a person."""
    name = normalization.clean_name(value)
    if not name:
        raise ValueError("Enter your name.")
    if len(name) > NAME_LENGTH:
        raise ValueError(f"Enter at most {NAME_LENGTH} characters; this is {len(name)}.")
    if not normalization.without_invisible(name).isprintable():
        raise ValueError("Use visible characters only.")
    return name


def find_by_email(email: str) -> User | None:
    """The person with this address, already cleaned."""
    return db.session.scalar(select(User).where(User.email == email))


def get_by_email(email: str) -> User:
    """The person with this address; raises `NotPossible` when there is none."""
    try:
        address = clean_email(email)
    except ValueError as error:
        raise AccountError(f"{email!r} is not an address: {error}") from None
    user = find_by_email(address)
    if user is None:
        raise AccountError(f"No account has the email {address}.")
    return user


def get_or_create(email: str, *, name: str | None = None, role: str = "user") -> User:
    """The account of this address, made now when there is none."""
    with database.write_transaction():
        database.insert_or_ignore(
            User,
            id=database.uuid7(),
            email=email,
            name=name,
            role=role,
            created_at=database.now(),
            stripe_customer_generation=0,
            stripe_sync_counter=0,
        )
        user = find_by_email(email)
    if user is None:
        raise RuntimeError("an account was inserted and is not there")
    return user


def create(email: str, *, name: str | None, role: str, by: str) -> User:
    """Make an account for somebody else; raises `NotPossible` when the address has one."""
    with database.write_transaction():
        if find_by_email(email):
            raise AccountError(f"{email} has an account already.")
        user = get_or_create(email, name=name, role=role)
        audit.record("create" if role == "user" else f"create as {role}", user.id, by=by)
    return user


def lock(user: User) -> User | None:
    """The person as they are now, whom nobody else changes until this transaction ends.

    None when they are gone. Call inside `write_transaction()`.
    """
    # Not in the way of rows that refer to this one, or two such writers would wait for each other.
    locked = select(User).where(User.id == user.id).with_for_update(key_share=True)
    return db.session.scalar(locked.execution_options(populate_existing=True))


def get_or_create_verified(email: str) -> User:
    """The account of an address whose owner has just proven that it is theirs, made now if new.

    Whoever else got into an account before its owner came loses every way back into it: otherwise
    somebody could prepare an account for an address and wait for its owner to move in.
    """
    with database.write_transaction():
        user = get_or_create(email)
        if user.verified_at is None:
            _revoke_credentials(user)
            write(user.id, verified_at=database.now())
            db.session.refresh(user)
    return user


def is_empty(user: User) -> bool:
    """Whether an account holds nothing but its address, its name, and the ways to sign in."""
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
    """Change a user's name; the form has checked its length."""
    with database.write_transaction():
        write(user.id, name=name)
    db.session.refresh(user)


def write(user_id: uuid.UUID, *conditions: ColumnElement[bool], **columns: Any) -> bool:
    """Write columns of an account; return whether it exists and meets the conditions.

    Columns that copy Stripe's state belong to `billing.customers` and `billing.subscriptions`.
    Call inside `write_transaction()`.
    """
    row = update(User).where(User.id == user_id, *conditions)
    return database.execute(row.values(columns)) == 1


def list_all() -> Iterator[User]:
    """All people by address, a page of the database at a time."""
    last = ""
    while page := db.session.scalars(
        select(User).where(User.email > last).order_by(User.email).limit(500)
    ).all():
        yield from page
        last = page[-1].email


def count() -> int:
    """How many accounts there are."""
    return db.session.scalar(select(func.count()).select_from(User)) or 0


def _revoke_credentials(user: User) -> None:
    for way_in in (Session, Identity, Passkey, PendingSignIn, ApiToken):
        database.execute(delete(way_in).where(way_in.user_id == user.id))
    # The mail that its owner follows now is used up already; others may be in somebody's hands.
    others = (SignInLink.email == user.email, SignInLink.used_at.is_(None))
    database.execute(update(SignInLink).where(*others).values(used_at=database.now()))

"""Identities at providers, and how they are linked to accounts.

An identity is recognised by (issuer, subject), never by its email, because mailboxes change hands.
The email matters only for a new identity, and then both sides must have verified it.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Select, delete, select, update

from saas import database, mail
from saas.auth import accounts
from saas.auth.errors import SignInRefused
from saas.auth.models import Identity, User
from saas.database import db, now


@dataclass(frozen=True)
class Claim:
    """A provider's claim about a user. `email` is cleaned; the provider sets `is_verified`.

    `is_authoritative`: whether the provider would notice if the mailbox changed hands.
    """

    provider: str
    issuer: str
    subject: str
    email: str | None
    is_verified: bool
    is_authoritative: bool = True


class EmailNotVerified(Exception):
    """The identity is new, and its provider is not authoritative for the mailbox."""


def sign_in(claim: Claim) -> User:
    """Return the user of an identity, creating one if necessary.

    Raises `SignInRefused`, or `EmailNotVerified` if the user must verify the address first.
    """
    with database.write_transaction():
        identity = _find(claim)
        if identity and identity.unlinked_at:
            raise SignInRefused("unlinked", claim.provider)
        user = (
            db.session.get(User, identity.user_id) if identity else _find_by_verified_email(claim)
        )
        if user is None:
            raise SignInRefused("untrusted", claim.provider)
        refuse_closed(user, claim.provider)
        _note(claim, user)
    return user


def confirm(user: User, claim: Claim) -> None:
    """Check that the identity belongs to the signed-in user. Raises `SignInRefused`."""
    with database.write_transaction():
        identity = _find(claim)
        if identity is None or identity.user_id != user.id or identity.unlinked_at:
            raise SignInRefused("other_user", claim.provider)
        _note(claim, user)


def link(user: User, claim: Claim) -> None:
    """Link an identity to this user. Raises `SignInRefused`.

    Its email does not matter, because the user is signed in on both sides.
    """
    with database.write_transaction():
        accounts.lock(user)  # concurrent calls would not see each other
        if any(
            identity.issuer == claim.issuer
            for identity in _list_for_user(user)
            if identity.subject != claim.subject
        ):
            raise SignInRefused("linked", claim.provider)
        if (unlinked := _find(claim)) and unlinked.unlinked_at:
            database.execute(delete(Identity).where(Identity.id == unlinked.id))
        if _note(claim, user):
            notify_owner(user, claim.provider, "added")


def unlink(user: User, identity_id: uuid.UUID) -> Identity | None:
    """Unlink an identity; return None if the user has no such identity. Raises `SignInRefused`.

    The row is kept, so that the identity can be linked again only in the settings, and not by its
    email. The last sign-in method of an account with an unverified email cannot be removed. All
    other users can sign in by email.
    """
    with database.write_transaction():
        identity = db.session.scalar(_is_linked_to(user).where(Identity.id == identity_id))
        if identity is None:
            return None
        if user.verified_at is None and len(_list_for_user(user)) + len(user.passkeys) == 1:
            raise SignInRefused("last", identity.provider)
        unlinked = update(Identity).where(Identity.id == identity.id)
        database.execute(unlinked.values(unlinked_at=now(), email=None))
        notify_owner(user, identity.provider, "removed")
    return identity


def notify_owner(user: User, method: str, change: Literal["added", "removed"]) -> None:
    """Notify the owner of a changed sign-in method, because an attacker may have changed it.

    It goes to the email that the account has now, even if that changes before it is sent.
    """
    context, key = {"method": method, "change": change}, f"sign_in_method:{database.uuid7()}"
    mail.enqueue("sign_in_method", user.id, key=key, context=context, to=user.email)


def refuse_closed(user: User, provider: str) -> None:
    """Refuse sign-in to an account that is disabled or being deleted."""
    if user.disabled_at:
        raise SignInRefused("disabled", provider)
    if user.is_closing:
        raise SignInRefused("closing", provider)


def _find_by_verified_email(claim: Claim) -> User:
    """Return the account for a new identity, by the email that both sides have verified.

    The first verification revokes earlier credentials, to prevent pre-hijacking.
    """
    if claim.email is None:
        raise SignInRefused("no_address", claim.provider)
    if not claim.is_verified:
        raise SignInRefused("unverified", claim.provider)
    if not claim.is_authoritative:
        raise EmailNotVerified
    user = accounts.find_by_email(claim.email)
    if user:
        refuse_closed(user, claim.provider)
        notify_owner(user, claim.provider, "added")
    return accounts.get_or_create_verified(claim.email)


def _find(claim: Claim) -> Identity | None:
    return db.session.scalar(
        select(Identity).where(Identity.issuer == claim.issuer, Identity.subject == claim.subject)
    )


def _list_for_user(user: User) -> list[Identity]:
    return list(db.session.scalars(_is_linked_to(user)))


def _is_linked_to(user: User) -> Select[Identity]:
    return select(Identity).where(Identity.user_id == user.id, Identity.unlinked_at.is_(None))


def _note(claim: Claim, user: User) -> bool:
    """Record the use of an identity by this user; return whether it is new.

    Raises `SignInRefused` if it belongs to another user.
    """
    is_new = database.insert_or_ignore(
        Identity,
        id=database.uuid7(),
        user_id=user.id,
        provider=claim.provider,
        issuer=claim.issuer,
        subject=claim.subject,
        created_at=now(),
        last_used_at=now(),
    )
    noted = database.execute(
        update(Identity)
        .where(
            Identity.issuer == claim.issuer,
            Identity.subject == claim.subject,
            Identity.user_id == user.id,
        )
        .values(last_used_at=now(), email=claim.email if claim.is_verified else None)
    )
    if not noted:
        raise SignInRefused("taken", claim.provider)
    return is_new

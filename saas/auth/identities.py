"""Signing in with somebody else's word for who you are, and linking it to an account.

What names an identity is (issuer, subject), never its address: addresses change hands. An address
matters once, when an unknown identity arrives, and then both sides must have verified it.
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
    """Whom a provider says somebody is. `email` is cleaned; `is_verified` its word for that.

    `is_authoritative`: whether it would know if the mailbox had changed hands.
    """

    provider: str
    issuer: str
    subject: str
    email: str | None
    is_verified: bool
    is_authoritative: bool = True


class EmailNotVerified(Exception):
    """The identity is new here, and its address is somebody else's word from long ago."""


def sign_in(claim: Claim) -> User:
    """The person that an identity signs in, made now if new.

    Raises `Refused`, or `MailboxNotProven` where a mail has to prove the address first.
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
    """Make sure that it is the signed-in person who came back; raises `Refused`."""
    with database.write_transaction():
        identity = _find(claim)
        if identity is None or identity.user_id != user.id or identity.unlinked_at:
            raise SignInRefused("other_person", claim.provider)
        _note(claim, user)


def link(user: User, claim: Claim) -> None:
    """Let an identity sign this person in from now on; raises `Refused`.

    Its address does not matter: the person is signed in on both sides.
    """
    with database.write_transaction():
        accounts.lock(user)  # two at once would not see each other
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
    """Take a way in away; None when this person has no such identity. Raises `Refused`.

    It is remembered as unlinked, or its verified address would join it to the account again; only
    the settings link it once more.

    The last way in stays. Mail is a way in for everybody whose address is verified, so that only an
    account whose address nobody has proven can have a last one.
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
    """Promise the owner a mail about a way in, who may not be the one who changed it.

    It goes to the address that the account has now, whatever becomes of that until it leaves.
    """
    context, key = {"method": method, "change": change}, f"sign_in_method:{database.uuid7()}"
    mail.enqueue("sign_in_method", user.id, key=key, context=context, to=user.email)


def refuse_closed(user: User, provider: str) -> None:
    """Nobody signs in to an account that is disabled or being deleted, by whatever way."""
    if user.disabled_at:
        raise SignInRefused("disabled", provider)
    if user.is_closing:
        raise SignInRefused("closing", provider)


def _find_by_verified_email(claim: Claim) -> User:
    """The account for an identity that is new here: by the address that both sides have verified.

    One that its owner never proved is emptied of other ways in, because the owner is here now.
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
    """The identity is this person's and was used now; whether it is new to us.

    Raises `Refused` when it is another's.
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

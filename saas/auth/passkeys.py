"""Passkeys (WebAuthn), through py_webauthn.

Keys are resident and the authenticator verifies its user. So sign-in needs no email, and a passkey
is two factors (WebAuthn Level 3, https://www.w3.org/TR/webauthn-3/).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from flask import current_app
from sqlalchemy import delete, select, update

from saas import database
from saas.auth import accounts
from saas.auth.errors import SignInRefused
from saas.auth.identities import notify_owner, refuse_closed
from saas.auth.models import Passkey, User
from saas.database import db, now

MAX_PASSKEYS = 20
NAME_LENGTH = 40
_VERIFICATION_ERRORS = (ValueError, TypeError, LookupError, AttributeError)


def clean_name(value: str) -> str:
    """Return the name of a passkey. Raises ValueError with a message for the user."""
    name = " ".join(value.split())
    if len(name) > NAME_LENGTH:
        raise ValueError(f"Enter at most {NAME_LENGTH} characters.")
    if not name.isprintable():
        raise ValueError("Use visible characters only.")
    return name or "Passkey"


def options_to_register(user: User, challenge: bytes) -> dict[str, Any]:
    """Return the options for the browser's `navigator.credentials.create`, as JSON."""
    import webauthn
    from webauthn.helpers import structs

    options = webauthn.generate_registration_options(
        rp_id=_rp_id(),
        rp_name=current_app.config["APP_NAME"],
        user_id=user.id.bytes,
        user_name=user.email,
        user_display_name=user.display_name,
        challenge=challenge,
        authenticator_selection=structs.AuthenticatorSelectionCriteria(
            resident_key=structs.ResidentKeyRequirement.REQUIRED,
            user_verification=structs.UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=[
            structs.PublicKeyCredentialDescriptor(id=key) for key in _credential_ids(user)
        ],
    )
    return dict(json.loads(webauthn.options_to_json(options)))


def register(user: User, challenge: bytes, credential: Mapping[str, Any], name: str) -> None:
    """Store the public key of a new passkey. Raises `SignInRefused`."""
    import webauthn
    from webauthn.helpers.exceptions import WebAuthnException

    _refuse_framed(credential)
    try:
        made = webauthn.verify_registration_response(
            credential=dict(credential),
            expected_challenge=challenge,
            expected_rp_id=_rp_id(),
            expected_origin=current_app.config["APP_URL"],
            require_user_verification=True,
        )
    except (WebAuthnException, *_VERIFICATION_ERRORS) as error:
        raise SignInRefused("untrusted", "passkey", type(error).__name__) from None
    with database.write_transaction():
        accounts.lock(user)
        if len(_credential_ids(user)) >= MAX_PASSKEYS:
            raise SignInRefused("enough", "passkey")
        is_new = database.insert_or_ignore(
            Passkey,
            id=database.uuid7(),
            user_id=user.id,
            name=name,
            credential_id=made.credential_id,
            public_key=made.credential_public_key,
            sign_count=made.sign_count,
            created_at=now(),
        )
        if not is_new:
            raise SignInRefused("registered", "passkey")
        notify_owner(user, "passkey", "added")


def options_to_sign_in(challenge: bytes) -> dict[str, Any]:
    """Return the options for `navigator.credentials.get`, as JSON, for any passkey of the site."""
    import webauthn
    from webauthn.helpers.structs import UserVerificationRequirement

    options = webauthn.generate_authentication_options(
        rp_id=_rp_id(),
        challenge=challenge,
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return dict(json.loads(webauthn.options_to_json(options)))


def sign_in(challenge: bytes, credential: Mapping[str, Any]) -> User:
    """Return the user whose passkey signed the challenge. Raises `SignInRefused`."""
    passkey = _find(credential)
    count = _verified_count(passkey, challenge, credential)
    with database.write_transaction():
        user = db.session.get(User, passkey.user_id, populate_existing=True)
        if user is None:
            raise SignInRefused("unknown", "passkey")
        refuse_closed(user, "passkey")
        # A repeated signature counter means that the key was cloned, so refuse it.
        used = database.execute(
            update(Passkey)
            .where(Passkey.id == passkey.id, Passkey.sign_count == passkey.sign_count)
            .values(sign_count=count, last_used_at=now())
        )
        if not used:
            raise SignInRefused("untrusted", "passkey", "count")
    return user


def rename(user: User, passkey_id: uuid.UUID, name: str) -> bool:
    """Rename a passkey; return False if the user has no such passkey."""
    with database.write_transaction():
        own_passkey = (Passkey.id == passkey_id) & (Passkey.user_id == user.id)
        return database.execute(update(Passkey).where(own_passkey).values(name=name)) == 1


def remove(user: User, passkey_id: uuid.UUID) -> bool:
    """Delete a passkey; return False if the user has no such passkey.

    A passkey is never the last sign-in method: adding one requires another.
    """
    with database.write_transaction():
        own_passkey = (Passkey.id == passkey_id) & (Passkey.user_id == user.id)
        removed = database.execute(delete(Passkey).where(own_passkey)) == 1
        if removed:
            notify_owner(user, "passkey", "removed")
    return removed


def _verified_count(passkey: Passkey, challenge: bytes, credential: Mapping[str, Any]) -> int:
    import webauthn
    from webauthn.helpers.exceptions import WebAuthnException

    _refuse_framed(credential)
    try:
        return webauthn.verify_authentication_response(
            credential=dict(credential),
            expected_challenge=challenge,
            expected_rp_id=_rp_id(),
            expected_origin=current_app.config["APP_URL"],
            credential_public_key=passkey.public_key,
            credential_current_sign_count=passkey.sign_count,
            require_user_verification=True,
        ).new_sign_count
    except (WebAuthnException, *_VERIFICATION_ERRORS) as error:
        raise SignInRefused("untrusted", "passkey", type(error).__name__) from None


def _refuse_framed(credential: Mapping[str, Any]) -> None:
    """Refuse signatures made in a frame of another site, because the library accepts them.

    https://www.w3.org/TR/webauthn-3/#dom-collectedclientdata-crossorigin
    """
    import webauthn
    from webauthn.helpers import parse_client_data_json
    from webauthn.helpers.exceptions import WebAuthnException

    try:
        signed = webauthn.base64url_to_bytes(credential["response"]["clientDataJSON"])
        is_framed = parse_client_data_json(signed).cross_origin
    except (WebAuthnException, *_VERIFICATION_ERRORS) as error:
        raise SignInRefused("untrusted", "passkey", type(error).__name__) from None
    if is_framed:
        raise SignInRefused("untrusted", "passkey", "crossOrigin")


def _find(credential: Mapping[str, Any]) -> Passkey:
    import webauthn

    try:
        credential_id = webauthn.base64url_to_bytes(credential["rawId"])
    except _VERIFICATION_ERRORS:
        raise SignInRefused("untrusted", "passkey") from None
    passkey = db.session.scalar(select(Passkey).where(Passkey.credential_id == credential_id))
    if passkey is None:
        raise SignInRefused("unknown", "passkey")
    return passkey


def _credential_ids(user: User) -> list[bytes]:
    credential_ids = select(Passkey.credential_id).where(Passkey.user_id == user.id)
    return list(db.session.scalars(credential_ids))


def _rp_id() -> str:
    """Return the domain that passkeys are bound to: from `APP_URL`, never from a request."""
    return urlsplit(current_app.config["APP_URL"]).hostname or ""

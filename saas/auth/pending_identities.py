"""Identities whose provider is not authoritative: linked after the mailbox is verified.

Google verifies an email when an account is created, but does not learn when the mailbox changes
hands. It is authoritative only for its own mailboxes and for domains that it hosts:
https://developers.google.com/identity/gsi/web/guides/verify-google-id-token
"""

from __future__ import annotations

from dataclasses import asdict

from flask import flash, session

from saas.auth import identities, sessions
from saas.auth.errors import PROVIDER_NAMES, SignInRefused
from saas.auth.identities import Claim
from saas.auth.models import User
from saas.auth.pending_sign_ins import LIFETIME
from saas.database import now

_KEY = "pending_identity"


def store(claim: Claim) -> None:
    """Keep a claim in this browser's session until its mailbox is verified, for ten minutes."""
    session[_KEY] = {"until": (now() + LIFETIME).timestamp(), "claim": asdict(claim)}


def sign_in(user: User) -> None:
    """Sign in a user who verified a mailbox, and link the pending identity of this browser."""
    claim = _take()
    sessions.start(user)
    if claim is None or claim.email != user.email:
        return
    try:
        identities.link(user, claim)
    except SignInRefused:
        flash(f"Another {PROVIDER_NAMES[claim.provider]} account is already linked.", "info")
        return
    flash(f"You can now sign in with {PROVIDER_NAMES[claim.provider]}.", "success")


def _take() -> Claim | None:
    stored = session.pop(_KEY, None)
    return Claim(**stored["claim"]) if stored and stored["until"] > now().timestamp() else None

"""Identities whose provider does not vouch for the mailbox: linked once the mailbox is proven.

Google verifies an address when an account is made, and is not told when the mailbox changes hands.
It is authoritative for its own mailboxes and for the domains it hosts:
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
    """Keep a claim in this browser until its mailbox is proven, for ten minutes at most."""
    session[_KEY] = {"until": (now() + LIFETIME).timestamp(), "claim": asdict(claim)}


def sign_in(user: User) -> None:
    """Sign in a person who has proven a mailbox, and link what this browser brought for it."""
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

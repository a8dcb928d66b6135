"""Mailboxes of deleted accounts that used their trial: keyed hashes, never addresses."""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime

from flask import current_app
from sqlalchemy import select
from sqlalchemy.orm import Mapped, mapped_column

from saas import database, limits
from saas.database import Model, UTCDateTime, db


class UsedTrial(Model):
    """A mailbox that has used its trial. The hash cannot be reversed without the secret key."""

    __tablename__ = "used_trials"

    hash: Mapped[bytes] = mapped_column(primary_key=True)
    used_at: Mapped[datetime] = mapped_column(UTCDateTime)


def remember(email: str, used_at: datetime) -> None:
    """Store the mailbox of an account that is being deleted.

    Call inside `write_transaction()`.
    """
    key = current_app.config["SECRET_KEY"]
    database.insert_or_ignore(UsedTrial, hash=_hash(key, email), used_at=used_at)


def is_used(email: str) -> bool:
    """Return whether a deleted account has used the trial of this mailbox."""
    keys = [current_app.config["SECRET_KEY"], *current_app.config["SECRET_KEY_FALLBACKS"]]
    hashes = [_hash(key, email) for key in keys]
    return db.session.scalar(select(UsedTrial.hash).where(UsedTrial.hash.in_(hashes))) is not None


def _hash(key: str, email: str) -> bytes:
    mailbox = limits.normalize_mailbox(email.lower())
    return hmac.digest(key.encode(), b"used-trial:" + mailbox.encode(), hashlib.sha256)

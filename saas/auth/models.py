"""Users, their sign-in methods, and their sessions."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import cast

from flask_login import UserMixin
from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from saas import plans, used_trials
from saas.auth import devices
from saas.database import Key, Model, UTCDateTime, now
from saas.subscriber import Subscriber


class User(Subscriber, UserMixin, Model):
    """A user. The email is validated, lower case, ASCII and unique.

    `verified_at` is when the owner first verified the email; accounts can be created for others.
    """

    __tablename__ = "users"

    id: Mapped[Key]
    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str | None]
    role: Mapped[str] = mapped_column(default="user", server_default="user")
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    verified_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    disabled_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    closing_at: Mapped[datetime | None] = mapped_column(UTCDateTime, index=True)

    __table_args__ = (
        CheckConstraint("role IN ('user', 'admin')", name="role"),
        # Indexes for the queries of periodic tasks and of roles.is_last_admin.
        Index(
            "ix_users_status_period_end", "stripe_subscription_status", "stripe_current_period_end"
        ),
        Index("ix_users_status_cancel_at", "stripe_subscription_status", "stripe_cancel_at"),
        Index("ix_users_role", "role"),
        # Indexes for the filters of the admin pages, newest first.
        Index("ix_users_status_id", "stripe_subscription_status", "id"),
        Index("ix_users_price_id", "stripe_price_id", "id"),
        Index("ix_users_granted_plan_id", "granted_plan", "id"),
        Index("ix_users_disabled_at", "disabled_at"),
        Index("ix_users_monthly_amount_id", "stripe_monthly_amount", "id"),
        Index("ix_users_email_prefix", "email", postgresql_ops={"email": "text_pattern_ops"}),
        Index("ix_users_name_prefix", "name", postgresql_ops={"name": "text_pattern_ops"}),
    )

    identities: Mapped[list[Identity]] = relationship(
        viewonly=True,
        order_by="Identity.created_at",
        primaryjoin="and_(Identity.user_id == User.id, Identity.unlinked_at.is_(None))",
    )
    passkeys: Mapped[list[Passkey]] = relationship(viewonly=True, order_by="Passkey.created_at")

    # Not columns: the session of this request (a row of `sessions`), its secret and its start.
    session_id = cast("uuid.UUID | None", None)
    session_token = ""
    signed_in_at = cast("datetime | None", None)
    viewer = cast("User | None", None)  # the administrator who views this user's pages
    viewed_before = cast(
        "uuid.UUID | None", None
    )  # whom an administrator viewed until time ran out

    def trial(self, plan: plans.Plan) -> plans.Trial | None:
        """Return the trial of a plan: None if a deleted account used the mailbox's trial."""
        trial = super().trial(plan)
        return None if trial and used_trials.is_used(self.email) else trial

    def get_id(self) -> str:
        """Return the value for Flask-Login's cookie: the session's secret, not the user's id."""
        return self.session_token

    @property
    def is_admin(self) -> bool:
        return self.role == "admin"

    @property
    def is_closing(self) -> bool:
        return self.closing_at is not None

    @property
    def display_name(self) -> str:
        return self.name or self.email.partition("@")[0]


class Session(Model):
    """A signed-in browser. Deleting the row signs it out immediately, in every process."""

    __tablename__ = "sessions"

    id: Mapped[Key]
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    last_seen_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)
    user_agent: Mapped[str] = mapped_column(default="")
    # While an administrator views the pages of another user: see `auth.viewing`.
    viewed_user_id: Mapped[uuid.UUID | None]
    viewing_until: Mapped[datetime | None] = mapped_column(UTCDateTime)

    @property
    def device(self) -> str:
        """Browser and system, such as "Firefox on Linux"."""
        return devices.describe(self.user_agent)


class SignInLink(Model):
    """A requested sign-in email. Token and code are derived from its id and not stored."""

    __tablename__ = "sign_in_links"

    id: Mapped[Key]
    email: Mapped[str]
    next_path: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    replaced_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # by a newer email
    browser_hash: Mapped[
        bytes | None
    ]  # of the requesting browser, the only one where the code works
    tries: Mapped[int] = mapped_column(default=0, server_default="0")  # of the code

    __table_args__ = (
        Index("ix_sign_in_links_email", "email"),
        Index("ix_sign_in_links_browser_hash", "browser_hash"),
        Index("ix_sign_in_links_expires_at", "expires_at"),
    )


class Identity(Model):
    """This user's identity at Google or GitHub, recognised by (issuer, subject).

    The email is the one that the provider reported at the last sign-in. It is only displayed, never
    used for lookups, because mailboxes change hands. An unlinked identity is kept, so that its
    email does not link it again.
    """

    __tablename__ = "identities"

    id: Mapped[Key]
    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    provider: Mapped[str]
    issuer: Mapped[str]
    subject: Mapped[str]
    email: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    last_used_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    unlinked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    __table_args__ = (UniqueConstraint("issuer", "subject"),)


class Passkey(Model):
    """The public key of a passkey."""

    __tablename__ = "passkeys"

    id: Mapped[Key]
    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    name: Mapped[str]
    credential_id: Mapped[bytes] = mapped_column(unique=True)
    public_key: Mapped[bytes]
    sign_count: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    last_used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class ApiToken(Model):
    """A token with which a program acts for its owner. The secret itself is not stored.

    `prefix` is the part of the token that may be shown, and identifies the row.
    """

    __tablename__ = "api_tokens"

    id: Mapped[Key]
    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    name: Mapped[str]
    prefix: Mapped[str] = mapped_column(unique=True)
    token_hash: Mapped[bytes]
    scopes: Mapped[list[str]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    expires_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    user: Mapped[User] = relationship(viewonly=True)

    @property
    def is_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= now()


class PendingSignIn(Model):
    """A sign-in in progress at a provider or in the browser's authenticator.

    State, nonce and challenge are derived from its id and not stored. Deleting the row completes
    the sign-in, so it can be completed only once. `user_id` is the user who was signed in at the
    start.
    """

    __tablename__ = "pending_sign_ins"

    id: Mapped[Key]
    method: Mapped[str]
    purpose: Mapped[str]
    user_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    next_path: Mapped[str]
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)


class EmailChange(Model):
    """A requested email change, and for a week the way to undo it.

    Tokens are derived from its id, one for the new address and one for the old.
    """

    __tablename__ = "email_changes"

    id: Mapped[Key]
    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    old_email: Mapped[str]
    new_email: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)
    confirmed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # replaced, or undone


class AuditEntry(Model):
    """An action of an administrator or operator. Without a foreign key, it outlives the account."""

    __tablename__ = "audit_entries"

    id: Mapped[Key]
    at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    actor: Mapped[str]  # "operator", or a user's id
    action: Mapped[str]
    subject_id: Mapped[uuid.UUID] = mapped_column(index=True)
    reason: Mapped[str | None]  # erased with the account, because it may name the user

"""People, the sessions they are signed in with, and the links that sign them in."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import cast

from flask_login import UserMixin
from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from saas.database import Key, Model, UTCDateTime, now
from saas.subscriber import Subscriber


class User(Subscriber, UserMixin, Model):
    """A person. The address is the one that was validated: lower case, ASCII, unique."""

    __tablename__ = "users"

    id: Mapped[Key]
    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str | None]
    role: Mapped[str] = mapped_column(default="user", server_default="user")
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    disabled_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    closing_at: Mapped[datetime | None] = mapped_column(UTCDateTime, index=True)

    __table_args__ = (CheckConstraint("role IN ('user', 'admin')", name="role"),)

    # Not columns: the row of `sessions` that this request came with, and the secret that names it.
    session_id = cast("uuid.UUID | None", None)
    session_token = ""

    def get_id(self) -> str:
        """What flask-login keeps in the cookie: the session's secret, not the person's id."""
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
    """A browser that is signed in. Deleting the row signs it out, in every process at once."""

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


class SignInLink(Model):
    """A link that was asked for. The token is derived from its id, so no row yields one."""

    __tablename__ = "sign_in_links"

    id: Mapped[Key]
    email: Mapped[str]
    next_path: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    __table_args__ = (
        Index("ix_sign_in_links_email", "email"),
        Index("ix_sign_in_links_expires_at", "expires_at"),
    )

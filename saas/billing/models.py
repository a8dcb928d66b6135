"""Tables of billing, besides the columns on `users`."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from saas.database import Key, Model, UTCDateTime, now

MAX_ATTEMPTS = 3 * 24 * 60  # to apply an event, one per minute: as long as Stripe retries


class Installation(Model):
    """One row: the id that marks customers in Stripe as ours.

    Several products may share a Stripe account, and every endpoint receives every event.
    """

    __tablename__ = "installations"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, default=1)
    key: Mapped[uuid.UUID]


class StripeEvent(Model):
    """The ledger of events: ids only. Payloads contain personal data and are not needed."""

    __tablename__ = "stripe_events"

    id: Mapped[str] = mapped_column(primary_key=True)
    type: Mapped[str]
    created: Mapped[datetime] = mapped_column(UTCDateTime)
    livemode: Mapped[bool]
    api_version: Mapped[str | None]
    customer_id: Mapped[str | None]
    object_id: Mapped[str | None]
    received_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    processed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    attempts: Mapped[int] = mapped_column(default=0)
    last_error: Mapped[str | None]

    __table_args__ = (
        Index("ix_stripe_events_customer_id", "customer_id"),
        Index("ix_stripe_events_received_at", "received_at"),
        Index("ix_stripe_events_processed_at", "processed_at"),
        Index("ix_stripe_events_type_received_at", "type", "received_at"),
    )

    @property
    def is_given_up(self) -> bool:
        return self.processed_at is None and self.attempts >= MAX_ATTEMPTS


class SubscriptionChange(Model):
    """An entry of the history: a sync changed columns. `cause` is an event id or a command."""

    __tablename__ = "subscription_changes"

    id: Mapped[Key]
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    counter: Mapped[int]
    at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    cause: Mapped[str]
    before: Mapped[dict[str, Any]] = mapped_column(JSON)
    after: Mapped[dict[str, Any]] = mapped_column(JSON)

    __table_args__ = (
        Index("ix_subscription_changes_user_id_at", "user_id", "at"),
        Index("ix_subscription_changes_at", "at"),
    )


class RevenueMovement(Model):
    """A movement of the monthly recurring revenue, or of a trial: see `billing.revenue`.

    `amount` is the change per month, in the smallest unit of the currency. Without a user, the
    account was deleted.
    """

    __tablename__ = "revenue_movements"

    id: Mapped[Key]
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    user_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="SET NULL"), index=True
    )
    kind: Mapped[str]
    plan: Mapped[str | None]
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str]

    __table_args__ = (Index("ix_revenue_movements_at", "at"),)


class ClosedAccount(Model):
    """A tombstone: the opaque ids of a deleted account, to recognise late events.

    `purchases` lists the Checkout sessions that were paid when the account was deleted. Any other
    one was paid later, and is refunded.
    """

    __tablename__ = "closed_accounts"

    id: Mapped[Key]
    user_id: Mapped[uuid.UUID] = mapped_column(unique=True)
    stripe_customer_id: Mapped[str | None] = mapped_column(index=True)
    closed_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    purchases: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))


class GrantedPlan(Model):
    """A plan given to a user by hand. It ends `until` a time, or when it is revoked or replaced.

    `granted_by` and `ended_by` are "operator", or the id of an administrator.
    """

    __tablename__ = "granted_plans"

    id: Mapped[Key]
    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    plan: Mapped[str]
    reason: Mapped[str]
    granted_by: Mapped[str]
    granted_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    ended_by: Mapped[str | None]
    end_reason: Mapped[str | None]


class FeatureUse(Model):
    """The uses of a feature by a user in a month (UTC), such as 2026-11.

    With a month of "total", the things that exist now.
    """

    __tablename__ = "feature_uses"

    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    feature: Mapped[str] = mapped_column(primary_key=True)
    month: Mapped[str] = mapped_column(primary_key=True)
    used: Mapped[int] = mapped_column(default=0)

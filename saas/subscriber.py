"""Subscriber: the columns that copy Stripe's state, and the questions one can ask about them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from flask import current_app
from sqlalchemy import JSON
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from saas import plans, products
from saas.charges import NextInvoice, Recurring
from saas.database import UTCDateTime, now

# Statuses of a subscription that exists and may be charged for: whoever has one changes it in
# the portal instead of buying a second one. `incomplete` has not begun.
LIVE_STATUSES = ("active", "trialing", "past_due", "unpaid", "paused")

# The columns that `subscriptions.sync` copies.
SYNCED_COLUMNS = (
    "stripe_subscription_id",
    "stripe_subscription_status",
    "stripe_price_id",
    "stripe_current_period_end",
    "stripe_cancel_at",
    "stripe_past_due_since",
    "stripe_action_required",
    "stripe_recurring",
)


class Subscriber:
    """A mixin for whoever pays. Only `billing.subscriptions` writes these columns."""

    stripe_customer_id: Mapped[str | None] = mapped_column(unique=True)
    stripe_customer_generation: Mapped[int] = mapped_column(default=0, server_default="0")
    stripe_subscription_id: Mapped[str | None] = mapped_column(unique=True)
    stripe_subscription_status: Mapped[str | None]
    stripe_price_id: Mapped[str | None]
    stripe_action_required: Mapped[bool | None]  # while past due: the bank wants a confirmation
    stripe_sync_counter: Mapped[int] = mapped_column(default=0, server_default="0")

    @declared_attr
    def stripe_recurring(cls) -> Mapped[dict[str, Any] | None]:
        """`charges.Recurring`: what the subscription costs each time."""
        return mapped_column(JSON(none_as_null=True))

    @declared_attr
    def stripe_next_invoice(cls) -> Mapped[dict[str, Any] | None]:
        """`charges.NextInvoice`: what will be charged next, as Stripe has previewed it."""
        return mapped_column(JSON(none_as_null=True))

    @declared_attr
    def stripe_current_period_end(cls) -> Mapped[datetime | None]:
        return mapped_column(UTCDateTime)

    @declared_attr
    def stripe_cancel_at(cls) -> Mapped[datetime | None]:
        return mapped_column(UTCDateTime)

    @declared_attr
    def stripe_past_due_since(cls) -> Mapped[datetime | None]:
        return mapped_column(UTCDateTime)

    @declared_attr
    def stripe_synced_at(cls) -> Mapped[datetime | None]:
        return mapped_column(UTCDateTime)

    @declared_attr
    def stripe_email_stale_since(cls) -> Mapped[datetime | None]:
        """Since when Stripe's customer has an older address than we do; None when it has ours."""
        return mapped_column(UTCDateTime, index=True)

    @declared_attr
    def trial_used_at(cls) -> Mapped[datetime | None]:
        """When the one trial of this account began, whatever became of it."""
        return mapped_column(UTCDateTime)

    @property
    def plan(self) -> plans.Plan:
        """The plan that this person may use now."""
        return products.catalogue().granted(
            status=self.stripe_subscription_status,
            price_id=self.stripe_price_id,
            past_due_since=self.stripe_past_due_since,
            at=now(),
            grace=timedelta(days=current_app.config["PAST_DUE_GRACE_DAYS"]),
            prices=current_app.config["STRIPE_PRICES"],
        )

    @property
    def is_paid(self) -> bool:
        return not self.plan.is_free

    @property
    def is_subscribed(self) -> bool:
        """Whether there is a subscription to manage, paid or not."""
        return self.stripe_subscription_status in LIVE_STATUSES

    @property
    def is_canceling(self) -> bool:
        return self.is_subscribed and self.stripe_cancel_at is not None

    @property
    def is_past_due(self) -> bool:
        return self.stripe_subscription_status in ("past_due", "unpaid")

    @property
    def access_ends_at(self) -> datetime | None:
        """While a payment is past due: the end of the grace, which may be over."""
        if self.stripe_subscription_status != "past_due" or not self.stripe_past_due_since:
            return None
        grace = timedelta(days=current_app.config["PAST_DUE_GRACE_DAYS"])
        return self.stripe_past_due_since + grace

    def trial_days(self, plan: plans.Plan) -> int:
        """How many free days this person would begin `plan` with: none after the one trial."""
        return plan.trial_days if self.trial_used_at is None else 0

    @property
    def is_trialing(self) -> bool:
        return self.stripe_subscription_status == "trialing"

    @property
    def subscribed_to(self) -> tuple[plans.Plan, plans.Interval] | None:
        """Plan and interval of the subscription, whether or not it gives access now."""
        return products.sold_as(self.stripe_price_id)

    @property
    def interval(self) -> plans.Interval | None:
        sold = self.subscribed_to
        return sold[1] if sold and self.is_subscribed else None

    @property
    def recurring(self) -> Recurring | None:
        """What the subscription costs each time; None where there is none, or nothing is known."""
        stored = self.stripe_recurring
        return Recurring.from_json(stored) if stored and self.is_subscribed else None

    @property
    def is_collection_paused(self) -> bool:
        """Whether payments of a running subscription are paused (Stripe's `pause_collection`)."""
        charge = self.recurring
        is_running = self.stripe_subscription_status == "active"
        return is_running and charge is not None and not charge.is_collected

    @property
    def next_invoice(self) -> NextInvoice | None:
        stored = self.stripe_next_invoice
        return NextInvoice.from_json(stored) if stored and self.is_subscribed else None

    @property
    def synced_columns(self) -> dict[str, Any]:
        """The copy, as the history and a comparison want it."""
        return {name: getattr(self, name) for name in SYNCED_COLUMNS}

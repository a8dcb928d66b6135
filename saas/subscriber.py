"""The subscriber: columns that copy Stripe's state, and properties derived from them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from flask import current_app
from sqlalchemy import JSON, BigInteger
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from saas import plans, products
from saas.charges import NextInvoice, Purchase, Recurring
from saas.database import UTCDateTime, now

# https://docs.stripe.com/api/subscriptions/object#subscription_object-status
STATUSES = (
    "active", "trialing", "past_due", "unpaid", "paused", "incomplete", "incomplete_expired",
    "canceled",
)  # fmt: skip
# Statuses of subscriptions that may be charged. Their owners change them in the portal instead of
# buying another one. `incomplete` is not included, because it has not started.
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
    "stripe_purchases",
)


class Subscriber:
    """A mixin for models that subscribe.

    Only `billing.subscriptions` writes the columns that copy Stripe, and only `billing.grants`
    those of a granted plan.
    """

    stripe_customer_id: Mapped[str | None] = mapped_column(unique=True)
    stripe_customer_generation: Mapped[int] = mapped_column(default=0, server_default="0")
    stripe_subscription_id: Mapped[str | None] = mapped_column(unique=True)
    stripe_subscription_status: Mapped[str | None]
    stripe_price_id: Mapped[str | None]
    stripe_action_required: Mapped[bool | None]  # while past due: the bank requires a confirmation
    stripe_sync_counter: Mapped[int] = mapped_column(default=0, server_default="0")
    granted_plan: Mapped[str | None]  # the id of a plan, given by hand
    # What the subscription pays per month, in the smallest unit: see `billing.revenue`.
    stripe_monthly_amount: Mapped[int | None] = mapped_column(BigInteger)

    @declared_attr
    def stripe_recurring(cls) -> Mapped[dict[str, Any] | None]:
        """The recurring amount, as JSON of `charges.Recurring`."""
        return mapped_column(JSON(none_as_null=True))

    @declared_attr
    def stripe_purchases(cls) -> Mapped[list[dict[str, Any]] | None]:
        """One-time payments as JSON of `charges.Purchase`, oldest first; None without any."""
        return mapped_column(JSON(none_as_null=True))

    @declared_attr
    def stripe_next_invoice(cls) -> Mapped[dict[str, Any] | None]:
        """The preview of the next invoice, as JSON of `charges.NextInvoice`."""
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
        """The time when the customer's email in Stripe became outdated; None if it is current."""
        return mapped_column(UTCDateTime, index=True)

    @declared_attr
    def trial_used_at(cls) -> Mapped[datetime | None]:
        """The start of this account's only trial."""
        return mapped_column(UTCDateTime)

    @declared_attr
    def granted_until(cls) -> Mapped[datetime | None]:
        """The end of the granted plan; None if it has none."""
        return mapped_column(UTCDateTime)

    @property
    def plan(self) -> plans.Plan:
        """The plan that this user has access to: the highest that any source gives."""
        plan = self.subscription_plan
        for other in (self.granted, self.purchased):
            if other and not plan.includes(other):
                plan = other
        return plan

    @property
    def granted(self) -> plans.Plan | None:
        """The plan that was given by hand, until its end."""
        if self.granted_plan is None:
            return None
        if self.granted_until is not None and self.granted_until <= now():
            return None
        catalogue = products.catalogue()
        plan = catalogue.by_id.get(self.granted_plan)
        return catalogue.access_plan(plan) if plan else None

    @property
    def purchases(self) -> list[tuple[Purchase, plans.Plan]]:
        """The one-time payments with the plans that were bought, oldest first."""
        stored = map(Purchase.from_json, self.stripe_purchases or ())
        return [
            (purchase, sold[0]) for purchase in stored if (sold := products.sold_as(purchase.price))
        ]

    def has_purchase(self, session_id: str) -> bool:
        """Return whether a one-time payment is stored, whatever was bought."""
        return any(item["session"] == session_id for item in self.stripe_purchases or ())

    @property
    def purchased(self) -> plans.Plan | None:
        """The highest plan that one-time payments give, or None."""
        if not self.stripe_purchases:
            return None
        access_plan = products.catalogue().access_plan
        owned = [access_plan(plan) for purchase, plan in self.purchases if purchase.is_valid]
        return max(owned, key=lambda plan: plan.rank, default=None)

    def has_bought(self, plan: plans.Plan) -> bool:
        """Return whether one-time payments give as much as `plan` does."""
        purchased = self.purchased
        return purchased is not None and purchased.includes(products.catalogue().access_plan(plan))

    @property
    def subscription_plan(self) -> plans.Plan:
        """The plan that the subscription gives; the free one without access."""
        return products.catalogue().granted(
            status=self.stripe_subscription_status,
            price_id=self.stripe_price_id,
            past_due_since=self.stripe_past_due_since,
            at=now(),
            grace=timedelta(days=current_app.config["PAST_DUE_GRACE_DAYS"]),
            prices=current_app.config["STRIPE_PRICES"],
        )

    @property
    def displayed_plan(self) -> plans.Plan:
        """The plan to show: the subscribed one, even without access, unless another is higher."""
        sold = self.subscribed_to if self.is_subscribed else None
        return sold[0] if sold and sold[0].includes(self.plan) else self.plan

    @property
    def is_purchase_enough(self) -> bool:
        """Whether one-time purchases give as much as the subscription does."""
        purchased = self.purchased
        return purchased is not None and purchased.includes(self.subscription_plan)

    @property
    def is_paid(self) -> bool:
        """Whether the user has a plan that is not free, bought or granted."""
        return not self.plan.is_free

    @property
    def has_paid_subscription(self) -> bool:
        """Whether the subscription gives access to a plan."""
        return not self.subscription_plan.is_free

    @property
    def is_subscribed(self) -> bool:
        """Whether the user has a subscription to manage, paid or not."""
        return self.stripe_subscription_status in LIVE_STATUSES

    @property
    def ends_with_period(self) -> bool:
        """Whether the subscription, if it is canceled now, ends with a period that is paid for."""
        return self.stripe_subscription_status in ("active", "trialing")

    @property
    def is_canceling(self) -> bool:
        return self.is_subscribed and self.stripe_cancel_at is not None

    @property
    def is_past_due(self) -> bool:
        return self.stripe_subscription_status in ("past_due", "unpaid")

    @property
    def is_paused(self) -> bool:
        """Whether the subscription is paused, such as after a trial without a payment method."""
        return self.stripe_subscription_status == "paused"

    @property
    def access_ends_at(self) -> datetime | None:
        """The end of the grace period while a payment is past due; it may have passed."""
        if self.stripe_subscription_status != "past_due" or not self.stripe_past_due_since:
            return None
        grace = timedelta(days=current_app.config["PAST_DUE_GRACE_DAYS"])
        return self.stripe_past_due_since + grace

    def trial(self, plan: plans.Plan) -> plans.Trial | None:
        """Return the trial of `plan` for this user: None after the one trial."""
        return plan.trial if self.trial_used_at is None else None

    @property
    def is_trialing(self) -> bool:
        return self.stripe_subscription_status == "trialing"

    @property
    def subscribed_to(self) -> tuple[plans.Plan, plans.Interval] | None:
        """Plan and interval of the subscription, whether or not it gives access."""
        return products.sold_as(self.stripe_price_id)

    @property
    def interval(self) -> plans.Interval | None:
        sold = self.subscribed_to
        return sold[1] if sold and self.is_subscribed else None

    @property
    def recurring(self) -> Recurring | None:
        """The recurring amount, or None without a subscription or if it is unknown."""
        stored = self.stripe_recurring
        return Recurring.from_json(stored) if stored and self.is_subscribed else None

    @property
    def is_collection_paused(self) -> bool:
        """Whether payment collection is paused (Stripe's `pause_collection`)."""
        charge = self.recurring
        is_running = self.stripe_subscription_status == "active"
        return is_running and charge is not None and not charge.is_collected

    @property
    def next_invoice(self) -> NextInvoice | None:
        stored = self.stripe_next_invoice
        return NextInvoice.from_json(stored) if stored and self.is_subscribed else None

    @property
    def synced_columns(self) -> dict[str, Any]:
        """The copied columns, for the history and for comparisons."""
        return {name: getattr(self, name) for name in SYNCED_COLUMNS}

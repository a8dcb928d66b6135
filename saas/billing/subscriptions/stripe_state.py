"""The state of a user's customer in Stripe, and the columns that follow from it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from saas import products
from saas.billing import customers, gateway
from saas.billing.customers import Subscriber
from saas.billing.gateway import Overdue, Subscription
from saas.billing.subscriptions import precedence
from saas.charges import NextInvoice, Purchase
from saas.database import now

_INVOICED = ("active", "trialing", "past_due")  # those with a next invoice


@dataclass(frozen=True)
class StripeState:
    """The state of one customer: our subscriptions, details of the chosen one, and purchases.

    `overdue` is set while the chosen one is past due or incomplete. `customer_deleted` means that
    the customer no longer exists in Stripe.
    """

    subscriptions: list[Subscription]
    overdue: Overdue | None = None
    next_invoice: NextInvoice | None = None
    customer_deleted: bool = False
    purchases: tuple[Purchase, ...] = ()  # oldest first

    @property
    def chosen(self) -> Subscription | None:
        """The subscription that counts."""
        return precedence.choose(self.subscriptions)

    def columns(self, user: Subscriber) -> dict[str, Any]:
        """Return the columns of `user` as they should be."""
        purchases = [purchase.to_json() for purchase in self.purchases] or None
        if self.customer_deleted:
            # Access ends, and the next checkout creates a new customer.
            return {
                **precedence.NO_SUBSCRIPTION,
                "stripe_purchases": purchases,  # a deleted customer gets no money back
                "stripe_next_invoice": None,
                "stripe_customer_id": None,
                "stripe_customer_generation": user.stripe_customer_generation + 1,
            }
        columns = precedence.columns_from(self.subscriptions, self.overdue)
        columns["stripe_purchases"] = purchases
        columns["stripe_next_invoice"] = self.next_invoice.to_json() if self.next_invoice else None
        if user.trial_used_at is None and (trial := first_trial(self.subscriptions)):
            columns["trial_used_at"] = trial  # stays when the customer is deleted
        return columns


def fetch(
    user: Subscriber, *, next_invoice: bool = True, sessions: Collection[str] = ()
) -> StripeState:
    """Fetch the state of a user's customer. The next invoice takes a separate call.

    `sessions` are pages on which the user paid as another customer, which we do not know of yet.
    Raises `gateway.StripeError`.
    """
    if not user.stripe_customer_id:
        return StripeState([], purchases=_purchases(user, sessions))
    try:
        listed = gateway.list_subscriptions(user.stripe_customer_id)
    except gateway.NotFound:
        return StripeState([], customer_deleted=True, purchases=_purchases(user, sessions))
    purchases = _purchases(user, sessions)
    state = StripeState(list(filter(customers.is_ours, listed)), purchases=purchases)
    if state.chosen and state.chosen.status in ("past_due", "incomplete"):
        state = replace(state, overdue=_overdue(user, state.chosen))
    if next_invoice and state.chosen and _has_next_invoice(state.chosen):
        state = replace(state, next_invoice=gateway.next_invoice(state.chosen.id))
    return state


def is_of(user: Subscriber, paid: gateway.PaidSession) -> bool:
    """Return whether a user bought a plan of ours by this payment.

    One that is stored is kept even if its price is not configured any more.
    """
    if customers.user_id_from_metadata(paid.metadata) != user.id:
        return False
    purchase = paid.purchase
    return user.has_purchase(purchase.session) or products.sold_as(purchase.price) is not None


def _purchases(user: Subscriber, sessions: Collection[str]) -> tuple[Purchase, ...]:
    """Return the one-time payments of a user, oldest first.

    Those of other customers are fetched one by one: of an earlier customer, for example, which was
    deleted in Stripe. Without one-time plans in the catalogue, Stripe is not asked.
    """
    known = {item["session"] for item in user.stripe_purchases or ()}.union(sessions)
    if not known and not products.catalogue().sells_once:
        return ()
    listed = _listed_purchases(user.stripe_customer_id) if user.stripe_customer_id else []
    purchases = {paid.purchase.session: paid.purchase for paid in listed if is_of(user, paid)}
    for session_id in known - purchases.keys():
        paid = find_purchase(session_id)
        if paid and is_of(user, paid):
            purchases[session_id] = paid.purchase
    return tuple(
        sorted(purchases.values(), key=lambda purchase: (purchase.paid_at, purchase.session))
    )


def find_purchase(session_id: str) -> gateway.PaidSession | None:
    """Return the payment on a checkout page; None if there is none."""
    try:
        return gateway.purchase(session_id)
    except gateway.NotFound:
        return None


def _listed_purchases(customer_id: str) -> list[gateway.PaidSession]:
    try:
        return gateway.list_purchases(customer_id)
    except gateway.NotFound:
        return []


def first_trial(subscriptions: list[Subscription]) -> datetime | None:
    """Return when the first trial of these subscriptions began."""
    return min(
        (subscription.created for subscription in subscriptions if subscription.had_trial),
        default=None,
    )


def _has_next_invoice(chosen: Subscription) -> bool:
    """Return whether a next invoice will be charged; with collection paused it is only created."""
    return chosen.status in _INVOICED and chosen.is_collected


def _overdue(user: Subscriber, chosen: Subscription) -> Overdue:
    """Return the overdue payment. The grace period starts with the oldest open invoice.

    Without an open invoice it starts when we first recorded the failure, or now.
    """
    overdue = gateway.overdue(chosen.id)
    return replace(overdue, since=overdue.since or user.stripe_past_due_since or now())

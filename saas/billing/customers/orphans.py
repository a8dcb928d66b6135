"""Orphans: live subscriptions and purchases with our metadata whose user does not exist.

A deleted account leaves a tombstone, and what was paid for after it is ended and refunded. Without
a tombstone, the account was lost: it is newer than the backup that was restored. An operator then
decides with `flask billing adopt-orphans`.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlalchemy import select

from saas import database, products
from saas.billing import customers, gateway
from saas.billing.customers import Subscriber
from saas.billing.gateway import ListedSubscription, PaidSession, Subscription
from saas.billing.models import ClosedAccount
from saas.charges import Purchase
from saas.database import db
from saas.subscriber import LIVE_STATUSES

log = logging.getLogger("saas.billing")


@dataclass(frozen=True)
class Orphan:
    """A live subscription or a purchase, and the missing user that it names.

    `id` is that of the subscription, or of the purchase's Checkout session. `is_customer_ours`
    tells whether the customer's own metadata names the user. Without it the customer cannot be
    adopted.
    """

    id: str
    status: str
    customer_id: str
    email: str | None
    user_id: uuid.UUID
    is_customer_ours: bool
    purchase: Purchase | None = None

    @property
    def kind(self) -> str:
        """What it is, for operators: `purchase` or `subscription`."""
        return "purchase" if self.purchase else "subscription"


def among(listed: Iterable[ListedSubscription]) -> list[Orphan]:
    """Return the orphans in a part of Stripe's list of subscriptions."""
    return without_account(orphan for item in listed if (orphan := _candidate(item)))


def among_purchases(listed: Iterable[PaidSession]) -> list[Orphan]:
    """Return the orphans in a part of Stripe's list of one-time payments."""
    return without_account(orphan for paid in listed if (orphan := _candidate_purchase(paid)))


def without_account(candidates: Iterable[Orphan]) -> list[Orphan]:
    """Return those whose user does not exist, was not deleted, and whose customer no user has."""
    candidates = list(candidates)
    if not candidates:
        return []
    named = {candidate.user_id for candidate in candidates}
    database.release_connection()
    known = {
        *db.session.scalars(select(Subscriber.id).where(Subscriber.id.in_(named))),
        *db.session.scalars(select(ClosedAccount.user_id).where(ClosedAccount.user_id.in_(named))),
    }
    taken = _stored({candidate.customer_id for candidate in candidates})
    database.release_connection()
    return [
        candidate
        for candidate in candidates
        if candidate.user_id not in known and candidate.customer_id not in taken
    ]


def settle(customer_id: str) -> str:
    """Handle what was sold to a customer that no user has, and return the outcome.

    The outcome is "ended" if some belonged to a deleted account and were canceled, "no account" if
    they wait for an operator, or "not ours".
    """
    paid = _purchases(customer_id)
    is_refunded = _refund_of_closed_accounts(paid)
    live = _live_subscriptions(customer_id)
    if _cancel_of_closed_accounts(live) or is_refunded:
        return "ended"
    if _await_operator(customer_id, live, paid):
        return "no account"
    return "not ours"


def _purchases(customer_id: str) -> list[PaidSession]:
    try:
        return gateway.list_purchases(customer_id) if products.catalogue().sells_once else []
    except gateway.NotFound:
        return []


def _live_subscriptions(customer_id: str) -> list[Subscription]:
    try:
        listed = gateway.list_subscriptions(customer_id)
    except gateway.NotFound:
        return []
    return [subscription for subscription in listed if subscription.status in LIVE_STATUSES]


def _candidate(item: ListedSubscription) -> Orphan | None:
    """Return a live subscription of ours and the user that it names, who may exist."""
    subscription = item.subscription
    if subscription.status not in LIVE_STATUSES or not customers.is_ours(subscription):
        return None
    owner = customers.user_id_from_metadata(item.customer_metadata)  # has precedence, as in `adopt`
    named = owner or customers.user_id_from_metadata(subscription.metadata)
    if named is None:
        return None
    return Orphan(
        id=subscription.id,
        status=subscription.status,
        customer_id=item.customer_id,
        email=item.customer_email,
        user_id=named,
        is_customer_ours=owner is not None,
    )


def _candidate_purchase(paid: PaidSession) -> Orphan | None:
    """Return a purchase of a plan of ours and the user that it names, who may exist."""
    purchase, named = paid.purchase, customers.user_id_from_metadata(paid.metadata)
    is_sold = purchase.is_valid and products.sold_as(purchase.price)
    if named is None or paid.customer_id is None or not is_sold:
        return None
    return Orphan(
        id=purchase.session,
        status="paid",
        customer_id=paid.customer_id,
        email=paid.customer_email,
        user_id=named,
        is_customer_ours=customers.user_id_from_metadata(paid.customer_metadata) == named,
        purchase=purchase,
    )


def _stored(customer_ids: Collection[str]) -> set[str | None]:
    stored = select(Subscriber.stripe_customer_id)
    return set(db.session.scalars(stored.where(Subscriber.stripe_customer_id.in_(customer_ids))))


def _cancel_of_closed_accounts(live: list[Subscription]) -> bool:
    """Cancel and refund subscriptions whose account was deleted; return whether there were any.

    Only subscriptions with our metadata that name a deleted account are touched.
    """
    orphaned = [subscription for subscription in live if _is_of_closed_account(subscription)]
    for subscription in orphaned:
        log.warning("canceling subscription %s of a deleted account", subscription.id)
        gateway.end_and_refund(subscription.id, gateway.ACCOUNT_DELETED)
    return bool(orphaned)


def _refund_of_closed_accounts(paid: list[PaidSession]) -> bool:
    """Refund what was paid after its account was deleted; return whether there was anything."""
    late = [payment.purchase for payment in paid if _is_after_deletion(payment)]
    refunded = [gateway.refund_purchase(purchase, gateway.ACCOUNT_DELETED) for purchase in late]
    return any(refunded)


def _is_after_deletion(paid: PaidSession) -> bool:
    """Return whether the account was deleted when this payment arrived.

    The date of a charge does not tell: that of a bank debit is the order's, days before it clears.
    """
    named = customers.user_id_from_metadata(paid.metadata)
    if named is None or not paid.purchase.is_valid:
        return False
    tombstone = db.session.scalar(select(ClosedAccount).where(ClosedAccount.user_id == named))
    return tombstone is not None and paid.purchase.session not in (tombstone.purchases or ())


def _is_of_closed_account(subscription: Subscription) -> bool:
    named = customers.user_id_from_metadata(subscription.metadata)
    tombstone = select(ClosedAccount.id).where(ClosedAccount.user_id == named)
    return named is not None and db.session.scalar(tombstone) is not None


def _await_operator(customer_id: str, live: list[Subscription], paid: list[PaidSession]) -> bool:
    """Log the orphans of a customer; return whether there are any."""
    metadata = gateway.customer_metadata(customer_id) if live else {}
    orphaned = among(
        ListedSubscription(
            subscription=subscription,
            customer_id=customer_id,
            customer_deleted=False,
            customer_metadata=metadata,
        )
        for subscription in live
    )
    orphaned += among_purchases(paid)
    for orphan in orphaned:
        log.warning(
            "%s %s has no account: run flask billing adopt-orphans",
            orphan.kind,
            orphan.id,
            extra={"user_id": orphan.user_id},
        )
    return bool(orphaned)

"""Compare all users' columns with Stripe's list: one call per hundred subscriptions.

Each page is compared by the same rank that `subscriptions.sync` uses. If a page is not enough
(several subscriptions, an overdue one, a difference), the user's subscriptions are fetched, so that
changes made by a webhook in the meantime are not reported as drift. Then users whose
subscription is not in Stripe's list are checked, and one-time purchases. Orphans are reported too,
but no sync can repair them.
"""

from __future__ import annotations

import uuid
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, func, select

from saas import database, products
from saas.billing import customers, gateway, subscriptions
from saas.billing.customers import Subscriber, orphans
from saas.billing.customers.orphans import Orphan
from saas.billing.gateway import ListedSubscription, PaidSession, Subscription
from saas.billing.subscriptions import precedence, stripe_state
from saas.database import db

_BATCH_SIZE = 500
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Drift:
    """A user whose columns differ from Stripe: {column: (ours, Stripe's)}.

    `sessions` are checkout pages that the user paid as a customer that we do not know of.
    """

    user_id: uuid.UUID
    email: str
    columns: dict[str, tuple[Any, Any]]
    sessions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Batch:
    """A part of the run: the number of subscriptions checked, and what was found.

    `cursor` is the place to resume from.
    """

    checked: int
    drifts: list[Drift]
    orphans: list[Orphan]
    cursor: str | None


class SeenUsers:
    """The users whose subscription is in Stripe's list: eight bytes each, saved between runs."""

    def __init__(self) -> None:
        self._marks = array("Q")
        self._is_sorted = True
        self.compared: set[uuid.UUID] = set()  # the few that were fetched individually in this run

    def add(self, user_id: uuid.UUID) -> None:
        self._marks.append(_mark(user_id))
        self._is_sorted = False

    def __contains__(self, user_id: uuid.UUID) -> bool:
        if not self._is_sorted:
            self._marks = array("Q", sorted(self._marks))
            self._is_sorted = True
        place = bisect_left(self._marks, _mark(user_id))
        return place < len(self._marks) and self._marks[place] == _mark(user_id)

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self._marks.tobytes())

    @classmethod
    def load(cls, path: Path) -> SeenUsers:
        """Load a saved file. Raises `OSError` if it is missing, `ValueError` if it is invalid."""
        seen = cls()
        seen._marks.frombytes(path.read_bytes())
        seen._is_sorted = False
        return seen


def compare(
    seen: SeenUsers, after: str | None = None, *, next_invoice: bool = False
) -> Iterator[Batch]:
    """Yield all users in batches: Stripe's list from a cursor on, then unlisted users.

    With `next_invoice`, next invoices are compared too, which takes calls for each subscriber.
    Writes nothing. Raises `gateway.NotFound` for an unknown cursor.
    """
    cursor, has_more = after, True
    while has_more:
        page = gateway.subscription_page(cursor)
        drifts = _drifts_on(page.listed, seen, next_invoice)
        cursor = page.listed[-1].subscription.id if page.listed else cursor
        has_more = page.next is not None
        yield Batch(len(page.listed), drifts, orphans.among(page.listed), cursor)
    for drifts in _drifts_without_listing(seen):
        yield Batch(0, drifts, [], cursor)
    agreeing = SeenUsers()
    for paid in gateway.purchase_pages() if products.catalogue().sells_once else ():
        drifts = _drifts_of_purchases(paid, seen, agreeing)
        yield Batch(0, drifts, orphans.among_purchases(paid), cursor)
    for drifts in _drifts_of_unlisted_purchases(seen, agreeing):
        yield Batch(0, drifts, [], cursor)


def repair(drift: Drift, cause: str) -> None:
    """Sync a user; a customer that was unknown here is adopted."""
    _, customer_id = drift.columns.get("stripe_customer_id", (None, None))
    if customer_id:
        customers.adopt(customer_id)
    subscriptions.sync(drift.user_id, cause=cause, sessions=drift.sessions)


def differences(
    user_id: uuid.UUID, *, next_invoice: bool = False, sessions: tuple[str, ...] = ()
) -> Drift | None:
    """Return the changes that a sync would make to a user; None if none, or for a deleted user.

    `sessions` are as in `subscriptions.sync`.
    """
    for _ in range(3):
        user = _read(user_id)
        if user is None:
            return None
        counter, drift = user.stripe_sync_counter, None
        if columns := subscriptions.differences(user, next_invoice=next_invoice, sessions=sessions):
            drift = Drift(user.id, user.email, columns, sessions)
        again = _read(user_id)
        if drift is None or (again and again.stripe_sync_counter == counter):
            break  # no sync happened during the call
    return drift


def count_users() -> int:
    """Return the number of users with a subscription: about as many as Stripe will list."""
    counted = select(func.count()).where(Subscriber.stripe_subscription_id.is_not(None))
    return db.session.scalar(counted.select_from(Subscriber)) or 0


def _drifts_on(
    listed: list[ListedSubscription], seen: SeenUsers, next_invoice: bool
) -> list[Drift]:
    by_customer: dict[str, list[ListedSubscription]] = {}
    for item in listed:
        by_customer.setdefault(item.customer_id, []).append(item)
    users = _users_by_customer(list(by_customer))
    drifts = []
    for customer_id, items in by_customer.items():
        user = users.get(customer_id)
        if user:
            drift = _drift_of(user, items, seen, next_invoice)
        else:
            drift = _drift_of_unknown_customer(customer_id, items)
        if drift:
            drifts.append(drift)
    return drifts


def _users_by_customer(customer_ids: list[str]) -> dict[str, Subscriber]:
    database.release_connection()
    users = db.session.scalars(
        select(Subscriber)
        .where(Subscriber.stripe_customer_id.in_(customer_ids))
        .execution_options(populate_existing=True)
    ).all()
    database.release_connection()
    return {str(user.stripe_customer_id): user for user in users}


def _drift_of(
    user: Subscriber, listed: list[ListedSubscription], seen: SeenUsers, next_invoice: bool
) -> Drift | None:
    ours = [item.subscription for item in listed if customers.is_ours(item.subscription)]
    if any(item.id == user.stripe_subscription_id for item in ours):
        seen.add(user.id)
    is_clear = _agrees(user, ours) and not (next_invoice and user.is_subscribed)
    if is_clear and not any(item.customer_deleted for item in listed):
        return None
    if user.id in seen.compared:
        return None
    seen.compared.add(user.id)
    return differences(user.id, next_invoice=next_invoice)


def _agrees(user: Subscriber, on_page: list[Subscription]) -> bool:
    """Return whether nothing on this page contradicts a user's columns."""
    ours = next(
        (
            subscription
            for subscription in on_page
            if subscription.id == user.stripe_subscription_id
        ),
        None,
    )
    if ours is None:
        # The known one is on another page. Check that none of these has a higher rank.
        known = _known_subscription(user)
        return all(
            known is not None and precedence.rank(subscription) < precedence.rank(known)
            for subscription in on_page
        )
    if ours.status == "past_due":
        return False  # the start of the grace period depends on invoices, which are not in the list
    columns = precedence.columns_from(on_page)
    return all(getattr(user, name) == value for name, value in columns.items())


def _known_subscription(user: Subscriber) -> Subscription | None:
    """Return the subscription in our columns, dated so early that its age never decides for it."""
    if not user.stripe_subscription_id or not user.stripe_subscription_status:
        return None
    prices = (user.stripe_price_id,) if user.stripe_price_id else ()
    return Subscription(
        id="",
        status=user.stripe_subscription_status,
        created=_LONG_AGO,
        price_ids=prices,
        period_ends={},
        cancel_at=None,
    )


def _drift_of_unknown_customer(customer_id: str, listed: list[ListedSubscription]) -> Drift | None:
    """Return the drift of a customer with our metadata that no user has."""
    metadata = next((item.customer_metadata for item in listed if not item.customer_deleted), {})
    named = customers.user_id_from_metadata(metadata)
    user = _read(named) if named else None
    if user is None or user.stripe_customer_id:
        return None
    return Drift(user.id, user.email, {"stripe_customer_id": (None, customer_id)})


def _drifts_without_listing(seen: SeenUsers) -> Iterator[list[Drift]]:
    """Yield drifts of users whose subscription is not in Stripe's list, fetched one by one."""
    last = uuid.UUID(int=0)
    while page := _user_ids_after(last, Subscriber.stripe_subscription_id.is_not(None)):
        last = page[-1]
        remaining = [
            user_id for user_id in page if user_id not in seen and user_id not in seen.compared
        ]
        yield [drift for user_id in remaining if (drift := differences(user_id))]


def _drifts_of_purchases(
    listed: list[PaidSession], seen: SeenUsers, agreeing: SeenUsers
) -> list[Drift]:
    """Return the drifts of the users in a part of Stripe's list of one-time payments.

    Adds the users with nothing but this payment to `agreeing`.
    """
    users = _users_by_id({user_id for paid in listed if (user_id := _buyer(paid))})
    drifts, differing = [], []
    for paid in listed:
        user = users.get(_buyer(paid))
        if user is None or not stripe_state.is_of(user, paid):
            continue
        if user.stripe_purchases == [paid.purchase.to_json()]:
            agreeing.add(user.id)
        elif user.stripe_customer_id == paid.customer_id or user.has_purchase(
            paid.purchase.session
        ):
            differing.append(user.id)
        elif drift := _drift_of_other_customer(user, paid):
            drifts.append(drift)
    return drifts + _drifts_among(differing, seen)


def _drift_of_other_customer(user: Subscriber, paid: PaidSession) -> Drift | None:
    """Return the drift of a purchase as a customer that its user does not have.

    A user without a customer gets this one, unless it was deleted in Stripe.
    """
    drift = differences(user.id, sessions=(paid.purchase.session,))
    is_theirs = customers.user_id_from_metadata(paid.customer_metadata) == user.id
    if drift and is_theirs and not user.stripe_customer_id:
        columns = {**drift.columns, "stripe_customer_id": (None, paid.customer_id)}
        return replace(drift, columns=columns)
    return drift


def _drifts_of_unlisted_purchases(seen: SeenUsers, agreeing: SeenUsers) -> Iterator[list[Drift]]:
    """Yield drifts of users with purchases that are not the only one in Stripe's list."""
    last, has_purchases = uuid.UUID(int=0), Subscriber.stripe_purchases.is_not(None)
    while page := _user_ids_after(last, has_purchases):
        last = page[-1]
        yield _drifts_among([user_id for user_id in page if user_id not in agreeing], seen)


def _buyer(paid: PaidSession) -> uuid.UUID | None:
    return customers.user_id_from_metadata(paid.metadata)


def _users_by_id(user_ids: set[uuid.UUID]) -> Mapping[uuid.UUID | None, Subscriber]:
    database.release_connection()
    users = db.session.scalars(
        select(Subscriber)
        .where(Subscriber.id.in_(user_ids))
        .execution_options(populate_existing=True)
    ).all()
    database.release_connection()
    return {user.id: user for user in users}


def _drifts_among(user_ids: list[uuid.UUID], seen: SeenUsers) -> list[Drift]:
    """Fetch these users one by one, unless this run has done so; return their drifts."""
    remaining = [user_id for user_id in dict.fromkeys(user_ids) if user_id not in seen.compared]
    seen.compared.update(remaining)
    return [drift for user_id in remaining if (drift := differences(user_id))]


def _user_ids_after(last: uuid.UUID, condition: ColumnElement[bool]) -> list[uuid.UUID]:
    page = db.session.scalars(
        select(Subscriber.id)
        .where(Subscriber.id > last, condition)
        .order_by(Subscriber.id)
        .limit(_BATCH_SIZE)
    ).all()
    database.release_connection()
    return list(page)


def _read(user_id: uuid.UUID) -> Subscriber | None:
    database.release_connection()
    user = db.session.get(Subscriber, user_id, populate_existing=True)
    database.release_connection()
    return user


def _mark(user_id: uuid.UUID) -> int:
    return user_id.int & (2**64 - 1)

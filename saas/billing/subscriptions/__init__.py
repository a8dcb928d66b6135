"""Keep the columns of a subscriber in sync with Stripe's state.

`update_columns` is the only function that writes them; `sync` also returns the user. The webhook,
the return from Checkout, the commands and the periodic tasks call one of them. They fetch the
current state each time, so the order of events does not matter.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, update

from saas import database
from saas.billing import customers, emails, gateway, ledger, revenue
from saas.billing.customers import Subscriber
from saas.billing.gateway import Subscription
from saas.billing.models import SubscriptionChange
from saas.billing.subscriptions import duplicates, stripe_state
from saas.billing.subscriptions.stripe_state import StripeState
from saas.database import db, now
from saas.subscriber import SYNCED_COLUMNS

_ATTEMPTS = 10
_USERS = database.table(Subscriber)
_IF_UNCHANGED = update(_USERS).where(
    _USERS.c.id == bindparam("user_id"), _USERS.c.stripe_sync_counter == bindparam("counter")
)


class Busy(gateway.Unavailable):
    """Other processes kept changing the same user's columns; try again later."""


class _AlreadyProcessed(Exception):
    """Another process has processed the event in the meantime: roll back the transaction."""


def sync(user_id: uuid.UUID, *, cause: str, sessions: Collection[str] = ()) -> Subscriber | None:
    """Make a user's columns match Stripe's state. Return the user, or None if they were deleted.

    Takes and raises the same as `update_columns`.
    """
    if not update_columns(user_id, cause=cause, sessions=sessions):
        return None
    return customers.reload(user_id)


def update_columns(
    user_id: uuid.UUID,
    *,
    cause: str,
    event_id: str | None = None,
    sessions: Collection[str] = (),
) -> bool:
    """Make a user's columns match Stripe's state. Return False if the user was deleted.

    This is a compare-and-swap: read the counter, call Stripe without a transaction, and write only
    if the counter is unchanged. So a slow, stale response never overwrites a newer one. The counter
    is incremented even if no column changes, because the response is still newer.

    `cause` is stored in the history. With `event_id`, the event is marked as processed in the same
    transaction. `sessions` are checkout pages that the user paid as another customer.

    Raises `gateway.StripeError`. Nothing is written then, with one exception: when Stripe refuses
    to cancel a duplicate, the columns of the subscription that stays are written.
    """
    first_counter: int | None = None
    for attempt in range(_ATTEMPTS):
        user = customers.reload(user_id)
        if user is None:
            return False
        if first_counter is None:
            first_counter = user.stripe_sync_counter
        if _was_synced_since(user, first_counter):
            if event_id:
                ledger.mark_processed(event_id)
            return True
        state = _settled_state(user, cause, sessions)
        if _write(user, state, cause, event_id):
            return True
        time.sleep(random.uniform(0, 0.02) * (attempt + 1))  # noqa: S311 - jitter, not a secret
    raise Busy("another process kept changing the columns")


def differences(
    user: Subscriber, *, next_invoice: bool = True, sessions: Collection[str] = ()
) -> dict[str, tuple[Any, Any]]:
    """Return the changes that a sync would make: {column: (ours, Stripe's)}. Writes nothing.

    Comparing the next invoice takes a separate call. `sessions` are as in `update_columns`.
    """
    state = stripe_state.fetch(user, next_invoice=next_invoice, sessions=sessions)
    columns = state.columns(user)
    if not next_invoice:
        del columns["stripe_next_invoice"]
    return {
        name: (getattr(user, name), value)
        for name, value in columns.items()
        if getattr(user, name) != value
    }


def record_trial(user_id: uuid.UUID, subscriptions: list[Subscription]) -> None:
    """Store the first trial of our subscriptions, for users whose webhook has not arrived yet."""
    ours = [subscription for subscription in subscriptions if customers.is_ours(subscription)]
    if trial := stripe_state.first_trial(ours):
        unknown = (Subscriber.id == user_id, Subscriber.trial_used_at.is_(None))
        with database.write_transaction():
            database.execute(update(Subscriber).where(*unknown).values(trial_used_at=trial))


def _was_synced_since(user: Subscriber, first_counter: int) -> bool:
    """Return whether another sync both started after ours and wrote: its result covers ours."""
    return user.stripe_sync_counter >= first_counter + 2


def _settled_state(user: Subscriber, cause: str, sessions: Collection[str]) -> StripeState:
    """Fetch the state, after ending and refunding what was paid for twice.

    This happens before the event is marked as processed, so that after a crash the next sync does
    it.
    """
    state = stripe_state.fetch(user, sessions=sessions)
    for settle in (duplicates.cancel_subscriptions, duplicates.settle_purchases):
        try:
            has_changed = settle(state)
        except gateway.StripeError:
            _write(user, state, cause, event_id=None)  # what was paid for gives its plan anyway
            raise
        if has_changed:
            state = stripe_state.fetch(user, sessions=sessions)
    return state


def _write(user: Subscriber, state: StripeState, cause: str, event_id: str | None) -> bool:
    """Write columns, history and emails in one transaction; False if the counter has changed."""
    columns = state.columns(user)
    before, after = user.synced_columns, {name: columns[name] for name in SYNCED_COLUMNS}
    counter, at = user.stripe_sync_counter + 1, now()
    try:
        with database.write_transaction():
            if not _swap(user, columns):
                return False
            _record_change(user, counter, at, cause, before, after)
            revenue.record(user.id, before, after, at)
            emails.enqueue_for_change(user, before, after, counter)
            emails.enqueue_for_reminders(user, after, state.subscriptions, state.overdue, event_id)
            if event_id and not ledger.mark_processed(event_id):
                raise _AlreadyProcessed
    except _AlreadyProcessed:
        pass  # nothing was written; the other process has written the same or newer columns
    return True


def _swap(user: Subscriber, columns: Mapping[str, Any]) -> bool:
    """Write the columns if the counter is unchanged since `user` was read."""
    values = {
        **columns,
        "stripe_monthly_amount": revenue.monthly(columns).amount or None,
        "stripe_synced_at": now(),
        "stripe_sync_counter": user.stripe_sync_counter + 1,
    }
    which = {"user_id": user.id, "counter": user.stripe_sync_counter}
    return database.execute_core(_IF_UNCHANGED, {**which, **values}) == 1


def _record_change(
    user: Subscriber, counter: int, at: datetime, cause: str, before: dict[str, Any],
    after: dict[str, Any],
) -> None:  # fmt: skip
    """Add a change to the history, unless it only fills in an amount that was unknown before."""
    is_first_amount = before["stripe_recurring"] is None
    known = {**before, "stripe_recurring": after["stripe_recurring"]} if is_first_amount else before
    if known == after:
        return
    db.session.add(
        SubscriptionChange(
            user_id=user.id,
            counter=counter,
            at=at,
            cause=cause,
            before=_as_json(before),
            after=_as_json(after),
        )
    )


def _as_json(columns: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in columns.items()
    }

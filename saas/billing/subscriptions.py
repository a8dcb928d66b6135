"""Keeping our copy equal to what Stripe says.

`sync` is the one function that writes the columns: the webhook, the return from checkout, the
commands and the sweep all call it, and it always fetches the truth, so order cannot matter.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import update

from saas import database, products
from saas.auth.models import User
from saas.billing import customers, emails, gateway, ledger, precedence
from saas.billing.gateway import Overdue, Subscription
from saas.billing.models import SubscriptionChange
from saas.charges import NextInvoice
from saas.database import db, now
from saas.subscriber import SYNCED_COLUMNS

_TRIES = 10
_INVOICED = ("active", "trialing", "past_due")  # those with a next invoice


@dataclass(frozen=True)
class StripeState:
    """What Stripe said about a person: all that the columns and the mails follow from."""

    found: list[Subscription]
    overdue: Overdue | None = None  # what the chosen one owes, past due or for its beginning
    next_invoice: NextInvoice | None = None


class _AlreadyProcessed(Exception):
    """The event was processed meanwhile: what was about to be written is rolled back."""


class Busy(gateway.Unavailable):
    """Somebody else changed the same person's columns again and again; try later."""


def sync(user_id: uuid.UUID, *, cause: str, event_id: str | None = None) -> User | None:
    """Make the columns of a person equal what Stripe says now; the person, or None when gone.

    Compare-and-swap: read the counter, ask Stripe with nothing held, write only if the counter is
    what it was. A slow, stale answer can therefore never overwrite a newer one. The counter moves
    even when nothing changed, because the answer was newer all the same.

    Raises `gateway.StripeError` with the event not claimed. Nothing is written then, except where
    Stripe refuses to end a second subscription: the plan is there all the same.
    """
    first: int | None = None
    for attempt in range(_TRIES):
        user = _read(user_id)
        if user is None:
            return None
        counter = user.stripe_sync_counter
        first = counter if first is None else first
        if counter >= first + 2:
            # Somebody began to fetch after we were asked, and has written: that covers us.
            if event_id:
                ledger.mark_processed(event_id)
            return user
        answer = _end_duplicates(user, _fetch(user), cause)
        answer = _with_next_invoice(answer)
        try:
            if _write(user, _all_columns(user, answer), cause, event_id, answer):
                return _read(user_id)
        except _AlreadyProcessed:
            return _read(user_id)
        time.sleep(random.uniform(0, 0.02) * (attempt + 1))  # noqa: S311 - jitter, not a secret
    raise Busy("the columns kept changing")


def differences(user: User, *, next_invoice: bool = True) -> dict[str, tuple[Any, Any]]:
    """What a sync would change: {column: (ours, Stripe's)}. Writes nothing.

    The next invoice costs a call of its own, so it may be left out.
    """
    answer = _fetch(user)
    if next_invoice:
        truth = _all_columns(user, _with_next_invoice(answer))
    else:
        truth = _columns(user, answer)
    ours = {name: getattr(user, name) for name in truth}
    return {name: (ours[name], truth[name]) for name in truth if ours[name] != truth[name]}


def _read(user_id: uuid.UUID) -> User | None:
    database.release_connection()
    user = db.session.get(User, user_id, populate_existing=True)
    database.release_connection()
    return user


def _fetch(user: User) -> StripeState | None:
    """All that is ours of the person's customer; None when Stripe has no such customer."""
    if not user.stripe_customer_id:
        return StripeState([])
    try:
        listed = gateway.list_subscriptions(user.stripe_customer_id)
    except gateway.NotFound:
        return None
    found = [each for each in listed if customers.is_ours(each)]
    chosen = precedence.choose(found)
    if chosen is None or chosen.status not in ("past_due", "incomplete"):
        return StripeState(found)
    return StripeState(found, _overdue(user, chosen.id))


def _with_next_invoice(answer: StripeState | None) -> StripeState | None:
    chosen = precedence.choose(answer.found) if answer else None
    if answer is None or chosen is None or chosen.status not in _INVOICED:
        return answer
    if not chosen.is_collected:  # invoices are made, and not charged
        return answer
    return replace(answer, next_invoice=gateway.next_invoice(chosen.id))


def _overdue(user: User, subscription_id: str) -> Overdue:
    """What is owed; the grace begins with the oldest open invoice.

    Without one it has begun when we first knew, or now.
    """
    owed = gateway.overdue(subscription_id)
    return replace(owed, since=owed.since or user.stripe_past_due_since or now())


def _end_duplicates(user: User, answer: StripeState | None, cause: str) -> StripeState | None:
    """One person pays for one subscription: end every other one of ours, and give the money back.

    What Stripe says then. It is done before the event is claimed, so that a crash leaves it to the
    next sync; where Stripe gives no answer, the plan is there all the same.
    """
    kept, second_ones = _duplicates(answer.found) if answer else (None, [])
    if kept is None or not second_ones:
        return answer
    try:
        for each in second_ones:
            # Both were there since the younger one was bought: the time after that was paid twice.
            since = max(each.created, kept.created)
            gateway.end_and_refund(each.id, gateway.DUPLICATE, since)
    except gateway.StripeError:
        _write(user, _columns(user, answer), cause, None, answer)
        raise
    return _fetch(user)


def _duplicates(found: list[Subscription]) -> tuple[Subscription | None, list[Subscription]]:
    """The living one that counts, and every other one with this installation's metadata.

    There is one when two pages were paid: in the same moment, or in a tab that was left open.
    """
    ours = str(customers.installation_key())
    live = [each for each in found if each.status in ("active", "trialing", "past_due")]
    kept = max(live, key=precedence.rank, default=None)
    return kept, [
        each
        for each in live
        if each is not kept
        and each.metadata.get("installation") == ours
        and any(map(products.sold_as, each.price_ids))
    ]


def _all_columns(user: User, answer: StripeState | None) -> dict[str, Any]:
    found = answer.next_invoice if answer else None
    return {
        **_columns(user, answer),
        "stripe_next_invoice": found.to_json() if found else None,
    }


def _columns(user: User, answer: StripeState | None) -> dict[str, Any]:
    """The columns as they should be, from Stripe's answer."""
    if answer is None:
        # The customer was deleted at Stripe: access ends, and the next checkout makes a new one.
        return {
            **precedence.NO_SUBSCRIPTION,
            "stripe_customer_id": None,
            "stripe_customer_generation": user.stripe_customer_generation + 1,
        }
    columns = precedence.columns_from(answer.found, answer.overdue)
    first_trial = _first_trial(answer.found)
    if first_trial and user.trial_used_at is None:
        columns["trial_used_at"] = first_trial  # stays, whatever becomes of the customer
    return columns


def note_trial(user_id: uuid.UUID, found: list[Subscription]) -> None:
    """Store the first trial of subscriptions of ours whose webhook has not arrived yet."""
    if first_trial := _first_trial([each for each in found if customers.is_ours(each)]):
        with database.write_transaction():
            unknown = update(User).where(User.id == user_id, User.trial_used_at.is_(None))
            database.execute(unknown.values(trial_used_at=first_trial))


def _first_trial(found: list[Subscription]) -> datetime | None:
    return min((each.created for each in found if each.had_trial), default=None)


def _write(
    user: User,
    columns: Mapping[str, Any],
    cause: str,
    event_id: str | None,
    answer: StripeState | None = None,
) -> bool:
    """Swap the columns in if nobody else did meanwhile; history and mails in one transaction."""
    with database.write_transaction() as session:
        swapped = database.execute(
            update(User)
            .where(User.id == user.id, User.stripe_sync_counter == user.stripe_sync_counter)
            .values(
                **columns,
                stripe_synced_at=now(),
                stripe_sync_counter=user.stripe_sync_counter + 1,
            )
        )
        if not swapped:
            return False
        before = user.synced_columns
        after = {name: columns[name] for name in SYNCED_COLUMNS}
        if _is_news(before, after):
            session.add(
                SubscriptionChange(
                    user_id=user.id,
                    counter=user.stripe_sync_counter + 1,
                    cause=cause,
                    before=_as_json(before),
                    after=_as_json(after),
                )
            )
        emails.enqueue_for_change(user, before, after, user.stripe_sync_counter + 1)
        if answer:
            emails.enqueue_for_reminders(user, after, answer.found, answer.overdue, event_id)
        if event_id and not ledger.mark_processed(event_id):
            raise _AlreadyProcessed
    return True


def _is_news(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether the history tells of it: not where an amount was merely not known before."""
    if before["stripe_recurring"] is None:
        before = {**before, "stripe_recurring": after["stripe_recurring"]}
    return before != after


def _as_json(columns: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in columns.items()
    }

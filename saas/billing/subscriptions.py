"""Subscriptions: starting them, and keeping our copy equal to what Stripe says.

`sync` is the one function that writes the columns: the webhook, the return from checkout, the
commands and the sweep all call it, and it always fetches the truth, so order cannot matter.
"""

from __future__ import annotations

import logging
import random
import time
import uuid
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from flask import current_app
from sqlalchemy import select, update

from saas import database, plans, security
from saas.auth.models import User
from saas.billing import gateway, ledger
from saas.billing.gateway import Subscription
from saas.billing.models import Installation, SubscriptionChange
from saas.database import db, now
from saas.subscriber import LIVE_STATUSES, SYNCED

log = logging.getLogger("saas.billing")

_TRIES = 10
_NOTHING: dict[str, Any] = dict.fromkeys(SYNCED)


class Busy(gateway.Unavailable):
    """Somebody else changed the same person's columns again and again; try later."""


class CannotSubscribe(Exception):
    """The person cannot start a subscription now; the message says why."""


# --- starting and managing ----------------------------------------------------------------------


def start(person: User, plan_id: str, interval: str, nonce: str) -> str:
    """The page on which to get this plan: Checkout, or the portal for who already subscribes.

    `nonce` names the form that was sent, so that a double click opens one page and not two.
    """
    if person.is_closing:
        raise CannotSubscribe("This account is being closed.")
    price = price_for(plan_id, interval)
    person = sync(person.id, cause="checkout") or person
    if person.is_subscribed:
        return manage(person, price)

    back = security.public_url("site.pricing", plan=plan_id, interval=interval)
    return _checkout(person, price, f"{nonce}:{price}", back)


def _checkout(person: User, price: str, nonce: str, back: str) -> str:
    """A page to pay on: the open one of this form if there is one, and no other stays open."""
    customer_id = ensure_customer(person)
    used_up = 0  # pages of this form that were paid or closed, as after the back button
    for page in gateway.recent_checkouts(customer_id):
        if page.is_open and page.nonce == nonce:
            return page.url
        if page.is_open:
            gateway.expire_checkout(page.id)
        used_up += page.nonce == nonce
    return gateway.start_checkout(
        customer_id=customer_id,
        price_id=price,
        metadata={**metadata_of(person), "nonce": nonce},
        key=f"checkout:{customer_id}:{nonce}:{used_up}",
        success_url=_return_url() + "?session_id={CHECKOUT_SESSION_ID}",
        cancel_url=back,
    ).url


def manage(person: User, price: str | None = None) -> str:
    """The customer portal of this person's own customer; with a price, opened at that change."""
    if not person.stripe_customer_id:
        raise CannotSubscribe("There is no subscription to manage yet.")
    back = security.public_url("billing.returned")
    portal = partial(gateway.open_portal, person.stripe_customer_id, return_url=back)
    if price and person.stripe_subscription_id and price != person.stripe_price_id:
        try:
            return portal(change=(person.stripe_subscription_id, price))
        except (gateway.Refused, gateway.Gone) as error:
            # Stripe refuses a change of a subscription that is ending or cannot be changed here.
            log.info("the portal did not open at the change: %s", error)
    try:
        return portal()
    except gateway.Gone:
        sync(person.id, cause="portal")  # the customer was deleted at Stripe, and we missed it
        raise CannotSubscribe("There is no subscription to manage any more.") from None


def ensure_customer(person: User) -> str:
    """The person's customer at Stripe, created once however many ask at the same time."""
    if person.stripe_customer_id:
        return person.stripe_customer_id
    key = f"customer:{installation_key()}:{person.id}:{person.stripe_customer_epoch}"
    created = gateway.create_customer(person.email, person.name, metadata_of(person), key)
    with database.writing() as session:
        database.execute(
            update(User)
            .where(User.id == person.id, User.stripe_customer_id.is_(None))
            .where(User.closing_at.is_(None))
            .values(stripe_customer_id=created, stripe_sync_counter=User.stripe_sync_counter + 1)
        )
        stored = session.get(User, person.id, populate_existing=True)
    if stored is None or stored.stripe_customer_id is None:
        raise CannotSubscribe("This account is being closed.")
    return stored.stripe_customer_id


def price_for(plan_id: str, interval: str) -> str:
    """The price that is sold now for a plan; raises `NotConfigured` when there is none."""
    prices = current_app.config["STRIPE_PRICES"].get((plan_id, interval))
    if not prices:
        raise gateway.NotConfigured(f"no price is configured for {plan_id} {interval}")
    return str(prices[0])


def metadata_of(person: User) -> dict[str, str]:
    """What marks an object at Stripe as this installation's and this person's."""
    return {"installation": str(installation_key()), "person": str(person.id)}


def installation_key() -> uuid.UUID:
    """The id of this installation, drawn once."""
    known: uuid.UUID | None = current_app.extensions.get("installation")
    if known is None:
        known = db.session.scalar(select(Installation.key))
    if known is None:
        with database.writing():
            database.insert_if_new(Installation, id=1, key=uuid.uuid4())
            known = db.session.scalar(select(Installation.key))
    if known is None:
        raise RuntimeError("the installation's id was written and is not there")
    current_app.extensions["installation"] = known
    return known


def _return_url() -> str:
    return security.public_url("billing.returned")


# --- keeping the copy true ----------------------------------------------------------------------


def sync(person_id: uuid.UUID, *, cause: str, event_id: str | None = None) -> User | None:
    """Make the columns of a person equal what Stripe says now; the person, or None when gone.

    Compare-and-swap: read the counter, ask Stripe with nothing held, write only if the counter is
    what it was. A slow, stale answer can therefore never overwrite a newer one. The counter moves
    even when nothing changed, because the answer was newer all the same.

    Raises `gateway.Unavailable` with nothing written.
    """
    first: int | None = None
    for attempt in range(_TRIES):
        person = _read(person_id)
        if person is None:
            return None
        counter = person.stripe_sync_counter
        first = counter if first is None else first
        if counter >= first + 2:
            # Somebody began to fetch after we were asked, and has written: that covers us.
            ledger.finish(event_id)
            return person
        found = _fetch(person)
        if found and _end_second_ones(found):
            found = _fetch(person)
        if _write(person, _columns(person, found), cause, event_id):
            return _read(person_id)
        time.sleep(random.uniform(0, 0.02) * (attempt + 1))  # noqa: S311 - jitter, not a secret
    raise Busy("the columns kept changing")


def differences(person: User) -> dict[str, tuple[Any, Any]]:
    """What a sync would change: {column: (ours, Stripe's)}. Writes nothing."""
    truth = _columns(person, _fetch(person))
    ours = {name: getattr(person, name) for name in truth}
    return {name: (ours[name], truth[name]) for name in truth if ours[name] != truth[name]}


def _read(person_id: uuid.UUID) -> User | None:
    database.end_reading()
    person = db.session.get(User, person_id, populate_existing=True)
    database.end_reading()
    return person


def _fetch(person: User) -> list[Subscription] | None:
    """All subscriptions of the person's customer; None when Stripe has no such customer."""
    if not person.stripe_customer_id:
        return []
    try:
        return gateway.subscriptions_of(person.stripe_customer_id)
    except gateway.Gone:
        return None


def _end_second_ones(found: list[Subscription]) -> bool:
    """One person pays for one subscription: end every other one of ours, and give the money back.

    It happens when two pages were paid in the same moment. Only what carries this installation's
    mark is touched. Done before anything is written, so that a crash leaves it to the next sync.
    """
    prices, ours = current_app.config["STRIPE_PRICES"], str(installation_key())
    live = [each for each in found if each.status in ("active", "trialing", "past_due")]
    kept = max(live, key=lambda each: rank(each, prices), default=None)
    second = [
        each
        for each in live
        if each is not kept
        and each.metadata.get("installation") == ours
        and any(plans.sold_as(price, prices) for price in each.price_ids)
    ]
    for each in second:
        log.warning("a second subscription is ended and refunded: %s", each.id)
        gateway.end_and_refund(each.id)
    return bool(second)


def _columns(person: User, found: list[Subscription] | None) -> dict[str, Any]:
    """The columns as they should be, from Stripe's answer."""
    if found is None:
        # The customer was deleted at Stripe: access ends, and the next checkout makes a new one.
        return {
            **_NOTHING,
            "stripe_customer_id": None,
            "stripe_customer_epoch": person.stripe_customer_epoch + 1,
        }
    since = partial(_unpaid_since, person)
    return columns_for(found, current_app.config["STRIPE_PRICES"], since)


def _unpaid_since(person: User, subscription_id: str) -> datetime:
    """The start of the grace; without an open invoice what we knew, or this moment."""
    return gateway.unpaid_since(subscription_id) or person.stripe_past_due_since or now()


def columns_for(
    found: list[Subscription], prices: plans.Prices, unpaid_since: Any
) -> dict[str, Any]:
    """The columns that a customer's subscriptions give, by the written rank."""
    if not found:
        return dict(_NOTHING)
    chosen = max(found, key=lambda each: rank(each, prices))
    price = _plan_price(chosen, prices)
    past_due = chosen.status == "past_due"
    return {
        "stripe_subscription_id": chosen.id,
        "stripe_subscription_status": chosen.status,
        "stripe_price_id": price,
        "stripe_current_period_end": chosen.period_end(price),
        "stripe_cancel_at": chosen.cancel_at,
        "stripe_past_due_since": unpaid_since(chosen.id) if past_due else None,
    }


def rank(subscription: Subscription, prices: plans.Prices) -> tuple[Any, ...]:
    """Which of several subscriptions counts: the highest.

    One with a price of ours before others, one that is paid before one in its grace, that before
    one that gives no access, one that lives before one that has ended, then the newest.
    """
    return (
        any(plans.sold_as(price, prices) for price in subscription.price_ids),
        subscription.status in ("active", "trialing"),
        subscription.status == "past_due",
        subscription.status in LIVE_STATUSES,
        subscription.created,
        subscription.id,
    )


def _plan_price(subscription: Subscription, prices: plans.Prices) -> str | None:
    """The price that stands for a plan; of several the highest plan, an unknown one otherwise."""
    known = [
        (sold[0].rank, price)
        for price in subscription.price_ids
        if (sold := plans.sold_as(price, prices))
    ]
    if known:
        return max(known)[1]
    if subscription.status in LIVE_STATUSES:
        log.warning("subscription %s has no price of the catalogue", subscription.id)
    return subscription.price_ids[0] if subscription.price_ids else None


def _write(person: User, columns: Mapping[str, Any], cause: str, event_id: str | None) -> bool:
    """Swap the columns in if nobody else did meanwhile, with the history, in one transaction."""
    with database.writing() as session:
        swapped = database.execute(
            update(User)
            .where(User.id == person.id, User.stripe_sync_counter == person.stripe_sync_counter)
            .values(
                **columns,
                stripe_synced_at=now(),
                stripe_sync_counter=person.stripe_sync_counter + 1,
            )
        )
        if not swapped:
            return False
        before = person.synced_columns
        after = {name: columns[name] for name in SYNCED}
        if before != after:
            session.add(
                SubscriptionChange(
                    user_id=person.id,
                    counter=person.stripe_sync_counter + 1,
                    cause=cause,
                    before=_as_json(before),
                    after=_as_json(after),
                )
            )
        ledger.finish(event_id)
    return True


def _as_json(columns: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in columns.items()
    }

"""Customers in Stripe: identify their users, create each one once, and keep emails current.

Several products may share one Stripe account. Every endpoint receives every event of the account,
and Stripe's lists contain all customers, so this module checks objects for this installation's
metadata.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping

from flask import current_app
from sqlalchemy import ColumnElement, bindparam, select, update

from saas import database, jobs, products
from saas.auth import email_changes
from saas.auth.models import User
from saas.billing import gateway
from saas.billing.models import Installation
from saas.database import db, now

log = logging.getLogger("saas.billing")

# The model that uses the mixin `saas.subscriber.Subscriber`. Nothing else in billing names it, so
# that a team could subscribe instead of a user.
Subscriber = User
_ID_BY_CUSTOMER = select(Subscriber.id).where(
    Subscriber.stripe_customer_id == bindparam("customer")
)


class AccountClosing(Exception):
    """The account is being deleted, so no customer is created for it."""


def store_monthly_amount(user_id: uuid.UUID, amount: int) -> None:
    """Store what a subscription pays per month, for subscribers from before the column existed."""
    of_user = update(Subscriber).where(Subscriber.id == user_id)
    database.execute(of_user.values(stripe_monthly_amount=amount or None))


def reload(user_id: uuid.UUID) -> Subscriber | None:
    """Return the current row of a user, without keeping a transaction open."""
    database.release_connection()
    user = db.session.get(Subscriber, user_id, populate_existing=True)
    database.release_connection()
    return user


def find_user_id(customer_id: str) -> uuid.UUID | None:
    """Return the id of the user with this customer, according to our own columns."""
    return db.session.scalar(_ID_BY_CUSTOMER, {"customer": customer_id})


def user_id_from_metadata(metadata: Mapping[str, str]) -> uuid.UUID | None:
    """Return the id of the user that this installation's metadata names, or None."""
    if metadata.get("installation") != str(installation_key()):
        return None
    try:
        return uuid.UUID(metadata.get("user") or metadata.get("person", ""))  # "person" until 0.2
    except ValueError:
        return None


def is_ours(subscription: gateway.Subscription) -> bool:
    """Return whether a subscription has our metadata or a price from the catalogue."""
    if subscription.metadata.get("installation") == str(installation_key()):
        return True
    return any(map(products.sold_as, subscription.price_ids))


def was_sold_by_us(subscription: gateway.Subscription) -> bool:
    """Return whether a subscription has this installation's metadata and a price we sell."""
    is_marked = subscription.metadata.get("installation") == str(installation_key())
    return is_marked and any(map(products.sold_as, subscription.price_ids))


def adopt(customer_id: str) -> uuid.UUID | None:
    """Store a customer with our metadata for the user it names, unless that user has another.

    This is needed when our record of it was lost: a backup was restored, or the process crashed
    before storing it. An email or a `client_reference_id` proves nothing, because any buyer can
    choose them.
    """
    user_id = user_id_from_metadata(gateway.customer_metadata(customer_id))
    if user_id is None:
        return None
    with database.write_transaction() as session:
        is_new = _store(user_id, customer_id)
        user = session.get(Subscriber, user_id, populate_existing=True)
    if user is None:
        return None
    if user.stripe_customer_id != customer_id:
        log.warning(
            "customer %s names a user who has another customer; it is ignored",
            customer_id,
            extra={"user_id": user_id},
        )
        return None
    if is_new:
        log.warning("customer %s was adopted", customer_id, extra={"user_id": user_id})
    return user_id


def metadata_for(user: Subscriber) -> dict[str, str]:
    """Return the metadata that names this installation and this user on objects in Stripe."""
    return {"installation": str(installation_key()), "user": str(user.id)}


def installation_key() -> uuid.UUID:
    """Return the id of this installation. It is generated once."""
    key: uuid.UUID | None = current_app.extensions.get("installation")
    if key is None:
        key = db.session.scalar(select(Installation.key))
    if key is None:
        with database.write_transaction():
            database.insert_or_ignore(Installation, id=1, key=uuid.uuid4())
            key = db.session.scalar(select(Installation.key))
    if key is None:
        raise RuntimeError("the installation's id was written but cannot be read")
    current_app.extensions["installation"] = key
    return key


def ensure_customer(user: Subscriber) -> str:
    """Return the user's customer in Stripe, created once even under concurrent calls.

    Raises `AccountClosing` and `gateway.StripeError`.
    """
    if user.stripe_customer_id:
        return user.stripe_customer_id
    email = user.email
    key = f"customer:{installation_key()}:{user.id}:{user.stripe_customer_generation}"
    created = gateway.create_customer(email, user.name, metadata_for(user), key)
    with database.write_transaction() as session:
        _store(user.id, created, Subscriber.closing_at.is_(None))
        stored = session.get(Subscriber, user.id, populate_existing=True)
    if stored is None or stored.stripe_customer_id is None:
        _delete_unused_customer(user.id, created)
        raise AccountClosing
    if stored.email != email:  # it was changed while Stripe was called
        mark_email_stale(stored)
    return stored.stripe_customer_id


def _store(user_id: uuid.UUID, customer_id: str, *conditions: ColumnElement[bool]) -> bool:
    """Store the customer of a user without one. A sync in progress will start over."""
    has_none = (Subscriber.id == user_id, Subscriber.stripe_customer_id.is_(None))
    counter = Subscriber.stripe_sync_counter + 1
    values = {"stripe_customer_id": customer_id, "stripe_sync_counter": counter}
    return bool(database.execute(update(Subscriber).where(*has_none, *conditions).values(values)))


def _delete_unused_customer(user_id: uuid.UUID, customer_id: str) -> None:
    """Delete a customer whose account is being deleted, so that Stripe keeps no email."""
    gateway.delete_customer(customer_id)
    # If the account is kept after all, its next customer is a new one.
    with database.write_transaction():
        database.execute(
            update(Subscriber)
            .where(Subscriber.id == user_id, Subscriber.stripe_customer_id.is_(None))
            .values(stripe_customer_generation=Subscriber.stripe_customer_generation + 1)
        )


@email_changes.on_change
def on_email_change(user_id: uuid.UUID) -> None:
    """Mark the email in Stripe as stale, in the transaction that changes ours."""
    user = db.session.get(Subscriber, user_id)
    if user:
        mark_email_stale(user)


def mark_email_stale(user: Subscriber) -> None:
    """Have the email in Stripe updated, soon and until it succeeds."""
    with database.write_transaction():
        this_user = update(Subscriber).where(Subscriber.id == user.id)
        database.execute(this_user.values(stripe_email_stale_since=now()))
        update_email.enqueue(str(user.id))


@jobs.task
def update_email(user_id: str) -> None:
    """Update the email in Stripe; a periodic task retries failed updates."""
    try:
        update_stale_email(uuid.UUID(user_id))
    except gateway.StripeError as error:
        reason = gateway.describe(error)
        log.warning("Stripe still has an old email: %s", reason, extra={"user_id": user_id})


def update_stale_email(user_id: uuid.UUID) -> None:
    """Send Stripe the user's current email if the customer still has an old one."""
    user = db.session.get(Subscriber, user_id, populate_existing=True)
    if user is None or user.stripe_email_stale_since is None:
        return
    stale_since, email = user.stripe_email_stale_since, user.email
    if user.stripe_customer_id:
        gateway.update_customer_email(user.stripe_customer_id, email)
    with database.write_transaction():
        done = database.execute(
            update(Subscriber)
            .where(Subscriber.id == user.id, Subscriber.stripe_email_stale_since == stale_since)
            .values(stripe_email_stale_since=None)
        )
        if not done and (again := db.session.get(Subscriber, user_id, populate_existing=True)):
            # It was changed again in the meantime, and our update may have arrived last.
            mark_email_stale(again)

"""Customers at Stripe: whose they are, creating them once, and keeping their email current.

Several products may share one Stripe account. Every endpoint sees every event of the account, and
its lists contain all customers, so everything here looks for this installation's metadata.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping

from flask import current_app
from sqlalchemy import select, update

from saas import database, jobs, products
from saas.auth import email_changes
from saas.auth.models import User
from saas.billing import gateway
from saas.billing.models import Installation
from saas.database import db, now

log = logging.getLogger("saas.billing")


class AccountClosing(Exception):
    """The account is being deleted, so no customer is created for it."""


def find_user_id(customer_id: str) -> uuid.UUID | None:
    """Return the id of the user with this customer, by our own columns."""
    return db.session.scalar(select(User.id).where(User.stripe_customer_id == customer_id))


def user_id_from_metadata(metadata: Mapping[str, str]) -> uuid.UUID | None:
    """Return the user that metadata of this installation names, or None."""
    if metadata.get("installation") != str(installation_key()):
        return None
    try:
        return uuid.UUID(metadata.get("user") or metadata.get("person", ""))  # "person" until 0.2
    except ValueError:
        return None


def is_ours(subscription: gateway.Subscription) -> bool:
    """Return whether a subscription has our metadata or a price of the catalogue."""
    if subscription.metadata.get("installation") == str(installation_key()):
        return True
    return any(map(products.sold_as, subscription.price_ids))


def adopt(customer_id: str) -> uuid.UUID | None:
    """Store a customer with our metadata for the user it names, unless that user has another.

    This is needed when our record of it was lost: a backup was restored, or the process crashed
    between the two. An email or `client_reference_id` proves nothing: any buyer can choose them.
    """
    named = user_id_from_metadata(gateway.customer_metadata(customer_id))
    if named is None:
        return None
    with database.write_transaction() as session:
        is_new = database.execute(
            update(User)
            .where(User.id == named, User.stripe_customer_id.is_(None))
            .values(
                stripe_customer_id=customer_id, stripe_sync_counter=User.stripe_sync_counter + 1
            )
        )
        user = session.get(User, named, populate_existing=True)
    if user is None:
        return None
    if user.stripe_customer_id != customer_id:
        log.warning(
            "customer %s names a person who has another customer; it is left alone",
            customer_id,
            extra={"user_id": named},
        )
        return None
    if is_new:
        log.warning("customer %s was adopted", customer_id, extra={"user_id": named})
    return named


def metadata_for(user: User) -> dict[str, str]:
    """Return the metadata that names this installation and this user on objects at Stripe."""
    return {"installation": str(installation_key()), "user": str(user.id)}


def installation_key() -> uuid.UUID:
    """The id of this installation, drawn once."""
    known: uuid.UUID | None = current_app.extensions.get("installation")
    if known is None:
        known = db.session.scalar(select(Installation.key))
    if known is None:
        with database.write_transaction():
            database.insert_or_ignore(Installation, id=1, key=uuid.uuid4())
            known = db.session.scalar(select(Installation.key))
    if known is None:
        raise RuntimeError("the installation's id was written and is not there")
    current_app.extensions["installation"] = known
    return known


def ensure_customer(user: User) -> str:
    """Return the user's customer at Stripe, created once even under concurrent calls.

    Raises `AccountClosing` and `gateway.StripeError`.
    """
    if user.stripe_customer_id:
        return user.stripe_customer_id
    email = user.email
    key = f"customer:{installation_key()}:{user.id}:{user.stripe_customer_generation}"
    created = gateway.create_customer(email, user.name, metadata_for(user), key)
    with database.write_transaction() as session:
        database.execute(
            update(User)
            .where(User.id == user.id, User.stripe_customer_id.is_(None))
            .where(User.closing_at.is_(None))
            .values(stripe_customer_id=created, stripe_sync_counter=User.stripe_sync_counter + 1)
        )
        stored = session.get(User, user.id, populate_existing=True)
    if stored is None or stored.stripe_customer_id is None:
        _delete_unused_customer(user.id, created)
        raise AccountClosing
    if stored.email != email:  # it was changed while Stripe was being asked
        mark_email_stale(stored)
    return stored.stripe_customer_id


def _delete_unused_customer(user_id: uuid.UUID, customer_id: str) -> None:
    """Delete a customer whose account began to close meanwhile, so that Stripe keeps no email."""
    gateway.delete_customer(customer_id)
    # If the deletion is called off, the next customer is a new one.
    with database.write_transaction():
        database.execute(
            update(User)
            .where(User.id == user_id, User.stripe_customer_id.is_(None))
            .values(stripe_customer_generation=User.stripe_customer_generation + 1)
        )


@email_changes.on_change
def on_email_change(user_id: uuid.UUID) -> None:
    """Mark the email at Stripe as stale, in the transaction that changes ours."""
    user = db.session.get(User, user_id)
    if user:
        mark_email_stale(user)


def mark_email_stale(user: User) -> None:
    """Have the email at Stripe updated, soon and until it succeeds."""
    with database.write_transaction():
        stale = update(User).where(User.id == user.id).values(stripe_email_stale_since=now())
        database.execute(stale)
        update_email.enqueue(str(user.id))


@jobs.task
def update_email(user_id: str) -> None:
    """Update the email at Stripe; a periodic task retries what fails."""
    try:
        update_stale_email(uuid.UUID(user_id))
    except gateway.StripeError as error:
        said = gateway.describe(error)
        log.warning("Stripe has an old address: %s", said, extra={"user_id": user_id})


def update_stale_email(user_id: uuid.UUID) -> None:
    """Give Stripe the current email of a user whose customer has an old one."""
    user = db.session.get(User, user_id, populate_existing=True)
    if user is None or user.stripe_email_stale_since is None:
        return
    due, email = user.stripe_email_stale_since, user.email
    if user.stripe_customer_id:
        gateway.update_customer_email(user.stripe_customer_id, email)
    with database.write_transaction():
        done = database.execute(
            update(User)
            .where(User.id == user.id, User.stripe_email_stale_since == due)
            .values(stripe_email_stale_since=None)
        )
        if not done and (again := db.session.get(User, user_id, populate_existing=True)):
            # It was changed again meanwhile, and our update may have arrived after that one.
            mark_email_stale(again)

"""A new sign-in address reaches Stripe's customer, to whom receipts go.

A mark in the row is written in the transaction of the change and taken away once Stripe knows, so
that neither a lost job nor a Stripe that is away loses it.
"""

from __future__ import annotations

import logging
import uuid

from sqlalchemy import func, select, update

from saas import database, jobs
from saas.auth import email_changes
from saas.auth.models import User
from saas.billing import gateway, sweeping
from saas.database import db, now

log = logging.getLogger("saas.billing")

_AT_ONCE = 200


@email_changes.on_change
def follow(person_id: uuid.UUID) -> None:
    """Somebody changed their address: the mark is written in the same transaction."""
    person = db.session.get(User, person_id)
    if person:
        note(person)


def note(person: User) -> None:
    """The person's address is another now: tell Stripe, soon and until it has worked."""
    with database.write_transaction():
        database.execute(
            update(User).where(User.id == person.id).values(stripe_address_due_at=now())
        )
        tell_stripe.enqueue(str(person.id))


@jobs.task
def tell_stripe(person_id: str) -> None:
    """Give Stripe's customer the address that the person has now; the sweep does what fails."""
    try:
        _tell(uuid.UUID(person_id))
    except gateway.StripeError as error:
        said = gateway.describe(error)
        log.warning("Stripe has an old address: %s", said, extra={"person_id": person_id})


@jobs.periodic_task(minutes=10)
def tell_stripe_what_is_left() -> None:
    """Addresses that could not be told: Stripe was away, or the job was lost."""
    left = select(User.id).where(User.stripe_address_due_at.isnot(None))
    some = db.session.scalars(left.order_by(func.random()).limit(_AT_ONCE)).all()
    sweeping.one_by_one(some, _tell, about="new address of")


def _tell(person_id: uuid.UUID) -> None:
    person = db.session.get(User, person_id, populate_existing=True)
    if person is None or person.stripe_address_due_at is None:
        return
    due, email = person.stripe_address_due_at, person.email
    if person.stripe_customer_id:
        gateway.change_address(person.stripe_customer_id, email)
    with database.write_transaction():
        done = database.execute(
            update(User)
            .where(User.id == person.id, User.stripe_address_due_at == due)
            .values(stripe_address_due_at=None)
        )
        if not done and (again := db.session.get(User, person_id, populate_existing=True)):
            # It was changed again meanwhile, and what we told may have arrived after that.
            note(again)

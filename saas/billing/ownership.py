"""What at Stripe is ours: companies share one account between products.

Every endpoint of an account sees every event, and everybody's customers are in its lists.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping

from flask import current_app
from sqlalchemy import select, update

from saas import database, products
from saas.auth.models import User
from saas.billing import gateway
from saas.billing.models import Installation
from saas.database import db

log = logging.getLogger("saas.billing")


def person_with(customer_id: str) -> uuid.UUID | None:
    """Whose customer this is, by our own columns."""
    return db.session.scalar(select(User.id).where(User.stripe_customer_id == customer_id))


def person_named(metadata: Mapping[str, str]) -> uuid.UUID | None:
    """The person that marks of this installation name; None for marks of anybody else."""
    if metadata.get("installation") != str(installation_key()):
        return None
    try:
        return uuid.UUID(metadata.get("person", ""))
    except ValueError:
        return None


def is_ours(subscription: gateway.Subscription) -> bool:
    """Whether a subscription carries our marks or a price of the catalogue."""
    if subscription.metadata.get("installation") == str(installation_key()):
        return True
    return any(map(products.sold_as, subscription.price_ids))


def adopt(customer_id: str) -> uuid.UUID | None:
    """Store a customer that carries our marks for the person they name, if there is no other.

    It happens when our note of it was lost: a backup was restored, or we crashed at the wrong
    moment. Neither an address nor `client_reference_id` proves anything: any buyer can choose them.
    """
    named = person_named(gateway.metadata_of_customer(customer_id))
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
        person = session.get(User, named, populate_existing=True)
    if person is None:
        return None
    if person.stripe_customer_id != customer_id:
        log.warning(
            "customer %s names a person who has another customer; it is left alone",
            customer_id,
            extra={"person_id": named},
        )
        return None
    if is_new:
        log.warning("customer %s was adopted", customer_id, extra={"person_id": named})
    return named


def metadata_of(person: User) -> dict[str, str]:
    """What marks an object at Stripe as this installation's and this person's."""
    return {"installation": str(installation_key()), "person": str(person.id)}


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

"""What at Stripe is ours: companies share one account between products.

Every endpoint of an account sees every event, and everybody's customers are in its lists.
"""

from __future__ import annotations

import uuid

from flask import current_app
from sqlalchemy import select

from saas import database
from saas.auth.models import User
from saas.billing.models import Installation
from saas.database import db


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

"""Export all stored data about a user as plain values for JSON, without secrets.

Derived values, such as tokens in emails, are not stored and not included. Neither is data in
Stripe.
"""

from __future__ import annotations

import base64
import uuid
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, and_, select

from saas.auth.models import (
    ApiToken,
    AuditEntry,
    EmailChange,
    Identity,
    Passkey,
    PendingSignIn,
    Session,
    SignInLink,
    User,
)
from saas.billing.models import (
    FeatureUse,
    GrantedPlan,
    RevenueMovement,
    StripeEvent,
    SubscriptionChange,
)
from saas.database import Model, db, now
from saas.mail.models import OutboxMessage

# Secrets are not exported, not even as hashes.
SECRET = {Session.token_hash, ApiToken.token_hash, SignInLink.browser_hash}

# The tables whose rows belong to a user; a test compares them with the foreign keys.
OWNED: list[Any] = [
    Session,
    Identity,
    Passkey,
    ApiToken,
    PendingSignIn,
    EmailChange,
    SubscriptionChange,
    RevenueMovement,
    FeatureUse,
    GrantedPlan,
]

T = TypeVar("T", bound=type[Model])


def exported(model: T) -> T:
    """Include a table of the product, with a column `user_id`, in the data export."""
    OWNED.append(model)
    return model


_ABOUT = (
    "Cards, invoices and payments are stored in Stripe, under the customer id "
    "below. Times are in UTC; binary values are base64."
)


def export_user(user: User) -> dict[str, Any]:
    """Return the account, and the rows of every table that concern it, by table name."""
    return {
        "exported_at": now().isoformat(),
        "note": _ABOUT,
        "account": _read(user),
        **{table.__tablename__: _rows(table, table.user_id == user.id) for table in OWNED},
        **{model.__tablename__: _rows(model, of) for model, of in _others(user)},
    }


def _others(user: User) -> list[tuple[Any, ColumnElement[bool]]]:
    """Return rows that concern a user without a foreign key."""
    return [
        (SignInLink, SignInLink.email == user.email),
        (OutboxMessage, OutboxMessage.subject_id == user.id),
        (AuditEntry, AuditEntry.subject_id == user.id),
        (StripeEvent, _is_customer(StripeEvent.customer_id, user)),
    ]


def _is_customer(column: Any, user: User) -> ColumnElement[bool]:
    """Compare a column with the user's customer; never match NULL with None."""
    return and_(column.is_not(None), column == user.stripe_customer_id)


def _rows(model: type[Model], of: ColumnElement[bool]) -> list[dict[str, Any]]:
    keys = model.__table__.primary_key
    rows = db.session.scalars(select(model).where(of).order_by(*keys)).all()
    return [_read(row) for row in rows]


def _read(row: Any) -> dict[str, Any]:
    secret = {column.key for column in SECRET if column.class_ is type(row)}
    columns = (column.key for column in row.__table__.columns if column.key not in secret)
    return {name: _as_json(getattr(row, name)) for name in columns}


def _as_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value

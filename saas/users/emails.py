"""The email about a deleted account."""

from __future__ import annotations

import uuid

from flask import current_app

from saas import mail
from saas.mail.transports import compose


@mail.email("account_closed")
def account_closed(_: uuid.UUID, *, was_customer: bool, to: str | None = None) -> mail.Email | None:
    """Compose the last email to a deleted user, whose address is erased afterwards.

    Returns None if it was given up on, because the address is then erased too.
    """
    return _account_closed(to, was_customer) if to else None


@mail.preview("account_closed")
def account_closed_preview() -> mail.Email:
    """Return a sample for a paying user."""
    return _account_closed("ada@example.com", was_customer=True)


def _account_closed(to: str, was_customer: bool) -> mail.Email:
    return compose(
        to,
        f"Your account at {current_app.config['APP_NAME']} is closed",
        "account_closed",
        was_customer=was_customer,
        contact=current_app.config["SUPPORT_EMAIL"],
    )

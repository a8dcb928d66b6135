"""The mail that follows the deletion of an account."""

from __future__ import annotations

import uuid

from flask import current_app

from saas import mail
from saas.mail.transports import compose


@mail.email("account_closed")
def account_closed(_: uuid.UUID, *, was_customer: bool, to: str | None = None) -> mail.Email | None:
    """The last mail: the account is gone, and so is the address once this is handed over.

    Nothing when it was given up, for then the address is forgotten too.
    """
    return _account_closed(to, was_customer) if to else None


@mail.preview("account_closed")
def account_closed_preview() -> mail.Email:
    """To somebody who paid."""
    return _account_closed("ada@example.com", was_customer=True)


def _account_closed(to: str, was_customer: bool) -> mail.Email:
    return compose(
        to,
        f"Your account at {current_app.config['APP_NAME']} is closed",
        "account_closed",
        was_customer=was_customer,
        contact=current_app.config["SUPPORT_EMAIL"],
    )

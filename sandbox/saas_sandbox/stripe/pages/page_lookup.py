"""Find the account of a hosted page by the unguessable id in its URL."""

from collections.abc import Iterator
from contextlib import contextmanager

from flask import abort, current_app

from saas_sandbox.stripe.accounts import find_account
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.resource import Resource


@contextmanager
def open_page(kind: str, id: str) -> Iterator[tuple[Account, Resource]]:
    """Return the account and object of a page, in one transaction; 404 if unknown."""
    sandbox = current_app.extensions["sandbox"]
    with sandbox.store.transaction():
        row = sandbox.store.fetch_one(
            "SELECT account FROM objects WHERE type = ? AND id = ?", kind, id
        )
        account = find_account(sandbox.store, row["account"], sandbox.now) if row else None
        if account is None:
            abort(404)
        yield account, account.get(kind, id)

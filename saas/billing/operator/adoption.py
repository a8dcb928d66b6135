"""Resolve orphans: create the account again and adopt its customer, or cancel and refund.

Ownership follows from a customer's metadata, as everywhere. An account with the same email is not
enough to attach a customer to it: after a restore, an email may belong to an account that had given
it up since the backup.
"""

from __future__ import annotations

from collections.abc import Iterator

from saas import products
from saas.auth import accounts, audit
from saas.auth.models import User
from saas.billing import customers, gateway, subscriptions
from saas.billing.customers import orphans
from saas.billing.customers.orphans import Orphan
from saas.charges import Purchase

CAUSE = "flask billing adopt-orphans"


class Unresolved(Exception):
    """The orphan is not resolved; the message tells the operator why, and what to do."""


class HasAccount(Exception):
    """The orphan has an account since the list was read."""


def find() -> Iterator[tuple[int, list[Orphan]]]:
    """Yield the number of subscriptions checked and the orphans found, page by page.

    The orphans among purchases follow; those are not counted. Stripe's search by metadata may lag
    by minutes, so the whole lists are read. https://docs.stripe.com/api/subscriptions/search
    """
    cursor, has_more = None, True
    while has_more:
        page = gateway.subscription_page(cursor)
        yield len(page.listed), orphans.among(page.listed)
        cursor, has_more = page.next, page.next is not None
    for paid in gateway.purchase_pages() if products.catalogue().sells_once else ():
        yield 0, orphans.among_purchases(paid)


def obstacle(orphan: Orphan) -> str | None:
    """Return why the account cannot be created again, and what to do; None if it can be."""
    if not orphan.is_customer_ours:
        return (
            f"only the {orphan.kind} names the user, not {orphan.customer_id}. If it is the "
            f"user's, copy the metadata of the {orphan.kind} to it in Stripe"
        )
    try:
        email = accounts.clean_email(orphan.email or "")
    except ValueError:
        return f"{orphan.customer_id} has no usable email. Set it in Stripe"
    other = accounts.find_by_email(email)
    return _in_use(orphan, other) if other else None


def recreate(orphan: Orphan) -> User:
    """Create the account again under its id, adopt its customer and sync.

    Its owner verifies the email with the next sign-in. Raises `Unresolved` and `HasAccount`.
    """
    _check_unresolved(orphan)
    if reason := obstacle(orphan):
        raise Unresolved(reason)
    try:
        email = accounts.clean_email(orphan.email or "")
        user = accounts.recreate(orphan.user_id, email, by=audit.OPERATOR)
    except accounts.AccountError as error:
        raise Unresolved(str(error)) from None
    return _adopt(orphan, user)


def refund(orphan: Orphan) -> tuple[int, str]:
    """Cancel a subscription and refund its last payment, or refund a purchase.

    Returns the amount and its currency. Raises `Unresolved`, `HasAccount` and
    `gateway.StripeError`.
    """
    _check_unresolved(orphan)
    if orphan.purchase:
        return _refund_purchase(orphan.purchase)
    if not gateway.end_and_refund(orphan.id, gateway.ACCOUNT_LOST):
        raise Unresolved(
            f"{orphan.id} was canceled, but Stripe refused the refund. Refund it there"
        )
    return gateway.refunded(orphan.id)


def _refund_purchase(purchase: Purchase) -> tuple[int, str]:
    if purchase.payment is None:
        raise Unresolved(f"{purchase.session} cost nothing, so there is nothing to refund")
    if not gateway.refund_purchase(purchase, gateway.ACCOUNT_LOST):
        raise Unresolved(f"Stripe refused to refund {purchase.payment}. Refund it there")
    return purchase.amount - purchase.refunded, purchase.currency


def _adopt(orphan: Orphan, user: User) -> User:
    try:
        if customers.adopt(orphan.customer_id) is None:
            raise Unresolved(f"{orphan.customer_id} does not name the user any more")
        subscriptions.sync(user.id, cause=CAUSE)
    except gateway.StripeError as error:
        reason = gateway.describe(error)
        raise Unresolved(
            f"the account was created, but not synced ({reason}). Run: flask billing sync --all"
        ) from None
    return user


def _check_unresolved(orphan: Orphan) -> None:
    if not orphans.without_account([orphan]):
        raise HasAccount


def _in_use(orphan: Orphan, other: User) -> str:
    has_account = f"{other.email} has another account, and an email does not prove ownership"
    if other.stripe_customer_id:
        return f"{has_account}. That account has its own customer, so choose a refund"
    return (
        f"{has_account}. If it is the same person, set the metadata `user` of {orphan.customer_id} "
        f"and {orphan.id} to {other.id} in Stripe, then run: flask billing sync --all"
    )

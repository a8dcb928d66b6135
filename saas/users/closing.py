"""Closing an account: the subscription at Stripe first, then our rows.

Never an account that is gone and still charged. The steps are marked in the row, so that a crash
in between is finished by the sweep.
"""

from __future__ import annotations

import logging
import uuid
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, update

from saas import database, jobs, mail, patience
from saas.auth import audit, roles
from saas.auth.models import SignInLink, User
from saas.billing import gateway, ownership, sweeping
from saas.billing.models import ClosedAccount
from saas.database import db, now
from saas.subscriber import LIVE_STATUSES

log = logging.getLogger("saas.users")

_LEFT_BEHIND = timedelta(minutes=2)
_PATIENCE = 9.0  # seconds for each of the two steps at Stripe


class CannotClose(Exception):
    """The account cannot be closed now; nothing was deleted. The message is for a person."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def close_account(person: User, *, by: str | None = None) -> None:
    """Cancel everything at Stripe, then delete the person; raises `CannotClose`.

    `by` says who orders it, for the record, when it is not the person.
    """
    begins_now = _mark(person, by)
    try:
        with patience.deadline(_PATIENCE):
            _end_subscriptions(person.id)
    except gateway.StripeError as error:
        log.warning("account not closed: %s", error, extra={"person_id": person.id})
        if not begins_now:  # an earlier try has promised that it will be finished
            raise CannotClose(
                "closing",
                "Your account is being deleted already. Our payment provider does not answer just "
                "now; it will be finished in a few minutes without you.",
            ) from None
        _unmark(person.id)
        raise CannotClose(
            "stripe_unreachable",
            "We could not cancel your subscription, because our payment provider does not answer. "
            "Nothing was deleted. Please try again in a few minutes.",
        ) from None
    try:
        with patience.deadline(_PATIENCE):
            _forget_customer_and_delete(person.id)
    except gateway.StripeError as error:
        log.warning("account half closed: %s", error, extra={"person_id": person.id})
        raise CannotClose(
            "closing",
            "Your subscription is cancelled and nothing more will be charged. Our payment provider "
            "stopped answering before your account was deleted; that will be finished in a few "
            "minutes without you.",
        ) from None


@jobs.sweep(minutes=5)
def finish_closing() -> None:
    """Close what was begun and left behind; one that fails does not keep the others."""
    left = select(User.id).where(User.closing_at < now() - _LEFT_BEHIND).order_by(func.random())
    sweeping.one_by_one(db.session.scalars(left).all(), _finish, about="account to close")


def _finish(person_id: uuid.UUID) -> None:
    _end_subscriptions(person_id)
    _forget_customer_and_delete(person_id)


def _mark(person: User, by: str | None) -> bool:
    """From here on no checkout begins; whether that was not so before. The last admin stays."""
    with database.writing():
        if roles.is_last_admin(person):
            raise CannotClose(
                "last_admin",
                f"{'This is' if by else 'You are'} the last administrator. Promote somebody else "
                "first; nothing was deleted.",
            )
        is_new = database.execute(
            update(User)
            .where(User.id == person.id, User.closing_at.is_(None))
            .values(closing_at=now())
        )
        if by and is_new:
            audit.record("delete", person.id, by=by)
    return bool(is_new)


def _unmark(person_id: uuid.UUID) -> None:
    with database.writing():
        database.execute(update(User).where(User.id == person_id).values(closing_at=None))


def _customer_of(person_id: uuid.UUID) -> str | None:
    person = db.session.get(User, person_id, populate_existing=True)
    return person.stripe_customer_id if person else None


def _end_subscriptions(person_id: uuid.UUID) -> None:
    """No page to pay on, and nothing of ours that is paid for.

    What else this customer pays for ends with the customer: as long as the account may yet stay,
    because Stripe stops answering, nothing is touched that is not ours.
    """
    person = db.session.get(User, person_id, populate_existing=True)
    if person is None or not person.stripe_customer_id:
        return
    customer_id, since = person.stripe_customer_id, person.closing_at
    try:
        for page in gateway.recent_checkouts(customer_id):
            if page.is_open:
                gateway.expire_checkout(page.id)
        for subscription in gateway.subscriptions_of(customer_id):
            is_live = subscription.status in (*LIVE_STATUSES, "incomplete")
            if is_live and ownership.is_ours(subscription):
                _end(subscription, since)
    except gateway.Gone:
        return


def _end(subscription: gateway.Subscription, closing_since: datetime | None) -> None:
    """Cancel it; what was bought while the account was closing is refunded as well."""
    # Stripe's times are whole seconds, and those of a test clock are not ours.
    is_new = closing_since and subscription.created >= closing_since.replace(microsecond=0)
    if is_new and not subscription.on_test_clock:
        gateway.end_and_refund(subscription.id, gateway.CLOSED)
    else:
        gateway.cancel(subscription.id)


def _forget_customer_and_delete(person_id: uuid.UUID) -> None:
    """Delete the customer at Stripe, which also bars new subscriptions, and then our rows."""
    while True:
        customer_id = _customer_of(person_id)
        if customer_id:
            gateway.delete_customer(customer_id)
        if _delete(person_id, customer_id):
            return


def _delete(person_id: uuid.UUID, customer_id: str | None) -> bool:
    """Our rows go, a tombstone of opaque ids stays; False when a customer was stored meanwhile."""
    with database.writing() as session:
        person = session.get(User, person_id, populate_existing=True)
        if person is None:
            return True
        if person.stripe_customer_id not in (customer_id, None):
            return False
        database.insert_if_new(
            ClosedAccount,
            id=database.uuid7(),
            person_id=person.id,
            # A webhook may have noticed already that the customer is gone, and cleared our column.
            stripe_customer_id=customer_id or person.stripe_customer_id,
            closed_at=now(),
        )
        mail.promise(
            "account_closed",
            person.id,
            about={"was_customer": bool(customer_id or person.stripe_customer_id)},
            to=person.email,
        )
        database.execute(delete(SignInLink).where(SignInLink.email == person.email))
        database.execute(delete(User).where(User.id == person.id))
        session.expunge(person)
    log.info("account closed", extra={"person_id": person_id})
    return True

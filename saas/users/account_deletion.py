"""Closing an account: the subscription at Stripe first, then our rows.

Never an account that is gone and still charged. The steps are marked in the row, so that a crash
in between is finished by the sweep.
"""

from __future__ import annotations

import logging
import uuid
from datetime import datetime, timedelta

from flask import current_app
from sqlalchemy import delete, func, or_, select

from saas import database, deadlines, jobs, mail, used_trials
from saas.auth import accounts, audit, roles
from saas.auth.models import EmailChange, SignInLink, User
from saas.billing import customers, gateway, subscriptions, tasks
from saas.billing.models import ClosedAccount
from saas.database import db, now
from saas.subscriber import LIVE_STATUSES

log = logging.getLogger("saas.users")

_UNFINISHED_AFTER = timedelta(minutes=2)
_LEAST_STEP = timedelta(microseconds=1)  # of a timestamp, in both databases
_TIMEOUT = 9.0  # seconds for each of the two steps at Stripe


class DeletionFailed(Exception):
    """The account cannot be closed now; nothing was deleted. The message is for a person."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def delete_account(user: User, *, by: str | None = None) -> None:
    """Cancel everything at Stripe, then delete the person; raises `CannotClose`.

    `by` says who orders it, for the record, when it is not the person.
    """
    is_new, mark = _begin_closing(user, by)
    try:
        with deadlines.deadline(_TIMEOUT):
            _cancel_subscriptions(user.id)
    except gateway.StripeError as error:
        reason = gateway.describe(error)
        log.warning("account not closed: %s", reason, extra={"user_id": user.id})
        if is_new and _cancel_closing(user.id, mark):
            raise _cannot_cancel(error) from None
        raise DeletionFailed(  # as another try has promised
            "closing",
            "Your account is already being deleted. Our payment provider hasn't confirmed it yet. "
            "It finishes in a few minutes, and you don't need to do anything.",
        ) from None
    try:
        with deadlines.deadline(_TIMEOUT):
            _delete_customer_and_rows(user.id)
    except gateway.StripeError as error:
        reason = gateway.describe(error)
        log.warning("account half closed: %s", reason, extra={"user_id": user.id})
        raise DeletionFailed(
            "closing",
            "Your subscription is canceled, and you won't be charged again. Our payment provider "
            "hasn't confirmed yet that your data there is deleted. Your account is deleted when it "
            "does, in a few minutes.",
        ) from None


def _cannot_cancel(error: gateway.StripeError) -> DeletionFailed:
    """An outage is over soon; a refusal needs somebody who reads our log."""
    if gateway.is_refusal(error):
        return DeletionFailed(
            "stripe_refused",
            "We couldn't cancel your subscription, because our payment provider rejected it. "
            "Nothing was deleted. Please write to "
            f"{current_app.config['SUPPORT_EMAIL']}, and we will delete your "
            "account.",
        )
    return DeletionFailed(
        "stripe_unreachable",
        "We couldn't cancel your subscription, because our payment provider isn't responding. "
        "Nothing was deleted. Please try again in a few minutes.",
    )


@jobs.periodic_task(minutes=5)
def finish_deletions() -> None:
    """Close what was begun and left behind; one that fails does not keep the others."""
    unfinished = (
        select(User.id).where(User.closing_at < now() - _UNFINISHED_AFTER).order_by(func.random())
    )
    tasks.process_each(db.session.scalars(unfinished).all(), _finish, about="account to close")


def _finish(user_id: uuid.UUID) -> None:
    _cancel_subscriptions(user_id)
    _delete_customer_and_rows(user_id)


def _begin_closing(user: User, by: str | None) -> tuple[bool, datetime]:
    """From here on no checkout begins; whether that was not so before, and the mark.

    Whoever finds the account marked moves the mark by the least step, so that it is not taken back
    by whoever made it: both answer for the closing now. The last administrator stays.
    """
    with database.write_transaction() as session:
        if roles.is_last_admin(user):
            raise DeletionFailed(
                "last_admin",
                f"{'This is' if by else 'You are'} the last administrator. Promote someone else "
                "first. Nothing was deleted.",
            )
        marked = select(User.closing_at).where(User.id == user.id).with_for_update()
        before = session.scalar(marked)
        mark = before + _LEAST_STEP if before else now()
        accounts.write(user.id, closing_at=mark)
        if by and not before:
            audit.record("delete", user.id, by=by)
    return before is None, mark


def _cancel_closing(user_id: uuid.UUID, mark: datetime) -> bool:
    """Call the closing off, unless somebody else has joined it."""
    with database.write_transaction():
        return accounts.write(user_id, User.closing_at == mark, closing_at=None)


def _cancel_subscriptions(user_id: uuid.UUID) -> None:
    """No page to pay on, and nothing of ours that is paid for.

    What else this customer pays for ends with the customer: as long as the account may yet stay,
    because Stripe stops answering, nothing is touched that is not ours.
    """
    user = db.session.get(User, user_id, populate_existing=True)
    if user is None or not user.stripe_customer_id:
        return
    customer_id, since = user.stripe_customer_id, user.closing_at
    try:
        pages = gateway.list_checkout_sessions(customer_id)
        for page in pages:
            if page.is_open:
                gateway.expire_checkout_session(page.id)
        listed = gateway.list_subscriptions(customer_id)
    except gateway.NotFound:
        return
    subscriptions.record_trial(user_id, listed)
    for subscription in listed:
        is_live = subscription.status in (*LIVE_STATUSES, "incomplete")
        if is_live and customers.is_ours(subscription):
            if _is_bought_since(subscription, since):
                gateway.end_and_refund(subscription.id, gateway.ACCOUNT_DELETED)
            else:
                gateway.cancel(subscription.id)


def _is_bought_since(subscription: gateway.Subscription, closing_at: datetime | None) -> bool:
    """Whether it was bought while the account was closing already: its money goes back."""
    # Stripe's times are whole seconds, and those of a test clock are not ours.
    return (
        closing_at is not None
        and subscription.created >= closing_at.replace(microsecond=0)
        and not subscription.on_test_clock
    )


def _delete_customer_and_rows(user_id: uuid.UUID) -> None:
    """Delete the customer at Stripe, which also bars new subscriptions, and then our rows."""
    while True:
        user = db.session.get(User, user_id, populate_existing=True)
        customer_id = user.stripe_customer_id if user else None
        if user and customer_id:
            gateway.delete_customer(customer_id)
            _refund_late_payments(customer_id, user.closing_at)
        if _delete(user_id, customer_id):
            return


def _refund_late_payments(customer_id: str, since: datetime | None) -> None:
    """A page whose payment was under way could not be expired, and had no subscription yet.

    The deletion of the customer has ended it by now, and would have kept the money.
    """
    if since is None:
        return
    try:
        listed = gateway.list_subscriptions_since(customer_id, since)
    except gateway.NotFound:
        return
    for subscription in listed:
        is_refunded = subscription.comment_on_end == gateway.ACCOUNT_DELETED
        if (
            customers.is_ours(subscription)
            and _is_bought_since(subscription, since)
            and not is_refunded
        ):
            gateway.end_and_refund(subscription.id, gateway.ACCOUNT_DELETED)


def _delete(user_id: uuid.UUID, customer_id: str | None) -> bool:
    """Our rows go, a tombstone of opaque ids stays; False when a customer was stored meanwhile."""
    with database.write_transaction() as session:
        user = session.get(User, user_id, populate_existing=True)
        if user is None:
            return True
        if user.stripe_customer_id not in (customer_id, None):
            return False
        database.insert_or_ignore(
            ClosedAccount,
            id=database.uuid7(),
            user_id=user.id,
            # A webhook may have noticed already that the customer is gone, and cleared our column.
            stripe_customer_id=customer_id or user.stripe_customer_id,
            closed_at=now(),
        )
        mail.enqueue(
            "account_closed",
            user.id,
            context={"was_customer": bool(customer_id or user.stripe_customer_id)},
            to=user.email,
        )
        if user.trial_used_at:
            used_trials.remember(user.email, user.trial_used_at)
        for email in _emails_of(user):
            _delete_email(email)
        database.execute(delete(User).where(User.id == user.id))
        session.expunge(user)
    log.info("account closed", extra={"user_id": user_id})
    return True


def _emails_of(user: User) -> set[str]:
    """Return the email address, and earlier ones that no other account has."""
    earlier = select(EmailChange.old_email).where(
        EmailChange.user_id == user.id,
        EmailChange.confirmed_at.isnot(None),
        EmailChange.old_email.not_in(select(User.email)),
    )
    return {user.email, *db.session.scalars(earlier)}


def _delete_email(email: str) -> None:
    """Forget the mails to an address, and what other accounts have asked for with it.

    A change that was confirmed stays for its week: its account can still take the address back.
    """
    database.execute(delete(SignInLink).where(SignInLink.email == email))
    is_its = or_(EmailChange.new_email == email, EmailChange.old_email == email)
    is_open = or_(EmailChange.confirmed_at.is_(None), EmailChange.ended_at.isnot(None))
    mail.delete_for(select(EmailChange.id).where(is_its, is_open))
    database.execute(delete(EmailChange).where(is_its, is_open))

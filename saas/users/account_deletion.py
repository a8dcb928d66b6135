"""Delete an account: the subscription in Stripe first, then our rows.

A deleted account must never be charged. The steps are recorded in the row, so that a periodic task
can finish an interrupted deletion.
"""

from __future__ import annotations

import logging
import uuid
from datetime import datetime, timedelta

from flask import current_app
from sqlalchemy import delete, func, or_, select

from saas import database, deadlines, jobs, mail, products, used_trials
from saas.auth import accounts, audit, roles
from saas.auth.models import EmailChange, SignInLink, User
from saas.billing import customers, gateway, revenue, subscriptions, tasks
from saas.billing.models import ClosedAccount
from saas.database import db, now
from saas.subscriber import LIVE_STATUSES

log = logging.getLogger("saas.users")

_UNFINISHED_AFTER = timedelta(minutes=2)
_LEAST_STEP = timedelta(microseconds=1)  # of timestamps, in both databases
_TIMEOUT = 9.0  # seconds for each of the two steps in Stripe


class DeletionFailed(Exception):
    """The account cannot be deleted now; the message is for the user."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def delete_account(user: User, *, by: str | None = None, reason: str | None = None) -> None:
    """End all billing in Stripe, then delete the user. Raises `DeletionFailed`.

    `by` is the actor for the audit log, if not the user, and `reason` why they do it.
    """
    is_new, mark = _begin_closing(user, by, reason)
    try:
        with deadlines.deadline(_TIMEOUT):
            _cancel_subscriptions(user.id)
    except gateway.StripeError as error:
        reason = gateway.describe(error)
        log.warning("account not deleted: %s", reason, extra={"user_id": user.id})
        if is_new and _cancel_closing(user.id, mark, by):
            raise _cannot_cancel(error) from None
        raise DeletionFailed(  # because another attempt is in progress
            "closing",
            "Your account is already being deleted. Our payment provider hasn't confirmed it yet. "
            "It finishes in a few minutes, and you don't need to do anything.",
        ) from None
    try:
        with deadlines.deadline(_TIMEOUT):
            _delete_customer_and_rows(user.id)
    except gateway.StripeError as error:
        reason = gateway.describe(error)
        log.warning("account deletion not finished: %s", reason, extra={"user_id": user.id})
        raise DeletionFailed(
            "closing",
            "Your subscription is canceled, and you won't be charged again. Our payment provider "
            "hasn't confirmed yet that your data there is deleted. Your account is deleted when it "
            "does, in a few minutes.",
        ) from None


def _cannot_cancel(error: gateway.StripeError) -> DeletionFailed:
    """Return the error: an outage ends soon, but a refusal needs an operator."""
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
    """Finish interrupted deletions; one that fails does not stop the others."""
    unfinished = (
        select(User.id).where(User.closing_at < now() - _UNFINISHED_AFTER).order_by(func.random())
    )
    tasks.process_each(db.session.scalars(unfinished).all(), _finish, about="deletion of user")


def _finish(user_id: uuid.UUID) -> None:
    _cancel_subscriptions(user_id)
    _delete_customer_and_rows(user_id)


def _begin_closing(user: User, by: str | None, reason: str | None) -> tuple[bool, datetime]:
    """Block new checkouts; return whether this is the first attempt, and its mark.

    A later attempt moves the mark slightly, so that the first one cannot call the deletion off. The
    last administrator cannot be deleted.
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
        if by:
            audit.record("delete", user.id, by=by, reason=reason)
    return before is None, mark


def _cancel_closing(user_id: uuid.UUID, mark: datetime, by: str | None) -> bool:
    """Call the deletion off, unless another attempt has joined it."""
    with database.write_transaction():
        is_called_off = accounts.write(user_id, User.closing_at == mark, closing_at=None)
        if by and is_called_off:
            audit.record("call delete off", user_id, by=by)
    return is_called_off


def _cancel_subscriptions(user_id: uuid.UUID) -> None:
    """Expire open checkout pages and cancel our subscriptions.

    Other subscriptions of the customer end when the customer is deleted. Until then they are not
    touched, because the deletion may still be called off if Stripe stops answering.
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
    """Return whether it was bought after the deletion began, so that it must be refunded."""
    # Stripe's times are whole seconds, and times of test clocks cannot be compared with ours.
    return (
        closing_at is not None
        and subscription.created >= closing_at.replace(microsecond=0)
        and not subscription.on_test_clock
    )


def _delete_customer_and_rows(user_id: uuid.UUID) -> None:
    """Delete the customer in Stripe, which blocks new subscriptions, and then our rows."""
    while True:
        user = db.session.get(User, user_id, populate_existing=True)
        customer_id = user.stripe_customer_id if user else None
        paid: set[str] = set()
        if user and customer_id:
            gateway.delete_customer(customer_id)
            if user.closing_at:
                paid = _refund_late_purchases(user_id, customer_id, user.closing_at)
                _refund_late_subscriptions(customer_id, user.closing_at)
        if _delete(user_id, customer_id, paid):
            return


def _refund_late_purchases(user_id: uuid.UUID, customer_id: str, since: datetime) -> set[str]:
    """Refund one-time payments that were in progress when the checkout pages were expired.

    Returns the sessions of all that were paid. A bank debit that clears later is not among them.
    """
    if not products.catalogue().sells_once:
        return set()
    try:
        listed = gateway.list_purchases(customer_id)
    except gateway.NotFound:
        return set()
    paid = [
        session.purchase
        for session in listed
        if customers.user_id_from_metadata(session.metadata) == user_id
    ]
    for purchase in paid:
        if purchase.was_paid_since(since):
            gateway.refund_purchase(purchase, gateway.ACCOUNT_DELETED)
    return {purchase.session for purchase in paid}


def _refund_late_subscriptions(customer_id: str, since: datetime) -> None:
    """Refund subscriptions that were being bought when the checkout pages were expired.

    Deleting the customer has ended them without a refund.
    """
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


def _delete(user_id: uuid.UUID, customer_id: str | None, paid: set[str]) -> bool:
    """Delete our rows and leave a tombstone; return False if a customer was just stored."""
    with database.write_transaction() as session:
        # Locked, so that a webhook does not record the end of the same subscription.
        user = session.get(User, user_id, populate_existing=True, with_for_update=True)
        if user is None:
            return True
        if user.stripe_customer_id not in (customer_id, None):
            return False
        database.insert_or_ignore(
            ClosedAccount,
            id=database.uuid7(),
            user_id=user.id,
            # A webhook for the deleted customer may already have cleared our column.
            stripe_customer_id=customer_id or user.stripe_customer_id,
            closed_at=now(),
            purchases=sorted(paid.union(item["session"] for item in user.stripe_purchases or ())),
        )
        mail.enqueue(
            "account_closed",
            user.id,
            context={"was_customer": bool(customer_id or user.stripe_customer_id)},
            to=user.email,
        )
        if user.trial_used_at:
            used_trials.remember(user.email, user.trial_used_at)
        revenue.record(user.id, user.synced_columns, {})
        audit.erase_reasons(user.id)
        for email in _emails_of(user):
            _delete_email(email)
        database.execute(delete(User).where(User.id == user.id))
        session.expunge(user)
    log.info("account deleted", extra={"user_id": user_id})
    return True


def _emails_of(user: User) -> set[str]:
    """Return the email, and earlier ones that no other account has."""
    earlier = select(EmailChange.old_email).where(
        EmailChange.user_id == user.id,
        EmailChange.confirmed_at.isnot(None),
        EmailChange.old_email.not_in(select(User.email)),
    )
    return {user.email, *db.session.scalars(earlier)}


def _delete_email(email: str) -> None:
    """Delete sign-in emails to an email address, and other accounts' requests to change to it.

    Confirmed changes are kept for their week, so that their accounts can still undo them.
    """
    database.execute(delete(SignInLink).where(SignInLink.email == email))
    is_its = or_(EmailChange.new_email == email, EmailChange.old_email == email)
    is_open = or_(EmailChange.confirmed_at.is_(None), EmailChange.ended_at.isnot(None))
    mail.delete_for(select(EmailChange.id).where(is_its, is_open))
    database.execute(delete(EmailChange).where(is_its, is_open))

"""What an event leads to, whoever brings it: the webhook, the sweep or a command."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from sqlalchemy import select

from saas.billing import gateway, ledger, ownership, subscriptions
from saas.billing.models import ClosedAccount
from saas.database import db
from saas.subscriber import LIVE_STATUSES

log = logging.getLogger("saas.billing")


def handle(event_id: str, customer_id: str | None, marks: Mapping[str, str] | None = None) -> str:
    """Apply an event that the ledger has noted; what came of it, in a word.

    `marks` is the metadata that came with the event. Where it does not name this installation, a
    customer that we have not stored is somebody else's and Stripe is not asked about it; without
    any (None: the ledger keeps no payload) Stripe is asked.

    Raises `gateway.StripeError`, `SQLAlchemyError` or what else went wrong; the attempt is noted,
    nothing else is written.
    """
    try:
        return _handle(event_id, customer_id, marks)
    except Exception as error:
        ledger.fail(event_id, error)
        raise


def _handle(event_id: str, customer_id: str | None, marks: Mapping[str, str] | None) -> str:
    person_id = ownership.person_with(customer_id) if customer_id else None
    named = ownership.person_named(marks or {})
    if person_id and named and named != person_id:
        log.warning("marks name another person than %s has; ours counts", customer_id)
    if customer_id and person_id is None and (named or marks is None):
        person_id = ownership.adopt(customer_id)
        if person_id is None and _end_what_outlived_its_account(customer_id):
            ledger.finish(event_id)
            return "ended"
    if person_id is None:
        ledger.finish(event_id)
        return "not ours"
    if subscriptions.sync(person_id, cause=event_id, event_id=event_id) is None:
        ledger.finish(event_id)
        return "gone"
    return "applied"


def _end_what_outlived_its_account(customer_id: str) -> bool:
    """Nobody pays for an account that is gone: end what a tombstone of ours still pays for.

    Only what carries our marks and names somebody whose account was closed is touched.
    """
    try:
        found = gateway.subscriptions_of(customer_id)
    except gateway.Gone:
        return False
    outlived = [each for each in found if each.status in LIVE_STATUSES and _is_of_the_gone(each)]
    for subscription in outlived:
        log.warning("a subscription of a closed account is ended: %s", subscription.id)
        gateway.end_and_refund(subscription.id, gateway.CLOSED)
    return bool(outlived)


def _is_of_the_gone(subscription: gateway.Subscription) -> bool:
    named = ownership.person_named(subscription.metadata)
    buried = select(ClosedAccount.id).where(ClosedAccount.person_id == named)
    return named is not None and db.session.scalar(buried) is not None

"""Pending updates: `payment_behavior=pending_if_incomplete`.

"If specified, pending updates that will be applied to the subscription once the `latest_invoice`
has been paid." After 23 hours without a payment the update expires.
https://docs.stripe.com/billing/subscriptions/pending-updates
"""

from typing import Any

from saas_sandbox.stripe.engine import (
    billing_cycle,
    collection,
    invoicing,
    lifecycle,
    subscription_updates,
)
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.errors import StripeError
from saas_sandbox.stripe.engine.resource import Resource, copied
from saas_sandbox.stripe.engine.subscription_updates import Proration, Wanted


def change(
    account: Account,
    subscription: Resource,
    changes: list[Wanted],
    *,
    proration: Proration,
    date: int | None,
    reset_anchor: bool,
) -> Resource:
    """Apply the change if the payment succeeds, otherwise keep it pending."""
    options: dict[str, Any] = {"proration": proration, "date": date, "reset_anchor": reset_anchor}
    if _succeeds(account, subscription["id"], changes, options):
        return subscription_updates.change(account, subscription, changes, **options)

    target, data = _target(account, subscription, changes, **options)
    now = account.now(lifecycle.clock_of(subscription))
    invoice = invoicing.draft(
        account,
        account.get("customer", subscription["customer"]),
        data,
        reason="subscription_update",
        subscription=subscription,
        period=(now, now),
    )
    pending = {"items": target["items"], "billing_cycle_anchor": target["billing_cycle_anchor"]}
    invoice["_internal"]["pending"] = pending
    subscription["pending_update"] = _shown(subscription, pending, now)
    lifecycle.keep(account, subscription)
    collection.open_up(account, invoice)
    collection.collect(account, invoice)
    return subscription


def drop(account: Account, subscription: Resource) -> None:
    """Expire the unpaid update, and void its invoice."""
    subscription["pending_update"] = None
    lifecycle.keep(account, subscription)
    account.emit("customer.subscription.pending_update_expired", subscription)
    invoice = account.get("invoice", subscription["latest_invoice"])
    if invoice["status"] == "open" and invoice["_internal"].get("pending"):
        invoicing.void(account, invoice)


def _succeeds(account: Account, id: str, changes: list[Wanted], options: dict[str, Any]) -> bool:
    """Try the payment and roll it back; return whether it succeeds."""
    try:
        with account.dry_run():
            subscription = account.get("subscription", id)
            subscription_updates.change(
                account, subscription, changes, **options, behaviour="error_if_incomplete"
            )
    except StripeError as error:
        if error.status != 402 and error is not subscription_updates.NO_METHOD:
            raise
        return False
    return True


def _target(
    account: Account,
    subscription: Resource,
    changes: list[Wanted],
    *,
    proration: Proration,
    date: int | None,
    reset_anchor: bool,
) -> tuple[Resource, list[Resource]]:
    """Return the updated subscription and the lines of its invoice, without events."""
    now = account.now(lifecycle.clock_of(subscription))
    target = copied(subscription)
    before = copied(subscription)["items"]["data"]
    with account.suppress_events():
        subscription_updates.apply_items(account, target, changes, now)
        after = target["items"]["data"]
        resets = reset_anchor or subscription_updates.moves_the_date(before, after)
        if proration != "none":
            subscription_updates.prorate(account, target, before, date or now, credit_only=resets)
        if resets:
            billing_cycle.start_over(target, now)
        return target, billing_cycle.lines_of(account, target, after if resets else [])


def _shown(subscription: Resource, pending: dict[str, Any], now: int) -> dict[str, Any]:
    moved = pending["billing_cycle_anchor"] != subscription["billing_cycle_anchor"]
    return {
        "billing_cycle_anchor": pending["billing_cycle_anchor"] if moved else None,
        "cancel_at_period_end": None,
        "discount": None,
        "discounts": None,
        "expires_at": now + lifecycle.FIRST_PAYMENT_WITHIN,
        "metadata": None,
        "subscription_items": pending["items"]["data"],
        "trial_end": None,
        "trial_from_plan": None,
    }

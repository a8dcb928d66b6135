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
from saas_sandbox.stripe.engine.resource import Resource, copy_resource
from saas_sandbox.stripe.engine.subscription_updates import ItemChange, Proration


def apply_or_hold(
    account: Account,
    subscription: Resource,
    changes: list[ItemChange],
    *,
    proration: Proration,
    date: int | None,
    reset_anchor: bool,
) -> Resource:
    """Apply the change if the payment succeeds, otherwise keep it pending."""
    options: dict[str, Any] = {"proration": proration, "date": date, "reset_anchor": reset_anchor}
    if _would_succeed(account, subscription["id"], changes, options):
        return subscription_updates.change_items(account, subscription, changes, **options)

    target, lines = _build_target(account, subscription, changes, **options)
    _hold(account, subscription, target, lines)
    return subscription


def _hold(
    account: Account, subscription: Resource, target: Resource, lines: list[Resource]
) -> None:
    """Keep the change on the subscription, and try to collect its invoice."""
    now = account.now(lifecycle.get_clock_id(subscription))
    invoice = invoicing.create_draft(
        account,
        account.get("customer", subscription["customer"]),
        lines,
        reason="subscription_update",
        subscription=subscription,
        period=(now, now),
    )
    pending = {"items": target["items"], "billing_cycle_anchor": target["billing_cycle_anchor"]}
    invoice["_internal"]["pending"] = pending
    subscription["pending_update"] = _pending_update_fields(subscription, pending, now)
    lifecycle.save_subscription(account, subscription)
    collection.finalize_for_payment(account, invoice)
    collection.collect_invoice(account, invoice)


def expire_update(account: Account, subscription: Resource) -> None:
    """Expire the unpaid update, and void its invoice."""
    subscription["pending_update"] = None
    lifecycle.save_subscription(account, subscription)
    account.emit("customer.subscription.pending_update_expired", subscription)
    invoice = account.get("invoice", subscription["latest_invoice"])
    if invoice["status"] == "open" and invoice["_internal"].get("pending"):
        invoicing.void_invoice(account, invoice)


def _would_succeed(
    account: Account, id: str, changes: list[ItemChange], options: dict[str, Any]
) -> bool:
    """Try the payment and roll it back; return whether it succeeds."""
    try:
        with account.dry_run():
            subscription = account.get("subscription", id)
            subscription_updates.change_items(
                account, subscription, changes, **options, behaviour="error_if_incomplete"
            )
    except StripeError as error:
        if error.status != 402 and error is not subscription_updates.NO_PAYMENT_METHOD:
            raise
        return False
    return True


def _build_target(
    account: Account,
    subscription: Resource,
    changes: list[ItemChange],
    *,
    proration: Proration,
    date: int | None,
    reset_anchor: bool,
) -> tuple[Resource, list[Resource]]:
    """Return the updated subscription and the lines of its invoice, without events."""
    now = account.now(lifecycle.get_clock_id(subscription))
    target = copy_resource(subscription)
    before = copy_resource(subscription)["items"]["data"]
    with account.suppress_events():
        subscription_updates.apply_item_changes(account, target, changes, now)
        after = target["items"]["data"]
        resets_anchor = reset_anchor or subscription_updates.resets_billing_date(before, after)
        if proration != "none":
            subscription_updates.create_prorations(
                account, target, before, date or now, credit_only=resets_anchor
            )
        if resets_anchor:
            billing_cycle.reset_billing_cycle(target, now)
        return target, billing_cycle.build_lines(account, target, after if resets_anchor else [])


def _pending_update_fields(
    subscription: Resource, pending: dict[str, Any], now: int
) -> dict[str, Any]:
    anchor_changed = pending["billing_cycle_anchor"] != subscription["billing_cycle_anchor"]
    return {
        "billing_cycle_anchor": pending["billing_cycle_anchor"] if anchor_changed else None,
        "cancel_at_period_end": None,
        "discount": None,
        "discounts": None,
        "expires_at": now + lifecycle.FIRST_PAYMENT_TIMEOUT,
        "metadata": None,
        "subscription_items": pending["items"]["data"],
        "trial_end": None,
        "trial_from_plan": None,
    }

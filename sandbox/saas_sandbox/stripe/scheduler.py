"""The passage of time: make scheduled changes in the order of their `due`.

Objects of a customer with a test clock follow that clock, all others real time.
https://docs.stripe.com/billing/testing/test-clocks
"""

import sqlite3
from collections.abc import Callable

from saas_sandbox.store import Store
from saas_sandbox.stripe.accounts import find_account
from saas_sandbox.stripe.engine import (
    billing_cycle,
    checkout,
    collection,
    discounts,
    invoicing,
    lifecycle,
    pending_updates,
    refunds,
)
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.resource import Resource, copy_resource
from saas_sandbox.stripe.engine.schedules import advance_phase

KIND = "test_helpers.test_clock"

# Size of a transaction, so that other calls can run in between.
BATCH = 10
LOOKUP_LIMIT = 20


class Scheduler:
    """Advances test clocks, and makes changes that are due in real time."""

    def __init__(self, store: Store, real_now: Callable[[], float]) -> None:
        self.store = store
        self.real_now = real_now

    def tick(self) -> bool:
        """Make a batch of due changes; return True if there may be more."""
        with self.store.transaction():
            return self._advance_clocks() or self._run_due_in_real_time()

    def next_due(self) -> float | None:
        """Return the time of the next change in real time, or None."""
        row = self.store.fetch_one(
            "SELECT min(due) FROM objects WHERE clock = '' AND due IS NOT NULL"
        )
        return row[0] if row else None

    def _advance_clocks(self) -> bool:
        row = self.store.fetch_one(
            "SELECT account, id FROM objects "
            "WHERE type = 'test_helpers.test_clock' AND status = 'advancing' LIMIT 1"
        )
        account = row and find_account(self.store, row["account"], self.real_now)
        if not row or not account:
            return False
        clock = account.get(KIND, row["id"])
        for _ in range(BATCH):
            if not advance(account, clock):
                return True
        account.save(clock)
        return True

    def _run_due_in_real_time(self) -> bool:
        now = int(self.real_now())
        rows = self.store.fetch_all(
            "SELECT account, type, id, due FROM objects WHERE clock = '' AND due <= ? "
            "ORDER BY due, type != 'subscription_schedule', seq LIMIT ?",
            now, BATCH,
        )  # fmt: skip
        for row in rows:
            if account := find_account(self.store, row["account"], self.real_now):
                _run_due(account, row)
        return bool(rows)


def advance(account: Account, clock: Resource) -> bool:
    """Make the next due changes on this clock; return False if none are left.

    Objects due in the same second are looked up together, which is faster for thousands of
    subscriptions. Schedules go first, because a renewal must bill the plan of the new phase.
    """
    rows = account.store.fetch_all(
        "SELECT type, id, due FROM objects WHERE account = ? AND clock = ? AND due <= ? "
        "ORDER BY due, type != 'subscription_schedule', seq LIMIT ?",
        account.id, clock["id"], clock["frozen_time"], LOOKUP_LIMIT,
    )  # fmt: skip
    if not rows:
        _finish_advance(account, clock)
        return False

    internal = clock["_internal"]
    internal["time"] = max(internal["time"], rows[0]["due"])
    for row in rows:
        if row["due"] == rows[0]["due"]:
            internal["happened"] += _run_due(account, row)
    return True


def _finish_advance(account: Account, clock: Resource) -> None:
    clock |= {"status": "ready", "status_details": {}}
    clock["_internal"]["time"] = clock["frozen_time"]
    account.save(clock, "test_helpers.test_clock.ready")


def _run_due(account: Account, row: sqlite3.Row) -> bool:
    """Make the due change of this object, unless an earlier change has removed it."""
    resource = account.get(row["type"], row["id"])
    if resource["_internal"].get("due") != row["due"]:
        return False
    DUE_HANDLERS[resource["object"]](account, resource)
    return True


def _run_next_action(account: Account, subscription: Resource) -> None:
    """Make the earliest due change of a subscription."""
    actions = lifecycle.list_upcoming_actions(subscription)
    _, action = min(actions, key=lambda entry: entry[0])
    SUBSCRIPTION_ACTIONS[action](account, subscription)


def _expire_incomplete(account: Account, subscription: Resource) -> None:
    """ "the open invoice will be voided and no further invoices will be generated" """
    lifecycle.change_status(account, subscription, "incomplete_expired")
    subscription["ended_at"] = account.now(lifecycle.get_clock_id(subscription))
    lifecycle.save_subscription(account, subscription)
    invoice = account.get("invoice", subscription["latest_invoice"])
    if invoice["status"] == "open":
        invoicing.void_invoice(account, invoice)


def _emit_trial_will_end(account: Account, subscription: Resource) -> None:
    """ "Occurs three days before a subscription's trial period is scheduled to end" """
    subscription["_internal"]["reminded"] = True
    lifecycle.save_subscription(account, subscription)
    account.emit("customer.subscription.trial_will_end", subscription)


def _emit_upcoming_invoice(account: Account, subscription: Resource) -> None:
    """ "Occurs X number of days before a subscription is scheduled to create an invoice": an
    invoice without an id, because there is none yet.
    """
    invoice = _build_upcoming_invoice(account, copy_resource(subscription))
    subscription["_internal"]["announced"] = lifecycle.get_period_end(subscription)
    lifecycle.save_subscription(account, subscription)
    invoice["_internal"] = {"subscription": subscription["id"], "clock": subscription["test_clock"]}
    del invoice["id"]
    account.emit("invoice.upcoming", invoice)


def _build_upcoming_invoice(account: Account, subscription: Resource) -> Resource:
    """Return the next renewal's invoice, from a copy, without storing it."""
    items = subscription["items"]["data"]
    period = (
        min(item["current_period_start"] for item in items),
        lifecycle.get_period_end(subscription),
    )
    for item in items:
        billing_cycle.advance_period(subscription, item)
    with account.suppress_events():
        data = billing_cycle.build_lines(account, subscription, items)
        customer = account.get("customer", subscription["customer"])
        return invoicing.build_invoice(
            account, customer, data, reason="upcoming", subscription=subscription, period=period
        )


def _cancel(account: Account, subscription: Resource) -> None:
    lifecycle.cancel_subscription(account, subscription, at=subscription["cancel_at"])


def _resume_collection(account: Account, subscription: Resource) -> None:
    subscription["pause_collection"] = None
    lifecycle.save_subscription(account, subscription)


def _run_due_invoice(account: Account, invoice: Resource) -> None:
    """Finalize and charge a draft, retry an open invoice, or mark it overdue."""
    invoice["_internal"]["due"] = None
    if invoice["collection_method"] == "send_invoice" and invoice["status"] == "open":
        _mark_overdue(account, invoice)
    elif invoice["auto_advance"]:
        if invoice["status"] == "draft" and invoice["collection_method"] == "send_invoice":
            collection.finalize_for_payment(account, invoice)
            account.emit("invoice.sent", invoice)
        else:
            collection.collect_invoice(account, invoice)
    else:
        account.save(invoice)


def _mark_overdue(account: Account, invoice: Resource) -> None:
    account.save(invoice, "invoice.overdue")
    id = invoicing.get_subscription_id(invoice)
    subscription = account.find("subscription", id) if id else None
    if subscription and not lifecycle.is_ended(subscription):
        lifecycle.handle_invoice_failed(account, subscription)


def _settle_intent(account: Account, intent: Resource) -> None:
    collection.settle_delayed_payment(account, intent)
    if session_id := intent["_internal"].get("session"):
        succeeded = intent["status"] == "succeeded"
        session = account.get(checkout.KIND, session_id)
        checkout.complete_delayed_payment(account, session, succeeded=succeeded)


SUBSCRIPTION_ACTIONS: dict[str, Callable[[Account, Resource], object]] = {
    "expire": _expire_incomplete,
    "remind": _emit_trial_will_end,
    "announce": _emit_upcoming_invoice,
    "end_trial": billing_cycle.end_trial,
    "renew": billing_cycle.renew,
    "cancel": _cancel,
    "resume_collection": _resume_collection,
    "drop_update": pending_updates.expire_update,
}

DUE_HANDLERS: dict[str, Callable[[Account, Resource], object]] = {
    "subscription": _run_next_action,
    "invoice": _run_due_invoice,
    "payment_intent": _settle_intent,
    "checkout.session": checkout.expire_session,
    "refund": refunds.fail_refund,
    "coupon": discounts.expire_coupon,
    "subscription_schedule": advance_phase,
}

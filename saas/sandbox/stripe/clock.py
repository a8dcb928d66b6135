"""What time brings. Everything that will happen by itself has a `due`; here it happens, in order.

Objects of a customer with a test clock live in that clock's time, all others in real time.
https://docs.stripe.com/billing/testing/test-clocks
"""

from collections.abc import Callable

from ..store import Store
from . import checkout, collecting, cycle, discounts, events, invoicing, lifecycle
from .account import Account
from .accounts import by_id
from .resource import Resource
from .schedules import take_turn

KIND = "test_helpers.test_clock"

# So many things happen in one transaction, so that other calls get their turn in between.
BATCH = 50


class Clockwork:
    """Moves test clocks that are advancing, and whatever is due in real time."""

    def __init__(self, store: Store, real_now: Callable[[], float]) -> None:
        self.store = store
        self.real_now = real_now

    def tick(self) -> bool:
        """Do a batch of what is due; true when there may be more."""
        with self.store.unit():
            return self._advance_clocks() or self._real_time()

    def next_due(self) -> float | None:
        """When real time will bring something; None for never."""
        row = self.store.row("SELECT min(due) FROM objects WHERE clock = '' AND due IS NOT NULL")
        return row[0] if row else None

    def _advance_clocks(self) -> bool:
        row = self.store.row(
            "SELECT account, id FROM objects WHERE type = ? AND status = 'advancing' LIMIT 1", KIND
        )
        account = row and by_id(self.store, row["account"], self.real_now)
        if not row or not account:
            return False
        clock = account.get(KIND, row["id"])
        for _ in range(BATCH):
            if not advance_one(account, clock):
                break
        return True

    def _real_time(self) -> bool:
        now = int(self.real_now())
        rows = self.store.rows(
            "SELECT account, type, id FROM objects WHERE clock = '' AND due <= ? "
            "ORDER BY due, type != 'subscription_schedule', seq LIMIT ?",
            now, BATCH,
        )  # fmt: skip
        for row in rows:
            if account := by_id(self.store, row["account"], self.real_now):
                happen(account, account.get(row["type"], row["id"]))
        return bool(rows)


def advance_one(account: Account, clock: Resource) -> bool:
    """Let the next thing on this clock happen; false when the clock has arrived.

    A schedule goes first among equals: the renewal must bill the plan of the new phase.
    """
    row = account.store.row(
        "SELECT type, id, due FROM objects WHERE account = ? AND clock = ? AND due <= ? "
        "ORDER BY due, type != 'subscription_schedule', seq LIMIT 1",
        account.id, clock["id"], clock["frozen_time"],
    )  # fmt: skip
    note = clock["_"]
    if row is None:
        clock["status"] = "ready"
        clock["status_details"] = {}
        note["time"] = clock["frozen_time"]
        account.change(clock, "test_helpers.test_clock.ready")
        return False

    note["time"] = max(note["time"], row["due"])
    note["happened"] = note.get("happened", 0) + 1
    account.change(clock)
    happen(account, account.get(row["type"], row["id"]))
    return True


def happen(account: Account, resource: Resource) -> None:
    """What is due for this object now."""
    HAPPENINGS[resource["object"]](account, resource)


def _subscription(account: Account, subscription: Resource) -> None:
    """The earliest moment of a subscription that has come."""
    moments = lifecycle.moments(subscription)
    _, verb = min(moments, key=lambda moment: moment[0])
    MOMENTS[verb](account, subscription)


def _expire(account: Account, subscription: Resource) -> None:
    """ "the open invoice will be voided and no further invoices will be generated" """
    lifecycle.move(account, subscription, "incomplete_expired")
    subscription["ended_at"] = account.now(lifecycle.clock_of(subscription))
    lifecycle.keep(account, subscription)
    invoice = account.get("invoice", subscription["latest_invoice"])
    if invoice["status"] == "open":
        invoicing.void(account, invoice)


def _remind(account: Account, subscription: Resource) -> None:
    """ "Occurs three days before a subscription's trial period is scheduled to end" """
    subscription["_"]["reminded"] = True
    lifecycle.keep(account, subscription)
    events.emit(account, "customer.subscription.trial_will_end", subscription)


def _announce(account: Account, subscription: Resource) -> None:
    """ "Occurs X number of days before a subscription is scheduled to create an invoice": an
    invoice without an id, because there is none yet.
    """
    with account.rehearsal():
        items = subscription["items"]["data"]
        invoice = _coming_invoice(account, subscription["id"], len(items))
    subscription["_"]["announced"] = lifecycle.period_end(subscription)
    lifecycle.keep(account, subscription)
    invoice["_"] = {"subscription": subscription["id"], "clock": subscription["test_clock"] or ""}
    del invoice["id"]
    events.emit(account, "invoice.upcoming", invoice)


def _coming_invoice(account: Account, id: str, items: int) -> Resource:
    subscription = account.get("subscription", id)
    ended = lifecycle.period_end(subscription)
    turned = subscription["items"]["data"]
    start = min(item["current_period_start"] for item in turned)
    for item in turned:
        cycle.turn(subscription, item)
    reason, period = "upcoming", (start, ended)
    return cycle.bill(account, subscription, turned, reason=reason, period=period)


def _cancel(account: Account, subscription: Resource) -> None:
    lifecycle.cancel(account, subscription, at=subscription["cancel_at"])


def _resume_collection(account: Account, subscription: Resource) -> None:
    subscription["pause_collection"] = None
    lifecycle.keep(account, subscription)


def _invoice(account: Account, invoice: Resource) -> None:
    """A draft is finalized and charged, an open one is tried again, or falls overdue."""
    invoice["_"]["due"] = None
    if invoice["collection_method"] == "send_invoice" and invoice["status"] == "open":
        _overdue(account, invoice)
    elif invoice["auto_advance"]:
        if invoice["status"] == "draft" and invoice["collection_method"] == "send_invoice":
            collecting.open_up(account, invoice)
            events.emit(account, "invoice.sent", invoice)
        else:
            collecting.collect(account, invoice)
    else:
        account.change(invoice)


def _overdue(account: Account, invoice: Resource) -> None:
    account.change(invoice, "invoice.overdue")
    id = invoicing.subscription_id(invoice)
    subscription = account.find("subscription", id) if id else None
    if subscription and not lifecycle.is_over(subscription):
        lifecycle.invoice_failed(account, subscription)


def _intent(account: Account, intent: Resource) -> None:
    collecting.bank_answered(account, intent)
    if session := intent["_"].get("session"):
        succeeded = intent["status"] == "succeeded"
        found = account.get(checkout.KIND, session)
        checkout.bank_answered(account, found, succeeded=succeeded)


MOMENTS: dict[str, Callable[[Account, Resource], object]] = {
    "expire": _expire,
    "remind": _remind,
    "announce": _announce,
    "end_trial": cycle.end_trial,
    "renew": cycle.renew,
    "cancel": _cancel,
    "resume_collection": _resume_collection,
}

HAPPENINGS: dict[str, Callable[[Account, Resource], object]] = {
    "subscription": _subscription,
    "invoice": _invoice,
    "payment_intent": _intent,
    "checkout.session": checkout.expire,
    "coupon": discounts.expire,
    "subscription_schedule": take_turn,
}

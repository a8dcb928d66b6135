"""The lifecycle of subscriptions: the table of transitions, and the functions that use it.

Every transition quotes the sentence of Stripe's documentation that it is based on, as it appears in
the official SDK; a test looks up each one.
"""

from dataclasses import dataclass
from typing import Any

from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.resource import Resource

HOUR = 3600
DAY = 24 * HOUR

FIRST_PAYMENT_TIMEOUT = 23 * HOUR
TRIAL_WILL_END_NOTICE = 3 * DAY
UPCOMING_INVOICE_NOTICE = 7 * DAY


@dataclass(frozen=True)
class Transition:
    before: str
    after: str
    rule: str


INCOMPLETE = "a subscription moves into `incomplete` if the initial payment attempt fails"
ACTIVATED = "Once the first invoice is paid, the subscription moves into an `active` status."
NEVER_PAID = (
    "If the first invoice is not paid within 23 hours, the subscription transitions to "
    "`incomplete_expired`."
)
TRIAL_OVER = (
    "A subscription that is currently in a trial period is `trialing` and moves to `active` when "
    "the trial period is over."
)
NO_METHOD = (
    "A subscription can enter a `paused` status in several ways, including [when a trial ends "
    "without a payment method]"
)
MISSING_METHOD = (
    "Indicates how the subscription should change when the trial ends if the user did not provide "
    "a payment method."
)
UNPAYABLE = (
    "it becomes `past_due` when payment is required but cannot be paid (due to failed payment or "
    "awaiting additional user actions)"
)
EXHAUSTED = (
    "Once Stripe has exhausted all payment retry attempts, the subscription will become "
    "`canceled` or `unpaid` (depending on your subscriptions settings)."
)
RESUMED = "If the invoice is paid or marked uncollectible, the subscription becomes active."
CANCELED = "Cancels a customer's subscription immediately."
TRIAL_STARTS = "A trial starts or ends."

TRANSITIONS = [
    Transition("incomplete", "active", ACTIVATED),
    Transition("incomplete", "trialing", ACTIVATED),
    Transition("incomplete", "incomplete_expired", NEVER_PAID),
    Transition("incomplete", "canceled", CANCELED),
    Transition("trialing", "active", TRIAL_OVER),
    Transition("trialing", "paused", NO_METHOD),
    Transition("trialing", "past_due", UNPAYABLE),
    Transition("trialing", "canceled", MISSING_METHOD),
    Transition("active", "trialing", TRIAL_STARTS),
    Transition("active", "past_due", UNPAYABLE),
    Transition("active", "canceled", CANCELED),
    Transition("past_due", "active", RESUMED),
    Transition("past_due", "unpaid", EXHAUSTED),
    Transition("past_due", "canceled", EXHAUSTED),
    Transition("unpaid", "active", RESUMED),
    Transition("unpaid", "canceled", CANCELED),
    Transition("paused", "active", RESUMED),
    Transition("paused", "canceled", CANCELED),
]

ALLOWED_TRANSITIONS = {(transition.before, transition.after) for transition in TRANSITIONS}
ENDED_STATUSES = {"canceled", "incomplete_expired"}

CANCELLATION_DETAILS = ("comment", "feedback", "feedback_option", "reason")


class ImpossibleTransitionError(AssertionError):
    """A transition that Stripe's rules do not allow: a bug in the sandbox."""


def change_status(account: Account, subscription: Resource, status: str) -> None:
    """Change the status along the table. The caller saves it."""
    before = subscription["status"]
    if before == status:
        return
    if (before, status) not in ALLOWED_TRANSITIONS:
        raise ImpossibleTransitionError(f"{subscription['id']}: {before} → {status}")
    subscription["status"] = status
    if status == "paused":
        subscription["status_details"] = _build_pause_details(account, subscription)
    elif before == "paused":
        subscription.pop("status_details", None)


def save_subscription(
    account: Account, subscription: Resource, event: str = "customer.subscription.updated"
) -> Resource:
    """Save a subscription, with the time of its next scheduled change."""
    subscription["_internal"]["due"] = min(
        (time for time, _ in list_upcoming_actions(subscription)), default=None
    )
    return account.save(subscription, event)


def list_upcoming_actions(subscription: Resource) -> list[tuple[int, str]]:
    """Return the scheduled changes: (when, key of `scheduler.SUBSCRIPTION_ACTIONS`)."""
    status, internal = subscription["status"], subscription["_internal"]
    if status in ENDED_STATUSES:
        return []
    if status == "incomplete":
        processing = internal.get("processing")
        return [] if processing else [(subscription["created"] + FIRST_PAYMENT_TIMEOUT, "expire")]

    actions = _list_scheduled_actions(subscription)
    if status == "paused":
        return actions
    if status == "trialing" and not internal.get("reminded"):
        actions.append((subscription["trial_end"] - TRIAL_WILL_END_NOTICE, "remind"))
    end = get_period_end(subscription)
    if status != "trialing" and internal.get("announced") != end and _will_renew(subscription, end):
        actions.append((end - UPCOMING_INVOICE_NOTICE, "announce"))
    return [*actions, (end, "end_trial" if status == "trialing" else "renew")]


def get_period_end(subscription: Resource) -> int:
    ends: list[int] = [item["current_period_end"] for item in subscription["items"]["data"]]
    return min(ends)


def is_ended(subscription: Resource) -> bool:
    return subscription["status"] in ENDED_STATUSES


def get_clock_id(subscription: Resource) -> str | None:
    clock: str | None = subscription["test_clock"]
    return clock


def cancel_subscription(
    account: Account,
    subscription: Resource,
    *,
    reason: str = "cancellation_requested",
    at: int | None = None,
) -> Resource:
    """Cancel a subscription now.

    "During cancellation automatic collection for all unpaid invoices is disabled
    (auto_advance=false)."
    """
    now = at or account.now(get_clock_id(subscription))
    change_status(account, subscription, "canceled")
    subscription["ended_at"] = now
    subscription["canceled_at"] = subscription["canceled_at"] or now
    subscription["cancel_at_period_end"] = False
    subscription["cancel_at"] = None
    details = subscription["cancellation_details"]
    subscription["cancellation_details"] = {**details, "reason": details["reason"] or reason}
    _stop_collection(account, subscription)
    return save_subscription(account, subscription, "customer.subscription.deleted")


def schedule_cancel(account: Account, subscription: Resource, at: int, *, period_end: bool) -> None:
    """Schedule the end: the API sets a flag for the period end, the portal sets only a date.

    Measured on a flexible-billing subscription: a cancellation in the portal sets `cancel_at` and
    leaves `cancel_at_period_end` false.
    """
    subscription["cancel_at"] = at
    subscription["cancel_at_period_end"] = period_end
    subscription["canceled_at"] = account.now(get_clock_id(subscription))
    details = subscription["cancellation_details"]
    subscription["cancellation_details"] = {**details, "reason": "cancellation_requested"}


def unschedule_cancel(subscription: Resource) -> None:
    subscription |= {"cancel_at": None, "cancel_at_period_end": False, "canceled_at": None}
    subscription["cancellation_details"] = dict.fromkeys(CANCELLATION_DETAILS)


def handle_invoice_paid(account: Account, subscription: Resource, invoice: Resource) -> None:
    """Apply the changes that waited for the payment."""
    pending = invoice["_internal"].get("pending")
    if pending:
        subscription |= {**pending, "pending_update": None}
    status = subscription["status"]
    is_latest = subscription["latest_invoice"] == invoice["id"]
    if status == "incomplete" and invoice["billing_reason"] == "subscription_create":
        change_status(account, subscription, _status_after_first_payment(account, subscription))
    elif status in ("past_due", "unpaid", "paused") and is_latest:
        change_status(account, subscription, "active")
    save_subscription(account, subscription)
    if pending:
        account.emit("customer.subscription.pending_update_applied", subscription)


def handle_invoice_failed(account: Account, subscription: Resource) -> None:
    if subscription["status"] in ("active", "trialing"):
        change_status(account, subscription, "past_due")
    save_subscription(account, subscription)


def handle_retries_exhausted(account: Account, subscription: Resource) -> None:
    """Apply the account's setting: cancel the subscription, mark it unpaid, or leave it."""
    action = account.settings["after_retries"]
    if subscription["status"] != "past_due" or action == "past_due":
        return
    if action == "cancel":
        cancel_subscription(account, subscription, reason="payment_failed")
    else:
        change_status(account, subscription, "unpaid")
        save_subscription(account, subscription)


def get_first_item(subscription: Resource) -> dict[str, Any]:
    item: dict[str, Any] = subscription["items"]["data"][0]
    return item


def _status_after_first_payment(account: Account, subscription: Resource) -> str:
    trial_end = subscription["trial_end"]
    in_trial = trial_end and trial_end > account.now(get_clock_id(subscription))
    return "trialing" if in_trial else "active"


def _list_scheduled_actions(subscription: Resource) -> list[tuple[int, str]]:
    """Return changes that were scheduled for a certain date."""
    pause, update = subscription["pause_collection"], subscription["pending_update"]
    dates = {
        "cancel": subscription["cancel_at"],
        "resume_collection": pause and pause["resumes_at"],
        "drop_update": update and update["expires_at"],
    }
    return [(date, action) for action, date in dates.items() if date]


def _build_pause_details(account: Account, subscription: Resource) -> dict[str, Any]:
    """Return the only supported reason for `paused`: a trial ended without a payment method."""
    reason = {"type": "trial_end_without_payment_method"}
    now = account.now(get_clock_id(subscription))
    return {"paused": {"subscription": reason, "transitioned_at": now, "type": "subscription"}}


def _will_renew(subscription: Resource, end: int) -> bool:
    return not subscription["cancel_at"] or subscription["cancel_at"] > end


def _stop_collection(account: Account, subscription: Resource) -> None:
    invoices = account.select(
        "invoice", "subscription = ? AND status IN ('draft', 'open')", subscription["id"]
    )
    for invoice in invoices:
        invoice |= {"auto_advance": False, "next_payment_attempt": None}
        invoice["automatically_finalizes_at"] = None
        invoice["_internal"]["due"] = None
        account.save(invoice, "invoice.updated")

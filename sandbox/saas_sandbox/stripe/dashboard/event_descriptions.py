"""Plain descriptions of events and statuses, for users new to Stripe."""

from collections.abc import Callable

from saas_sandbox.stripe.engine import invoice_lines
from saas_sandbox.stripe.engine.resource import Resource
from saas_sandbox.stripe.pages.labels import format_date

STATUS_DESCRIPTIONS = {
    "active": "Paid. The customer has access.",
    "trialing": "In its free trial. Nothing is charged until it ends.",
    "past_due": "A payment failed. Stripe retries it on a schedule. Most apps keep access on.",
    "unpaid": "All retries failed. The subscription exists, but nothing is collected.",
    "incomplete": "The first payment hasn't succeeded. It expires after 23 hours.",
    "incomplete_expired": "The first payment was not received. It has ended.",
    "canceled": "It has ended. The customer can start a new one.",
    "paused": "The trial ended without a card. It stays paused until it is resumed.",
}

ACTION_DESCRIPTIONS = {
    "expire": "expires without the first payment",
    "remind": "the trial reminder is sent",
    "announce": "the upcoming invoice is announced",
    "end_trial": "the trial ends and the first payment is collected",
    "renew": "renews",
    "retry": "the payment is retried",
    "cancel": "ends",
    "resume_collection": "payment collection resumes",
    "drop_update": "the unpaid change expires",
}

# (name, label, description)
FAULT_FIELDS = [
    ("duplicate", "Duplicate events", "An event arrives twice. It must be applied once."),
    ("drop", "Lost events", "An event never arrives. Only reconciliation finds the change."),
    ("delay", "Delayed events", "An event is delivered five seconds late."),
    ("reorder", "Reordered events", "An event arrives after later ones. Older state must not win."),
    (
        "slow",
        "Slow responses",
        "An API call takes longer. Its idempotency key stays in use until it ends.",
    ),
    ("too_many", "Rate limit (429)", "An API call is rejected. Nothing is done."),
    ("broken", "Server error (500)", "An API call fails with a server error and has no effect."),
    (
        "cut",
        "Dropped responses",
        "The work is done, but the connection closes too early.",
    ),
    ("rubbish", "Invalid responses", "The work is done, but a proxy returns its own page."),
]


def describe(event: Resource) -> str:
    """Return one sentence for an event."""
    describe_object = EVENT_DESCRIPTIONS.get(event["type"])
    return (
        describe_object(event["data"]["object"])
        if describe_object
        else event["type"].replace(".", " ")
    )


def _money_formatter(field: str) -> Callable[[Resource], str]:
    return lambda resource: invoice_lines.format_money(resource[field], resource["currency"])


_due, _amount, _total = (
    _money_formatter("amount_due"),
    _money_formatter("amount"),
    _money_formatter("total"),
)


def _describe_retry(invoice: Resource) -> str:
    if invoice["next_payment_attempt"]:
        return f"The next attempt is on {format_date(invoice['next_payment_attempt'])}."
    return "There are no further attempts."


def _describe_subscription(subscription: Resource) -> str:
    if subscription["cancel_at"] and subscription["status"] != "canceled":
        return f"The subscription was updated. It ends on {format_date(subscription['cancel_at'])}."
    return f"The subscription was updated. It is now {subscription['status']}."


EVENT_DESCRIPTIONS: dict[str, Callable[[Resource], str]] = {
    "charge.dispute.closed": lambda d: f"The dispute was {d['status']}.",
    "charge.dispute.created": lambda d: f"A dispute was opened over {_amount(d)}.",
    "charge.dispute.funds_reinstated": lambda d: f"The bank returned {_amount(d)}.",
    "charge.dispute.funds_withdrawn": lambda d: f"The bank took back {_amount(d)}.",
    "charge.dispute.updated": lambda d: "The dispute was updated.",
    "charge.failed": lambda c: f"A charge of {_amount(c)} failed: {c['failure_message']}",
    "charge.pending": lambda c: f"A charge of {_amount(c)} is pending for a few days.",
    "charge.refunded": lambda c: "A charge was refunded.",
    "charge.succeeded": lambda c: f"{_amount(c)} was charged.",
    "checkout.session.async_payment_failed": lambda s: "The bank rejected the payment.",
    "checkout.session.async_payment_succeeded": lambda s: "The bank confirmed the payment.",
    "checkout.session.completed": lambda s: f"The checkout was completed ({s['payment_status']}).",
    "checkout.session.expired": lambda s: "The checkout session expired without a payment.",
    "customer.created": lambda c: "The customer was created.",
    "customer.deleted": lambda c: "The customer was deleted.",
    "customer.subscription.created": lambda s: f"A subscription was created. It is {s['status']}.",
    "customer.subscription.deleted": lambda s: "The subscription ended.",
    "customer.subscription.paused": lambda s: "The subscription was paused. It has no card.",
    "customer.subscription.resumed": lambda s: "The subscription was resumed.",
    "customer.subscription.trial_will_end": lambda s: "The trial ends in three days.",
    "customer.subscription.updated": _describe_subscription,
    "customer.updated": lambda c: "The customer was updated.",
    "invoice.created": lambda i: f"An invoice for {_total(i)} was drafted.",
    "invoice.finalized": lambda i: f"Invoice {i['number']} was finalized. {_due(i)} is due.",
    "invoice.marked_uncollectible": lambda i: f"Invoice {i['number']} was marked uncollectible.",
    "invoice.overdue": lambda i: f"Invoice {i['number']} is overdue.",
    "invoice.paid": lambda i: f"Invoice {i['number']} is paid.",
    "invoice.payment_action_required": lambda i: "The bank requires a confirmation of the payment.",
    "invoice.payment_failed": lambda i: (
        f"The payment of {i['number']} failed. {_describe_retry(i)}"
    ),
    "invoice.payment_succeeded": lambda i: f"The payment of {i['number']} succeeded.",
    "invoice.upcoming": lambda i: f"An invoice for {_due(i)} is due in a week.",
    "invoice.updated": lambda i: f"Invoice {i['number'] or 'draft'} was updated.",
    "invoice.voided": lambda i: f"Invoice {i['number']} was voided.",
    "payment_intent.created": lambda p: f"A payment of {_amount(p)} was created.",
    "payment_intent.payment_failed": lambda p: "The payment failed.",
    "payment_intent.processing": lambda p: "The bank is processing the payment.",
    "payment_intent.requires_action": lambda p: "The payment needs confirmation.",
    "payment_intent.succeeded": lambda p: "The payment succeeded.",
    "payment_method.attached": lambda m: "A card was saved.",
    "payment_method.detached": lambda m: "A card was removed.",
    "refund.created": lambda r: f"A refund of {_amount(r)} was made.",
    "test_helpers.test_clock.advancing": lambda c: "The test clock is advancing.",
    "test_helpers.test_clock.ready": lambda c: "The test clock has advanced.",
}

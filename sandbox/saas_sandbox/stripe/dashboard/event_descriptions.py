"""Events and states in plain words, for somebody who has never used Stripe."""

from collections.abc import Callable

from saas_sandbox.stripe.engine import invoice_lines
from saas_sandbox.stripe.engine.resource import Resource
from saas_sandbox.stripe.pages.labels import day

STATUS = {
    "active": "Paid for. Access is on.",
    "trialing": "In its free trial. Nothing is charged until it ends.",
    "past_due": "A payment failed. Stripe tries again on a schedule; most shops keep access on.",
    "unpaid": "Every try failed. It still exists, but nothing is collected any more.",
    "incomplete": "The first payment has not gone through. After 23 hours it expires.",
    "incomplete_expired": "The first payment never came. It is over.",
    "canceled": "Over for good. Whoever wants it back starts a new one.",
    "paused": "The trial ended without a card. Nothing happens until it is resumed.",
}

COMING = {
    "expire": "expires, unless the first payment comes",
    "remind": "the reminder that the trial ends soon",
    "announce": "the coming invoice is announced",
    "end_trial": "the trial ends, and the first charge is made",
    "renew": "renews",
    "retry": "the payment is tried again",
    "cancel": "ends",
    "resume_collection": "payments are collected again",
    "drop_update": "the change that waits for its payment is forgotten",
}

# (name, label, effect in words)
FAULTS = [
    ("duplicate", "Send twice", "An event arrives two times. Whoever applies it twice is wrong."),
    ("drop", "Lose", "An event never arrives. Only asking Stripe again finds out."),
    ("delay", "Hold back", "An event arrives five seconds late."),
    ("reorder", "Overtake", "An event arrives after later ones. Old news must not win."),
    ("slow", "Answer slowly", "An API call takes longer. Its idempotency key is in use."),
    ("too_many", "Refuse with 429", "An API call is refused as one too many. Nothing is done."),
    ("broken", "Fail with 500", "An API call fails at Stripe. Nothing is done."),
    ("cut", "Cut the answer", "The work is done, but the connection breaks before the answer."),
    ("rubbish", "Answer rubbish", "The work is done, but a proxy answers with its own page."),
]


def describe(event: Resource) -> str:
    """One sentence for one event."""
    tell = DESCRIPTIONS.get(event["type"])
    return tell(event["data"]["object"]) if tell else event["type"].replace(".", " ")


def _money(field: str) -> Callable[[Resource], str]:
    return lambda resource: invoice_lines.money(resource[field], resource["currency"])


_due, _amount, _total = _money("amount_due"), _money("amount"), _money("total")


def _retry(invoice: Resource) -> str:
    if invoice["next_payment_attempt"]:
        return f"The next try is on {day(invoice['next_payment_attempt'])}."
    return "There will be no further try."


def _subscription_changed(subscription: Resource) -> str:
    if subscription["cancel_at"] and subscription["status"] != "canceled":
        return f"The subscription changed: it ends on {day(subscription['cancel_at'])}."
    return f"The subscription changed: it is {subscription['status']} now."


DESCRIPTIONS: dict[str, Callable[[Resource], str]] = {
    "charge.dispute.created": lambda d: f"The buyer's bank took {_amount(d)} back: a dispute.",
    "charge.failed": lambda c: f"A charge of {_amount(c)} failed: {c['failure_message']}",
    "charge.pending": lambda c: f"{_amount(c)} was asked for; the bank answers in some days.",
    "charge.refunded": lambda c: "Money was given back to the card.",
    "charge.succeeded": lambda c: f"{_amount(c)} was taken.",
    "checkout.session.async_payment_failed": lambda s: "The bank refused the payment, days later.",
    "checkout.session.async_payment_succeeded": lambda s: "The bank confirmed the payment.",
    "checkout.session.completed": lambda s: f"The checkout was completed ({s['payment_status']}).",
    "checkout.session.expired": lambda s: "The checkout page expired without a payment.",
    "customer.created": lambda c: "The customer was created.",
    "customer.deleted": lambda c: "The customer was deleted.",
    "customer.subscription.created": lambda s: f"A subscription began: it is {s['status']}.",
    "customer.subscription.deleted": lambda s: "The subscription ended.",
    "customer.subscription.paused": lambda s: "The subscription paused: there is no card.",
    "customer.subscription.resumed": lambda s: "The subscription goes on.",
    "customer.subscription.trial_will_end": lambda s: "The trial ends in three days.",
    "customer.subscription.updated": _subscription_changed,
    "customer.updated": lambda c: "The customer's details changed.",
    "invoice.created": lambda i: f"An invoice over {_total(i)} was drafted.",
    "invoice.finalized": lambda i: f"Invoice {i['number']} was finalized: {_due(i)} is due.",
    "invoice.marked_uncollectible": lambda i: f"Invoice {i['number']} was given up.",
    "invoice.overdue": lambda i: f"Invoice {i['number']} is overdue.",
    "invoice.paid": lambda i: f"Invoice {i['number']} is paid.",
    "invoice.payment_action_required": lambda i: "The bank wants the owner to confirm the payment.",
    "invoice.payment_failed": lambda i: f"Paying {i['number']} failed. {_retry(i)}",
    "invoice.payment_succeeded": lambda i: f"The payment of {i['number']} succeeded.",
    "invoice.upcoming": lambda i: f"An invoice over {_due(i)} is coming in a week.",
    "invoice.updated": lambda i: f"Invoice {i['number'] or 'draft'} changed.",
    "invoice.voided": lambda i: f"Invoice {i['number']} was voided.",
    "payment_intent.created": lambda p: f"A payment of {_amount(p)} is being prepared.",
    "payment_intent.payment_failed": lambda p: "The payment failed.",
    "payment_intent.processing": lambda p: "The bank is working on the payment.",
    "payment_intent.requires_action": lambda p: "The payment waits for its owner.",
    "payment_intent.succeeded": lambda p: "The payment succeeded.",
    "payment_method.attached": lambda m: "A card was saved.",
    "payment_method.detached": lambda m: "A card was removed.",
}

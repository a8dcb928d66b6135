"""The payments of a customer, with what the merchant and the bank can do about each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from saas_sandbox.stripe.engine import disputes, invoice_lines, refunds
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.errors import invalid
from saas_sandbox.stripe.engine.resource import Resource
from saas_sandbox.stripe.pages.labels import format_date

MAX_PAYMENTS = 20

DISPUTE_LABELS = {
    "needs_response": ("Disputed", "warning"),
    "under_review": ("Evidence under review", "warning"),
    "won": ("Dispute won", "success"),
    "lost": ("Dispute lost", "destructive"),
}


@dataclass(frozen=True)
class Action:
    """A button: whether a payment allows it, and what it does."""

    label: str
    is_possible: Callable[[Resource, Resource | None], bool]
    perform: Callable[[Account, Resource, Resource | None], object]


def list_payments(account: Account, customer: str) -> list[dict[str, Any]]:
    """Return the latest successful charges of a customer, newest first, for the page."""
    rows = account.store.fetch_all(
        "SELECT id, body FROM objects WHERE account = ? AND type = 'charge' AND customer = ? "
        "AND status = 'succeeded' ORDER BY seq DESC LIMIT ?",
        account.id, customer, MAX_PAYMENTS,
    )  # fmt: skip
    return [_format_payment(account, account.load_row("charge", row)) for row in rows]


def perform_action(account: Account, charge: Resource, name: str) -> None:
    """Do what a button says; refuse what the payment no longer allows."""
    dispute = disputes.find_dispute(account, charge)
    if not ACTIONS[name].is_possible(charge, dispute):
        raise invalid(_explain_state(charge, dispute))
    ACTIONS[name].perform(account, charge, dispute)


def _format_payment(account: Account, charge: Resource) -> dict[str, Any]:
    dispute = disputes.find_dispute(account, charge)
    refunded = charge["amount_refunded"]
    return {
        "id": charge["id"],
        "date": format_date(charge["created"]),
        "amount": _format(charge, charge["amount"]),
        "description": charge["description"],
        "receipt_url": charge["receipt_url"],
        "refunded": _format(charge, refunded) if refunded else None,
        "dispute": DISPUTE_LABELS[dispute["status"]] if dispute else None,
        "actions": [
            (name, action.label)
            for name, action in ACTIONS.items()
            if action.is_possible(charge, dispute)
        ],
    }


def _explain_state(charge: Resource, dispute: Resource | None) -> str:
    amount = _format(charge, charge["amount"])
    if dispute and dispute["status"] in disputes.OPEN_STATUSES:
        return f"The payment of {amount} is disputed. The bank must decide first."
    if charge["refunded"]:
        return f"The payment of {amount} was already refunded."
    if dispute:
        return f"The dispute over the payment of {amount} was already {dispute['status']}."
    if charge["amount_refunded"]:
        refunded = _format(charge, charge["amount_refunded"])
        return f"{refunded} of {amount} were already refunded."
    return f"The payment of {amount} is not disputed."


def _is_refundable(charge: Resource, dispute: Resource | None) -> bool:
    charged_back = dispute is not None and dispute["status"] != "won"
    return refunds.get_refundable_amount(charge) > 0 and not charged_back


def _is_whole(charge: Resource, dispute: Resource | None) -> bool:
    is_untouched = not charge["amount_refunded"] and charge["amount"] > 1
    return _is_refundable(charge, dispute) and is_untouched


def _is_disputable(charge: Resource, dispute: Resource | None) -> bool:
    return dispute is None and refunds.get_refundable_amount(charge) > 0


def _is_open(charge: Resource, dispute: Resource | None) -> bool:
    return dispute is not None and dispute["status"] in disputes.OPEN_STATUSES


def _refund_half(account: Account, charge: Resource, dispute: Resource | None) -> object:
    return refunds.create_refund(account, charge, charge["amount"] // 2)


def _decide(status: str) -> Callable[[Account, Resource, Any], object]:
    return lambda account, charge, dispute: disputes.decide_dispute(account, dispute, status)


def _format(charge: Resource, amount: int) -> str:
    return invoice_lines.format_money(amount, charge["currency"])


ACTIONS = {
    "refund": Action(
        "Refund in full",
        _is_refundable,
        lambda account, charge, dispute: refunds.create_refund(account, charge),
    ),
    "refund_half": Action("Refund half", _is_whole, _refund_half),
    "dispute": Action(
        "Open a dispute",
        _is_disputable,
        lambda account, charge, dispute: disputes.open_dispute(account, charge),
    ),
    "lose": Action("The bank decides for the customer", _is_open, _decide("lost")),
    "win": Action("The bank decides for you", _is_open, _decide("won")),
}

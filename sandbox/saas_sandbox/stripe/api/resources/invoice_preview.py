"""Invoice previews: make a change, read its invoice, and roll the change back.

https://docs.stripe.com/api/invoices/create_preview
"""

from copy import deepcopy

from saas_sandbox.stripe.api.resources import subscription_items
from saas_sandbox.stripe.api.resources.subscriptions import parse_trial_end
from saas_sandbox.stripe.engine import (
    billing_cycle,
    invoice_lines,
    invoicing,
    lifecycle,
    subscription_updates,
)
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.errors import StripeError, invalid, missing_param
from saas_sandbox.stripe.engine.params import Params
from saas_sandbox.stripe.engine.resource import Resource


def preview_invoice(account: Account, params: Params) -> Resource:
    with account.dry_run():
        return deepcopy(_preview(account, params))


def preview_change(
    account: Account, id: str, change: subscription_updates.ItemChange, proration: str
) -> Resource:
    """Return the cost of changing one item, billed now or with the next renewal."""
    with account.dry_run():
        subscription = account.get("subscription", id)
        before = subscription["latest_invoice"]
        _change_without_payment(account, subscription, [change], proration, None, False)
        return deepcopy(_build_next_invoice(account, subscription, before))


def _preview(account: Account, params: Params) -> Resource:
    details = params.section("subscription_details")
    if "subscription" not in params:
        return _preview_new_subscription(account, params, details)

    subscription = account.get("subscription", params["subscription"], "subscription")
    if lifecycle.is_ended(subscription):
        raise _no_upcoming_invoice(subscription)
    if params.get("customer", subscription["customer"]) != subscription["customer"]:
        raise invalid(
            f"The subscription {subscription['id']} does not belong to the customer "
            f"{params['customer']}.",
            "subscription",
        )
    before = subscription["latest_invoice"]
    changes = [
        subscription_items.parse_item_change(account, item, f"subscription_details[items][{n}]")
        for n, item in enumerate(details.get("items") or [])
    ]
    if changes or details.get("billing_cycle_anchor") == "now":
        _change_without_payment(
            account,
            subscription,
            changes,
            details.get("proration_behavior", "create_prorations"),
            details.get("proration_date"),
            details.get("billing_cycle_anchor") == "now",
        )
    return _build_next_invoice(account, subscription, before)


def _change_without_payment(
    account: Account,
    subscription: Resource,
    changes: list[subscription_updates.ItemChange],
    proration: str,
    date: int | None,
    reset: bool,
) -> None:
    """Avoid payments during a preview, by sending the invoice instead of charging."""
    subscription["collection_method"] = "send_invoice"
    subscription_updates.change_items(
        account,
        subscription,
        changes,
        proration=proration,  # type: ignore[arg-type]  # checked against the SDK's own type
        date=date,
        reset_anchor=reset,
    )


def _build_next_invoice(account: Account, subscription: Resource, before: str | None) -> Resource:
    """Return the invoice created by the change, or that of the next renewal.

    `before` was the latest invoice before the change.
    """
    now = account.now(lifecycle.get_clock_id(subscription))
    if subscription["latest_invoice"] != before:
        return _mark_upcoming(account, account.get("invoice", subscription["latest_invoice"]))
    period_end = lifecycle.get_period_end(subscription)
    will_renew = not _is_ended_by(subscription, period_end)
    items = [
        {**item, "current_period_start": period_end}
        for item in subscription["items"]["data"]
        if will_renew and item["current_period_end"] == period_end
    ]
    if not items and not invoice_lines.list_pending_items(account, subscription):
        raise _no_upcoming_invoice(subscription)
    for item in items:
        billing_cycle.advance_period(subscription, item)
    period = (now, period_end)
    reason = "subscription_cycle"
    invoice = billing_cycle.draft_invoice(
        account, subscription, items, reason=reason, period=period
    )
    return _mark_upcoming(account, invoice)


def _preview_new_subscription(account: Account, params: Params, details: Params) -> Resource:
    if "customer" not in params:
        raise missing_param("customer")
    customer = account.get_undeleted("customer", params["customer"], "customer")
    now = account.now(customer["test_clock"])
    subscription = billing_cycle.build_subscription(
        account,
        customer,
        subscription_items.parse_new_items(account, details.get("items") or []),
        trial_end=parse_trial_end(details, now),
    )
    return _mark_upcoming(
        account, billing_cycle.create_with_first_invoice(account, subscription, customer)
    )


def _is_ended_by(subscription: Resource, moment: int) -> bool:
    """Return whether the subscription ends at that time instead of being renewed."""
    cancel_at = subscription["cancel_at"]
    return subscription["cancel_at_period_end"] or (cancel_at is not None and cancel_at <= moment)


def _no_upcoming_invoice(subscription: Resource) -> StripeError:
    return StripeError(
        f"No upcoming invoices for customer: {subscription['customer']}",
        status=404,
        code="invoice_upcoming_none",
    )


def _mark_upcoming(account: Account, invoice: Resource) -> Resource:
    if invoice["status"] == "draft":  # finalizing it would apply the balance
        invoice["starting_balance"] = account.get("customer", invoice["customer"])["balance"]
        invoicing.update_totals(invoice)
    invoice["id"] = "upcoming_" + invoice["id"]
    return invoice

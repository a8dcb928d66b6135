"""The invoice that a change would bring: the change is made, looked at, and undone.

https://docs.stripe.com/api/invoices/create_preview
"""

from copy import deepcopy

from .. import changing, cycle, lifecycle
from ..account import Account
from ..errors import invalid, missing_param
from ..params import Params
from ..resource import Resource
from . import wanted
from .subscriptions import trial_end


def preview(account: Account, params: Params) -> Resource:
    with account.rehearsal():
        return deepcopy(_previewed(account, params))


def after_change(account: Account, id: str, wanted: changing.Wanted, proration: str) -> Resource:
    """What changing one item costs, billed now or with the next renewal."""
    with account.rehearsal():
        subscription = account.get("subscription", id)
        _without_paying(account, subscription, [wanted], proration, None, False)
        return deepcopy(_next(account, subscription))


def _previewed(account: Account, params: Params) -> Resource:
    details = params.section("subscription_details")
    if "subscription" not in params:
        return _of_new(account, params, details)

    subscription = account.get("subscription", params["subscription"], "subscription")
    if lifecycle.is_over(subscription):
        raise invalid(
            "No upcoming invoices for a subscription that has ended.",
            "subscription",
            "invoice_upcoming_none",
        )
    params.get("customer")
    changes = [
        wanted.change(account, item, f"subscription_details[items][{n}]")
        for n, item in enumerate(details.get("items") or [])
    ]
    if changes or details.get("billing_cycle_anchor") == "now":
        _without_paying(
            account,
            subscription,
            changes,
            details.get("proration_behavior", "create_prorations"),
            details.get("proration_date"),
            details.get("billing_cycle_anchor") == "now",
        )
    return _next(account, subscription)


def _without_paying(
    account: Account,
    subscription: Resource,
    wanted: list[changing.Wanted],
    proration: str,
    date: int | None,
    reset: bool,
) -> None:
    """A preview asks no bank: by sending an invoice instead of charging, none is asked."""
    subscription["collection_method"] = "send_invoice"
    changing.change(
        account,
        subscription,
        wanted,
        proration=proration,  # type: ignore[arg-type]  # checked against the SDK's own type
        date=date,
        reset_anchor=reset,
    )


def _next(account: Account, subscription: Resource) -> Resource:
    """The invoice just made by the change, or the one that the next renewal would bring."""
    now = account.now(lifecycle.clock_of(subscription))
    latest = account.get("invoice", subscription["latest_invoice"])
    if latest["created"] == now and latest["billing_reason"] == "subscription_update":
        return _upcoming(latest)
    items = [
        {**item, "current_period_start": item["current_period_end"]}
        for item in subscription["items"]["data"]
    ]
    for item in items:
        cycle.turn(subscription, item)
    period = (now, lifecycle.period_end(subscription))
    reason = "subscription_cycle"
    return _upcoming(cycle.bill(account, subscription, items, reason=reason, period=period))


def _of_new(account: Account, params: Params, details: Params) -> Resource:
    if "customer" not in params:
        raise missing_param("customer")
    customer = account.live("customer", params["customer"], "customer")
    now = account.now(customer["test_clock"])
    subscription = cycle.new(
        account,
        customer,
        wanted.items(account, details.get("items") or []),
        trial_end=trial_end(details, now),
    )
    return _upcoming(cycle.begin(account, subscription, customer))


def _upcoming(invoice: Resource) -> Resource:
    invoice["id"] = "upcoming_" + invoice["id"]
    return invoice

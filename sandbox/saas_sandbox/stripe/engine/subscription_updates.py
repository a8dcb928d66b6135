"""Change the items of a subscription in the middle of a period.

"Switching prices does not normally change the billing date or generate an immediate charge unless:
The billing interval is changed (for example, from monthly to yearly). The subscription moves from
free to paid. A trial starts or ends. In these cases, we apply a credit for the unused time on the
previous price, immediately charge the customer using the new price, and reset the billing date."
"""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal

from saas_sandbox.stripe.engine import (
    billing_cycle,
    collection,
    currencies,
    invoice_lines,
    invoicing,
    lifecycle,
    periods,
)
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.errors import StripeError, invalid
from saas_sandbox.stripe.engine.payments import Outcome
from saas_sandbox.stripe.engine.plans import build_plan
from saas_sandbox.stripe.engine.resource import Resource, strip_internal

Proration = Literal["create_prorations", "always_invoice", "none"]


NO_PAYMENT_METHOD = StripeError(
    "This customer has no default payment method.", code="resource_missing"
)


@dataclass(frozen=True)
class ItemChange:
    """A requested item: changed, new or deleted."""

    id: str | None
    price: Resource | None
    quantity: int | None
    metadata: dict[str, str] | None = None
    deleted: bool = False


def change_items(
    account: Account,
    subscription: Resource,
    changes: list[ItemChange],
    *,
    proration: Proration = "create_prorations",
    date: int | None = None,
    reset_anchor: bool = False,
    behaviour: str = "allow_incomplete",
) -> Resource:
    """Apply the items, create prorations, and bill immediately when Stripe does."""
    now = account.now(lifecycle.get_clock_id(subscription))
    before = deepcopy(subscription["items"]["data"])
    apply_item_changes(account, subscription, changes, now)
    after = subscription["items"]["data"]
    if subscription["status"] in ("trialing", "paused", "incomplete"):
        return lifecycle.save_subscription(account, subscription)

    resets_anchor = reset_anchor or resets_billing_date(before, after)
    if proration != "none":
        create_prorations(account, subscription, before, date or now, credit_only=resets_anchor)
    if resets_anchor:
        billing_cycle.reset_billing_cycle(subscription, now)
    lifecycle.save_subscription(account, subscription)
    if resets_anchor or proration == "always_invoice":
        invoice_now(account, subscription, after if resets_anchor else [], behaviour)
    return subscription


def credit_unused_time(account: Account, subscription: Resource) -> None:
    """Credit unused time of a subscription that ends now."""
    now = account.now(lifecycle.get_clock_id(subscription))
    for item in subscription["items"]["data"]:
        _create_proration(account, subscription, item, now, credit=True)


def end_trial_now(account: Account, subscription: Resource, now: int) -> None:
    """End the trial; the first period starts and is billed."""
    subscription["trial_end"] = now
    if billing_cycle.stop_without_payment_method(account, subscription):
        return
    lifecycle.change_status(account, subscription, "active")
    billing_cycle.reset_billing_cycle(subscription, now)
    lifecycle.save_subscription(account, subscription)
    invoice_now(account, subscription, subscription["items"]["data"], "allow_incomplete")


def extend_trial(subscription: Resource, end: int, account: Account) -> None:
    """Start or move a trial; the billing date follows."""
    now = account.now(lifecycle.get_clock_id(subscription))
    if subscription["status"] in ("active", "trialing"):
        lifecycle.change_status(account, subscription, "trialing")
    subscription["trial_start"] = subscription["trial_start"] or now
    subscription |= {"trial_end": end, "billing_cycle_anchor": end}
    subscription["_internal"]["reminded"] = False
    for item in subscription["items"]["data"]:
        item["current_period_end"] = end


def invoice_now(
    account: Account, subscription: Resource, items: list[Resource], behaviour: str
) -> Outcome | None:
    """Invoice pending prorations and these items for their new period, and collect."""
    customer = account.get("customer", subscription["customer"])
    data = billing_cycle.build_lines(account, subscription, items)
    if not data:
        return None

    now = account.now(lifecycle.get_clock_id(subscription))
    invoice = invoicing.create_draft(
        account,
        customer,
        data,
        reason="subscription_update",
        subscription=subscription,
        period=(now, now),
    )
    lifecycle.save_subscription(account, subscription)
    collection.finalize_for_payment(account, invoice)
    if invoice["status"] == "paid" or invoice["collection_method"] == "send_invoice":
        return None
    return _collect(account, invoice, behaviour)


def _collect(account: Account, invoice: Resource, behaviour: str) -> Outcome:
    outcome = collection.collect_invoice(account, invoice)
    if behaviour == "error_if_incomplete" and outcome.kind not in ("succeeded", "processing"):
        if outcome.decline:
            raise outcome.decline.error()
        raise NO_PAYMENT_METHOD
    return outcome


def apply_item_changes(
    account: Account, subscription: Resource, changes: list[ItemChange], now: int
) -> None:
    """Apply the requested items to the subscription."""
    items = subscription["items"]["data"]
    for change in changes:
        if change.id is None:
            items.append(_build_added_item(account, subscription, change, now))
            continue
        item = next((item for item in items if item["id"] == change.id), None)
        if item is None:
            raise invalid(
                f"No such subscription_item: '{change.id}'", "items[0][id]", "resource_missing"
            )
        if change.deleted:
            items.remove(item)
        else:
            _update_item(item, change)
    if not items:
        raise invalid("A subscription must have at least one active plan.", "items")
    prices = (item["price"] for item in items)
    currencies.check_same_currency(prices, subscription["currency"], "items")


def _build_added_item(
    account: Account, subscription: Resource, change: ItemChange, now: int
) -> Resource:
    if change.price is None:
        raise invalid("Missing required param: items[0][price].", "items[0][price]")
    if any(i["price"]["id"] == change.price["id"] for i in subscription["items"]["data"]):
        raise invalid(
            f"Cannot add multiple subscription items with the same plan: {change.price['id']}",
            "items",
        )
    quantity = 1 if change.quantity is None else change.quantity
    return billing_cycle.build_item(
        account, subscription, change.price, quantity, change.metadata or {}, start=now
    )


def _update_item(item: Resource, change: ItemChange) -> None:
    if change.price is not None:
        item["price"] = strip_internal(change.price)
        item["plan"] = build_plan(change.price)
    if change.quantity is not None:
        item["quantity"] = change.quantity
    if change.metadata is not None:
        item["metadata"] = {**item["metadata"], **change.metadata}


def resets_billing_date(before: list[Resource], after: list[Resource]) -> bool:
    """Return whether the change starts a new billing cycle: new interval, or free to paid."""
    intervals = [{_get_interval(item) for item in items} for items in (before, after)]
    free_before = not any(_item_amount(item) for item in before)
    return intervals[0] != intervals[1] or (
        free_before and any(_item_amount(item) for item in after)
    )


def create_prorations(
    account: Account,
    subscription: Resource,
    before: list[Resource],
    date: int,
    *,
    credit_only: bool,
) -> None:
    """Create credits for unused time, and charges for the remaining time."""
    items_before = {item["id"]: item for item in before}
    items_after = {item["id"]: item for item in subscription["items"]["data"]}
    changed = [
        id
        for id in {**items_before, **items_after}
        if credit_only or not _is_unchanged(items_before.get(id), items_after.get(id))
    ]
    for id in changed:
        if old := items_before.get(id):
            _create_proration(account, subscription, old, date, credit=True)
    for id in changed:
        if (new := items_after.get(id)) and not credit_only:
            _create_proration(account, subscription, new, date, credit=False)


def _create_proration(
    account: Account, subscription: Resource, item: Resource, date: int, *, credit: bool
) -> None:
    start, end = item["current_period_start"], item["current_period_end"]
    if not credit and item["created"] == start:
        item = {**item, "current_period_start": _full_period_start(subscription, item)}
        start = item["current_period_start"]
    if not start <= date <= end:
        raise invalid(
            "Invalid proration_date: it must be within the current period.", "proration_date"
        )
    invoice_lines.create_proration(account, subscription, item, (date, end), credit=credit)


def _full_period_start(subscription: Resource, item: Resource) -> int:
    """Return the start of the full period of an item that was added during it."""
    recurring: dict[str, Any] = item["price"]["recurring"]
    return periods.previous_boundary(
        subscription["billing_cycle_anchor"],
        item["current_period_end"],
        recurring["interval"],
        recurring["interval_count"],
    )


def _is_unchanged(old: Resource | None, new: Resource | None) -> bool:
    return (
        old is not None
        and new is not None
        and (old["price"]["id"], old["quantity"]) == (new["price"]["id"], new["quantity"])
    )


def _get_interval(item: Resource) -> tuple[str, int]:
    recurring = item["price"]["recurring"]
    return recurring["interval"], recurring["interval_count"]


def _item_amount(item: Resource) -> int:
    return invoice_lines.calculate_amount(item["price"], item["quantity"])

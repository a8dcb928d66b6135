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
from saas_sandbox.stripe.engine.plans import plan_of
from saas_sandbox.stripe.engine.resource import Resource

Proration = Literal["create_prorations", "always_invoice", "none"]


NO_METHOD = StripeError("This customer has no default payment method.", code="resource_missing")


@dataclass(frozen=True)
class Wanted:
    """A requested item: changed, new or deleted."""

    id: str | None
    price: Resource | None
    quantity: int | None
    metadata: dict[str, str] | None = None
    deleted: bool = False


def change(
    account: Account,
    subscription: Resource,
    changes: list[Wanted],
    *,
    proration: Proration = "create_prorations",
    date: int | None = None,
    reset_anchor: bool = False,
    behaviour: str = "allow_incomplete",
) -> Resource:
    """Apply the items, create prorations, and bill at once where Stripe does."""
    now = account.now(lifecycle.clock_of(subscription))
    before = deepcopy(subscription["items"]["data"])
    apply_items(account, subscription, changes, now)
    after = subscription["items"]["data"]
    if subscription["status"] in ("trialing", "paused", "incomplete"):
        return lifecycle.keep(account, subscription)

    resets = reset_anchor or moves_the_date(before, after)
    if proration != "none":
        prorate(account, subscription, before, date or now, credit_only=resets)
    if resets:
        billing_cycle.start_over(subscription, now)
    lifecycle.keep(account, subscription)
    if resets or proration == "always_invoice":
        bill_now(account, subscription, after if resets else [], behaviour)
    return subscription


def credit_rest(account: Account, subscription: Resource) -> None:
    """Credit unused time of a subscription that ends now."""
    now = account.now(lifecycle.clock_of(subscription))
    for item in subscription["items"]["data"]:
        _prorated(account, subscription, item, now, credit=True)


def end_trial_now(account: Account, subscription: Resource, now: int) -> None:
    """End the trial; the first period starts and is billed."""
    subscription["trial_end"] = now
    if billing_cycle.stopped_without_card(account, subscription):
        return
    lifecycle.move(account, subscription, "active")
    billing_cycle.start_over(subscription, now)
    lifecycle.keep(account, subscription)
    bill_now(account, subscription, subscription["items"]["data"], "allow_incomplete")


def extend_trial(subscription: Resource, end: int, account: Account) -> None:
    """Start or move a trial; the billing date follows."""
    now = account.now(lifecycle.clock_of(subscription))
    if subscription["status"] in ("active", "trialing"):
        lifecycle.move(account, subscription, "trialing")
    subscription["trial_start"] = subscription["trial_start"] or now
    subscription |= {"trial_end": end, "billing_cycle_anchor": end}
    subscription["_internal"]["reminded"] = False
    for item in subscription["items"]["data"]:
        item["current_period_end"] = end


def bill_now(
    account: Account, subscription: Resource, items: list[Resource], behaviour: str
) -> Outcome | None:
    """Invoice pending prorations and these items for their new period, and collect."""
    customer = account.get("customer", subscription["customer"])
    data = billing_cycle.lines_of(account, subscription, items)
    if not data:
        return None

    now = account.now(lifecycle.clock_of(subscription))
    invoice = invoicing.draft(
        account,
        customer,
        data,
        reason="subscription_update",
        subscription=subscription,
        period=(now, now),
    )
    lifecycle.keep(account, subscription)
    collection.open_up(account, invoice)
    if invoice["status"] == "paid" or invoice["collection_method"] == "send_invoice":
        return None
    return _attempt(account, invoice, behaviour)


def _attempt(account: Account, invoice: Resource, behaviour: str) -> Outcome:
    outcome = collection.collect(account, invoice)
    if behaviour == "error_if_incomplete" and outcome.kind not in ("succeeded", "processing"):
        if outcome.decline:
            raise outcome.decline.error()
        raise NO_METHOD
    return outcome


def apply_items(account: Account, subscription: Resource, changes: list[Wanted], now: int) -> None:
    """Apply the requested items to the subscription."""
    items = subscription["items"]["data"]
    for change in changes:
        if change.id is None:
            items.append(_added(account, subscription, change, now))
            continue
        item = next((item for item in items if item["id"] == change.id), None)
        if item is None:
            raise invalid(
                f"No such subscription_item: '{change.id}'", "items[0][id]", "resource_missing"
            )
        if change.deleted:
            items.remove(item)
        else:
            _changed(item, change)
    if not items:
        raise invalid("A subscription must have at least one active plan.", "items")
    prices = (item["price"] for item in items)
    currencies.check_same(prices, subscription["currency"], "items")


def _added(account: Account, subscription: Resource, change: Wanted, now: int) -> Resource:
    if change.price is None:
        raise invalid("Missing required param: items[0][price].", "items[0][price]")
    if any(i["price"]["id"] == change.price["id"] for i in subscription["items"]["data"]):
        raise invalid(
            f"Cannot add multiple subscription items with the same plan: {change.price['id']}",
            "items",
        )
    quantity = 1 if change.quantity is None else change.quantity
    return billing_cycle.new_item(
        account, subscription, change.price, quantity, change.metadata or {}, start=now
    )


def _changed(item: Resource, change: Wanted) -> None:
    if change.price is not None:
        item["price"] = {n: v for n, v in change.price.items() if n != "_internal"}
        item["plan"] = plan_of(change.price)
    if change.quantity is not None:
        item["quantity"] = change.quantity
    if change.metadata is not None:
        item["metadata"] = {**item["metadata"], **change.metadata}


def moves_the_date(before: list[Resource], after: list[Resource]) -> bool:
    """Return whether the change starts a new billing cycle: new interval, or free to paid."""
    intervals = [{_interval(item) for item in items} for items in (before, after)]
    free_before = not any(_full(item) for item in before)
    return intervals[0] != intervals[1] or (free_before and any(_full(item) for item in after))


def prorate(
    account: Account,
    subscription: Resource,
    before: list[Resource],
    date: int,
    *,
    credit_only: bool,
) -> None:
    """Create credits for unused time, and charges for the remaining time."""
    olds = {item["id"]: item for item in before}
    news = {item["id"]: item for item in subscription["items"]["data"]}
    changed = [
        id for id in {**olds, **news} if credit_only or not _same(olds.get(id), news.get(id))
    ]
    for id in changed:
        if old := olds.get(id):
            _prorated(account, subscription, old, date, credit=True)
    for id in changed:
        if (new := news.get(id)) and not credit_only:
            _prorated(account, subscription, new, date, credit=False)


def _prorated(
    account: Account, subscription: Resource, item: Resource, date: int, *, credit: bool
) -> None:
    start, end = item["current_period_start"], item["current_period_end"]
    if not credit and item["created"] == start:
        item = {**item, "current_period_start": _whole_start(subscription, item)}
        start = item["current_period_start"]
    if not start <= date <= end:
        raise invalid(
            "Invalid proration_date: it must be within the current period.", "proration_date"
        )
    invoice_lines.proration(account, subscription, item, (date, end), credit=credit)


def _whole_start(subscription: Resource, item: Resource) -> int:
    """Return where a whole period would start, for an item that was added in the middle."""
    recurring: dict[str, Any] = item["price"]["recurring"]
    return periods.preceding(
        subscription["billing_cycle_anchor"],
        item["current_period_end"],
        recurring["interval"],
        recurring["interval_count"],
    )


def _same(old: Resource | None, new: Resource | None) -> bool:
    return (
        old is not None
        and new is not None
        and (old["price"]["id"], old["quantity"]) == (new["price"]["id"], new["quantity"])
    )


def _interval(item: Resource) -> tuple[str, int]:
    recurring = item["price"]["recurring"]
    return recurring["interval"], recurring["interval_count"]


def _full(item: Resource) -> int:
    return invoice_lines.amount_of(item["price"], item["quantity"])

"""The billing cycle: start, renewals, end of a trial."""

from typing import Any

import stripe

from saas_sandbox.stripe.engine import (
    currencies,
    ids,
    invoice_lines,
    invoicing,
    lifecycle,
    periods,
    taxes,
)
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.errors import invalid
from saas_sandbox.stripe.engine.plans import build_plan
from saas_sandbox.stripe.engine.resource import Resource, strip_internal
from saas_sandbox.stripe.engine.shapes import build_object


def build_subscription(
    account: Account,
    customer: Resource,
    lines: list[tuple[Resource, int, dict[str, str]]],
    *,
    trial_end: int | None = None,
    anchor: int | None = None,
    **fields: Any,
) -> Resource:
    """Return a new subscription to (price, quantity, metadata), not stored or invoiced yet."""
    now = account.now(customer["test_clock"])
    prices = [price for price, *_ in lines]
    currency = prices[0]["currency"]
    currencies.check_same_currency(prices, currency, "items")
    currencies.check_customer_currency(account, customer, currency)
    if anchor and not trial_end:
        _check_anchor(prices, anchor, now)
    subscription = {
        **_base_fields(account, customer, currency, now),
        "billing_cycle_anchor": trial_end or anchor or now,
        "status": "trialing" if trial_end else "incomplete",
        "trial_start": now if trial_end else None,
        "trial_end": trial_end,
        **fields,
    }
    items = [
        build_item(account, subscription, price, quantity, metadata, start=now)
        for price, quantity, metadata in lines
    ]
    subscription |= {"items": _build_item_list(subscription, items), "_internal": {"due": None}}
    _set_customer_currency(account, customer, currency)
    return subscription


def _build_item_list(subscription: Resource, items: list[Resource]) -> dict[str, Any]:
    url = f"/v1/subscription_items?subscription={subscription['id']}"
    return {"object": "list", "data": items, "has_more": False, "url": url}


def _set_customer_currency(account: Account, customer: Resource, currency: str) -> None:
    """Set the customer's currency with their first subscription."""
    if not customer["currency"]:
        customer["currency"] = currency
        account.save(customer, "customer.updated")


def _check_anchor(prices: list[Resource], anchor: int, now: int) -> None:
    """Refuse an anchor that would make the first period longer than the price's interval."""
    for price in prices:
        next_date = periods.next_boundary(
            now, now, price["recurring"]["interval"], price["recurring"]["interval_count"]
        )
        if anchor > next_date:
            raise invalid(
                "billing_cycle_anchor cannot be later than next natural billing date "
                f"({next_date}) for plan",
                "billing_cycle_anchor",
            )


def build_trial_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings for the end of a trial, with defaults."""
    defaults = {"billing_cycle_anchor": None, "missing_payment_method": "create_invoice"}
    return {"end_behavior": {**defaults, **settings.get("end_behavior", {})}}


def build_item(
    account: Account,
    subscription: Resource,
    price: Resource,
    quantity: int,
    metadata: dict[str, str],
    start: int,
) -> Resource:
    item = build_object(
        stripe.SubscriptionItem,
        id=ids.new("subscription_item"),
        created=start,
        current_period_end=_first_period_end(subscription, price, start),
        current_period_start=start,
        discounts=[],
        metadata=metadata,
        plan=build_plan(price),
        price=strip_internal(price),
        quantity=quantity,
        subscription=subscription["id"],
        tax_rates=[],
    )
    for name in ("livemode", "billed_until"):
        del item[name]
    return item


def _first_period_end(subscription: Resource, price: Resource, start: int) -> int:
    """Return the anchor if it is in the future, otherwise the next boundary of the cycle."""
    anchor: int = subscription["billing_cycle_anchor"]
    if anchor > start:
        return anchor
    recurring = price["recurring"]
    return periods.next_boundary(anchor, start, recurring["interval"], recurring["interval_count"])


def create_with_first_invoice(
    account: Account,
    subscription: Resource,
    customer: Resource,
    *,
    prorate: bool = True,
) -> Resource:
    """Store a new subscription and its first invoice, finalized and ready to be paid."""
    if subscription["collection_method"] == "send_invoice" and subscription["status"] != "trialing":
        subscription["status"] = "active"
    account.add(subscription)
    invoice = create_first_invoice(account, subscription, customer, prorate=prorate)
    account.save(subscription)
    return invoice


def emit_created(account: Account, subscription: Resource) -> None:
    """Emit the creation, with the initial status."""
    lifecycle.save_subscription(account, subscription, "customer.subscription.created")


def create_first_invoice(
    account: Account, subscription: Resource, customer: Resource, *, prorate: bool = True
) -> Resource:
    """Return the first invoice: a period, a stub until the anchor, or nothing during a trial."""
    trial = subscription["status"] == "trialing"
    data = []
    for item in subscription["items"]["data"]:
        period = (item["current_period_start"], item["current_period_end"])
        amount = None if trial else _stub_amount(subscription, item, prorate)
        line = invoice_lines.build_item_line(
            account, subscription, item, period, amount=amount, trial=trial
        )
        data.append(line)
    now = subscription["start_date"]
    return invoicing.create_draft(
        account,
        customer,
        data,
        reason="subscription_create",
        subscription=subscription,
        period=(now, now),
    )


def renew(account: Account, subscription: Resource) -> None:
    """Start the next period, and bill it.

    The invoice is drafted when the period starts, and finalized an hour later.
    """
    now = account.now(lifecycle.get_clock_id(subscription))
    ended_items = [
        item for item in subscription["items"]["data"] if item["current_period_end"] <= now
    ]
    start = min(item["current_period_start"] for item in ended_items)
    period_end = min(item["current_period_end"] for item in ended_items)
    for item in ended_items:
        advance_period(subscription, item)
    draft_invoice(
        account, subscription, ended_items, reason="subscription_cycle", period=(start, period_end)
    )
    lifecycle.save_subscription(account, subscription)


def advance_period(subscription: Resource, item: Resource) -> None:
    """Move one item to its next period."""
    recurring = item["price"]["recurring"]
    start = item["current_period_end"]
    item["current_period_start"] = start
    item["current_period_end"] = periods.next_boundary(
        subscription["billing_cycle_anchor"],
        start,
        recurring["interval"],
        recurring["interval_count"],
    )


def draft_invoice(
    account: Account,
    subscription: Resource,
    items: list[Resource],
    *,
    reason: str,
    period: tuple[int, int],
) -> Resource:
    """Draft an invoice for these items and all pending ones; the clock finalizes it.

    Of an unpaid subscription: "invoices continue to be generated but payments aren't attempted".
    """
    customer = account.get("customer", subscription["customer"])
    data = build_lines(account, subscription, items)
    collects = subscription["status"] != "unpaid" and not subscription["pause_collection"]
    invoice = invoicing.create_draft(
        account,
        customer,
        data,
        reason=reason,
        subscription=subscription,
        period=period,
        finalizes=True,
        auto_advance=collects,
    )
    _apply_pause_collection(account, subscription, invoice)
    return invoice


def build_lines(account: Account, subscription: Resource, items: list[Resource]) -> list[Resource]:
    """Return lines for all pending items, and for these items in their current periods."""
    data = [
        invoice_lines.build_pending_line(item)
        for item in invoice_lines.list_pending_items(account, subscription)
    ]
    for item in items:
        span = (item["current_period_start"], item["current_period_end"])
        data.append(invoice_lines.build_item_line(account, subscription, item, span))
    return data


def end_trial(account: Account, subscription: Resource) -> None:
    """End the trial: bill the first period, or apply the settings without a card."""
    if not stop_without_payment_method(account, subscription):
        lifecycle.change_status(account, subscription, "active")
        renew(account, subscription)


def stop_without_payment_method(account: Account, subscription: Resource) -> bool:
    """Cancel or pause at the end of a trial without a payment method, if so configured."""
    if _has_payment_method(subscription, account.get("customer", subscription["customer"])):
        return False

    behaviour = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
    if behaviour == "cancel":
        lifecycle.cancel_subscription(account, subscription, reason="payment_failed")
    elif behaviour == "pause":
        lifecycle.change_status(account, subscription, "paused")
        lifecycle.save_subscription(account, subscription)
        account.emit("customer.subscription.paused", subscription)
    return bool(behaviour != "create_invoice")


def reset_billing_cycle(subscription: Resource, now: int) -> None:
    """Restart the billing cycle of every item now."""
    subscription["billing_cycle_anchor"] = now
    for item in subscription["items"]["data"]:
        item["current_period_end"] = now
        advance_period(subscription, item)


def _has_payment_method(subscription: Resource, customer: Resource) -> bool:
    return bool(
        subscription["collection_method"] == "send_invoice"
        or subscription["default_payment_method"]
        or customer["invoice_settings"]["default_payment_method"]
    )


def _apply_pause_collection(account: Account, subscription: Resource, invoice: Resource) -> None:
    """Apply paused collection: https://docs.stripe.com/billing/subscriptions/pause-payment"""
    pause = subscription["pause_collection"]
    if not pause or pause["behavior"] == "keep_as_draft":
        return
    invoicing.finalize_invoice(account, invoice)
    if pause["behavior"] == "void":
        invoicing.void_invoice(account, invoice)
    else:
        invoicing.mark_uncollectible(account, invoice)


def _stub_amount(subscription: Resource, item: Resource, prorate: bool) -> int | None:
    """Return the share of the price until a future anchor; None for a whole period."""
    anchor, start = subscription["billing_cycle_anchor"], item["current_period_start"]
    if anchor <= start:
        return None
    if not prorate:
        return 0
    recurring = item["price"]["recurring"]
    before = periods.previous_boundary(
        anchor, anchor, recurring["interval"], recurring["interval_count"]
    )
    full = invoice_lines.calculate_amount(item["price"], item["quantity"])
    return invoice_lines.prorate_amount(full, anchor - start, anchor - before)


def _base_fields(account: Account, customer: Resource, currency: str, now: int) -> Resource:
    return build_object(
        stripe.Subscription,
        id=ids.new("subscription"),
        created=now,
        automatic_tax=taxes.subscription_fields(enabled=False),
        billing_mode={
            "flexible": {"proration_discounts": "included"},
            "type": "flexible",
        },
        billing_schedules=[],
        cancel_at_period_end=False,
        cancellation_details=dict.fromkeys(lifecycle.CANCELLATION_DETAILS),
        collection_method="charge_automatically",
        currency=currency,
        customer=customer["id"],
        default_tax_rates=[],
        discounts=[],
        invoice_settings={
            "account_tax_ids": None,
            "custom_fields": None,
            "description": None,
            "footer": None,
            "issuer": {"type": "self"},
        },
        metadata={},
        payment_settings={
            "payment_method_options": None,
            "payment_method_types": None,
            "save_default_payment_method": "off",
        },
        start_date=now,
        test_clock=customer["test_clock"],
        trial_settings=build_trial_settings({}),
    )

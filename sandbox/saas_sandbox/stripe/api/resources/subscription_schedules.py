"""Subscription schedules, limited to scheduled plan changes.

https://docs.stripe.com/api/subscription_schedules
"""

from typing import Any

import stripe
from stripe import params as shape

from saas_sandbox.stripe.api import pagination
from saas_sandbox.stripe.api.operations import operation
from saas_sandbox.stripe.api.resources.subscription_items import find_recurring_price
from saas_sandbox.stripe.engine import ids, lifecycle, metadata, periods, schedules
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.errors import invalid, missing_param
from saas_sandbox.stripe.engine.params import Params
from saas_sandbox.stripe.engine.plans import build_plan
from saas_sandbox.stripe.engine.resource import Resource
from saas_sandbox.stripe.engine.shapes import build_object

KIND = "subscription_schedule"


@operation("POST", "/subscription_schedules", shape.SubscriptionScheduleCreateParams)
def create(account: Account, params: Params) -> Resource:
    if "from_subscription" not in params:
        raise missing_param("from_subscription")
    subscription = account.get("subscription", params["from_subscription"], "from_subscription")
    if subscription["schedule"] or lifecycle.is_ended(subscription):
        raise invalid(
            "You cannot migrate a subscription that is already attached to a schedule, or over.",
            "from_subscription",
        )
    schedule = _build_schedule(account, subscription)
    metadata.update_metadata(schedule, params)
    account.add(schedule, "subscription_schedule.created")
    schedules.enter_phase(account, schedule, schedule["phases"][0])
    subscription["schedule"] = schedule["id"]
    lifecycle.save_subscription(account, subscription)
    return schedule


@operation("GET", "/subscription_schedules/<id>", shape.SubscriptionScheduleRetrieveParams)
def retrieve(account: Account, params: Params, id: str) -> Resource:
    return account.get(KIND, id)


@operation("GET", "/subscription_schedules", shape.SubscriptionScheduleListParams)
def list_all(account: Account, params: Params) -> Resource:
    return pagination.list_page(
        account, KIND, "/v1/subscription_schedules", params, customer=params.get("customer")
    )


@operation("POST", "/subscription_schedules/<id>", shape.SubscriptionScheduleUpdateParams)
def update(account: Account, params: Params, id: str) -> Resource:
    schedule = _find_changeable(account, id)
    metadata.update_metadata(schedule, params)
    params.copy_to(schedule, "end_behavior")
    params.get("proration_behavior")
    if "phases" in params:
        schedule["phases"] = _parse_phases(account, schedule, params["phases"])
        current = _find_current_phase(account, schedule)
        schedules.enter_phase(account, schedule, current)
    return account.save(schedule, "subscription_schedule.updated")


@operation("POST", "/subscription_schedules/<id>/release", shape.SubscriptionScheduleReleaseParams)
def release(account: Account, params: Params, id: str) -> Resource:
    params.get("preserve_cancel_date")
    return schedules.release_schedule(account, _find_changeable(account, id))


@operation("POST", "/subscription_schedules/<id>/cancel", shape.SubscriptionScheduleCancelParams)
def cancel(account: Account, params: Params, id: str) -> Resource:
    return schedules.cancel_schedule(account, _find_changeable(account, id))


def _find_changeable(account: Account, id: str) -> Resource:
    schedule = account.get(KIND, id)
    if schedule["status"] not in ("active", "not_started"):
        raise invalid(
            f"You cannot change a subscription schedule that is {schedule['status']}.", "id"
        )
    return schedule


def _build_schedule(account: Account, subscription: Resource) -> Resource:
    """Return a schedule with one phase: the current period of the subscription."""
    items = subscription["items"]["data"]
    phase = _build_phase(
        account,
        subscription["currency"],
        [(item["price"], item["quantity"]) for item in items],
        items[0]["current_period_start"],
        lifecycle.get_period_end(subscription),
        "create_prorations",
    )
    schedule = build_object(
        stripe.SubscriptionSchedule,
        id=ids.new(KIND),
        created=account.now(subscription["test_clock"]),
        billing_mode=subscription["billing_mode"],
        customer=subscription["customer"],
        default_settings=_default_settings(),
        end_behavior="release",
        metadata={},
        pause_schedules=[],
        phases=[phase],
        status="not_started",
        subscription=subscription["id"],
        test_clock=subscription["test_clock"],
    )
    return {**schedule, "_internal": {"due": phase["end_date"]}}


def _parse_phases(account: Account, schedule: Resource, entries: list[Params]) -> list[Resource]:
    """Return consecutive phases: each starts where the previous one ends."""
    first = schedule["phases"][0]
    start, phases = first["start_date"], []
    for number, entry in enumerate(entries):
        phase_start = entry.get("start_date", start)
        if phase_start != start:
            raise invalid("Phases must follow each other.", f"phases[{number}][start_date]")
        phase = _build_phase(
            account,
            first["currency"],
            _parse_items(account, entry, f"phases[{number}][items]"),
            start,
            _parse_end_date(entry, start, number),
            entry.get("proration_behavior", "create_prorations"),
        )
        phase["metadata"] = metadata.merge_values({}, entry.get("metadata") or {})
        phases.append(phase)
        start = phase["end_date"]
    return phases


def _parse_items(account: Account, entry: Params, path: str) -> list[tuple[Resource, int]]:
    return [
        (
            find_recurring_price(account, item["price"], f"{path}[{n}][price]"),
            item.get("quantity", 1),
        )
        for n, item in enumerate(entry["items"])
    ]


def _parse_end_date(entry: Params, start: int, number: int) -> int:
    if "end_date" in entry:
        end: int = entry["end_date"]
    elif "duration" in entry:
        duration = entry["duration"]
        end = periods.add_intervals(start, duration["interval"], duration.get("interval_count", 1))
    else:
        raise missing_param(f"phases[{number}][end_date]")
    if not isinstance(end, int) or end <= start:
        raise invalid("A phase must end after it starts.", f"phases[{number}][end_date]")
    return end


def _find_current_phase(account: Account, schedule: Resource) -> Resource:
    now = account.now(schedule["test_clock"])
    for phase in schedule["phases"]:
        if phase["start_date"] <= now < phase["end_date"]:
            return dict(phase)
    raise invalid("The schedule has no phase for the present time.", "phases")


def _build_phase(
    account: Account,
    currency: str,
    items: list[tuple[Resource, int]],
    start: int,
    end: int,
    proration: str,
) -> Resource:
    phase = dict.fromkeys(
        (
            "application_fee_percent", "billing_cycle_anchor", "billing_thresholds",
            "collection_method", "default_payment_method", "description", "invoice_settings",
            "on_behalf_of", "transfer_data", "trial_end",
        )
    )  # fmt: skip
    fields: dict[str, Any] = {
        "add_invoice_items": [],
        "currency": currency,
        "default_tax_rates": [],
        "discounts": [],
        "end_date": end,
        "items": [_build_item(price, quantity) for price, quantity in items],
        "metadata": {},
        "proration_behavior": proration,
        "start_date": start,
    }
    return phase | fields


def _build_item(price: Resource, quantity: int) -> dict[str, Any]:
    return {
        "billing_thresholds": None,
        "discounts": [],
        "metadata": {},
        "plan": build_plan(price)["id"],
        "price": price["id"],
        "quantity": quantity,
        "tax_rates": [],
    }


def _default_settings() -> dict[str, Any]:
    return {
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": "automatic",
        "billing_thresholds": None,
        "collection_method": "charge_automatically",
        "default_payment_method": None,
        "description": None,
        "invoice_settings": {
            "account_tax_ids": None,
            "custom_fields": None,
            "days_until_due": None,
            "description": None,
            "footer": None,
            "issuer": {"type": "self"},
        },
        "on_behalf_of": None,
        "transfer_data": None,
    }

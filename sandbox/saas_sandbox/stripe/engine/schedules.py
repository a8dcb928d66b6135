"""Subscription schedules: changes at a future date.

When a phase ends, the next one starts and its items replace the current ones.
https://docs.stripe.com/billing/subscriptions/subscription-schedules
"""

from saas_sandbox.stripe.engine import lifecycle, subscription_updates
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.resource import Resource


def advance_phase(account: Account, schedule: Resource) -> None:
    """End the current phase: start the next one, or apply `end_behavior`."""
    now = account.now(schedule["test_clock"])
    phase = next((p for p in schedule["phases"] if p["start_date"] <= now < p["end_date"]), None)
    if phase is None:
        _complete_schedule(account, schedule, now)
        return

    subscription = account.get("subscription", schedule["subscription"])
    if lifecycle.is_ended(subscription):
        cancel_schedule(account, schedule)
        return
    enter_phase(account, schedule, phase)
    subscription_updates.change_items(
        account,
        subscription,
        _build_item_changes(account, subscription, phase),
        proration=_get_proration(phase),
    )


def enter_phase(account: Account, schedule: Resource, phase: Resource) -> Resource:
    """Make this phase the current one."""
    schedule["status"] = "active"
    schedule["current_phase"] = {"start_date": phase["start_date"], "end_date": phase["end_date"]}
    schedule["_internal"]["due"] = phase["end_date"]
    return account.save(schedule, "subscription_schedule.updated")


def release_schedule(account: Account, schedule: Resource) -> Resource:
    """ "Releases the subscription schedule immediately, which will stop scheduling of its phases,
    but leave any existing subscription in place."
    """
    subscription = account.get("subscription", schedule["subscription"])
    subscription["schedule"] = None
    schedule |= {
        "status": "released",
        "released_at": account.now(schedule["test_clock"]),
        "released_subscription": subscription["id"],
        "subscription": None,
        "current_phase": None,
    }
    schedule["_internal"]["due"] = None
    lifecycle.save_subscription(account, subscription)
    return account.save(schedule, "subscription_schedule.released")


def cancel_schedule(account: Account, schedule: Resource) -> Resource:
    """ "Cancels a subscription schedule and its associated subscription immediately (if the
    subscription schedule has an active subscription)."
    """
    schedule |= {"status": "canceled", "canceled_at": account.now(schedule["test_clock"])}
    schedule |= {"current_phase": None}
    schedule["_internal"]["due"] = None
    subscription = account.get("subscription", schedule["subscription"])
    if not lifecycle.is_ended(subscription):
        lifecycle.cancel_subscription(account, subscription)
    return account.save(schedule, "subscription_schedule.canceled")


def _complete_schedule(account: Account, schedule: Resource, now: int) -> None:
    if schedule["end_behavior"] == "release":
        release_schedule(account, schedule)
        return
    subscription = account.get("subscription", schedule["subscription"])
    schedule |= {"status": "completed", "completed_at": now, "current_phase": None}
    schedule["_internal"]["due"] = None
    account.save(schedule, "subscription_schedule.completed")
    if not lifecycle.is_ended(subscription):
        lifecycle.cancel_subscription(account, subscription, at=now)


def _build_item_changes(
    account: Account, subscription: Resource, phase: Resource
) -> list[subscription_updates.ItemChange]:
    """Return the changes that replace the current items with those of the phase."""
    current_items, phase_items = subscription["items"]["data"], phase["items"]
    changes = []
    for number, item in enumerate(phase_items):
        id = current_items[number]["id"] if number < len(current_items) else None
        price = account.get("price", item["price"])
        changes.append(subscription_updates.ItemChange(id, price, item["quantity"]))
    removed = current_items[len(phase_items) :]
    return changes + [
        subscription_updates.ItemChange(item["id"], None, None, deleted=True) for item in removed
    ]


def _get_proration(phase: Resource) -> subscription_updates.Proration:
    behaviour: subscription_updates.Proration = phase["proration_behavior"]
    return behaviour

"""Test clocks for customers that were created without one.

In Stripe, a customer must be created on a test clock. Here any customer can be put on one later, so
that customers created by an application can be advanced.
"""

from saas_sandbox.stripe.engine import periods
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.errors import invalid
from saas_sandbox.stripe.engine.lifecycle import list_upcoming_actions
from saas_sandbox.stripe.engine.resource import Resource
from saas_sandbox.stripe.engine.test_clocks import KIND, build_clock, start_advance

STEPS = ("day", "week", "month", "year")


def get_or_create_clock(account: Account, customer: Resource) -> Resource:
    """Return the customer's clock, creating it at the current time with all of their objects."""
    if customer["test_clock"]:
        return account.get(KIND, customer["test_clock"])

    clock = account.add(build_clock(account, account.now(), customer["email"]))
    _attach_to_clock(account, customer, clock["id"])
    return clock


def advance_customer(account: Account, customer: Resource, step: str, count: int = 1) -> Resource:
    """Advance by days, weeks, months or years, or by "renewal" to just after the next renewal."""
    clock = get_or_create_clock(account, customer)
    now = clock["frozen_time"]
    if step == "renewal":
        start_advance(account, clock, _time_after_renewal(account, customer, now))
    elif step in STEPS:
        start_advance(account, clock, periods.add_intervals(now, step, count))
    else:
        raise invalid(f"Invalid step: must be one of {', '.join(STEPS)}, or renewal", "step")
    return clock


def get_progress(clock: Resource) -> float:
    """Return the completed share of a clock's advance."""
    internal = clock["_internal"]
    started = internal.get("started", internal["time"])
    duration = clock["frozen_time"] - started
    return 1.0 if clock["status"] == "ready" else (internal["time"] - started) / duration


def _time_after_renewal(account: Account, customer: Resource, now: int) -> int:
    """Return two hours after the next period end, when the invoice has been charged."""
    renewals = [
        time
        for subscription in account.select("subscription", "customer = ?", customer["id"])
        for time, action in list_upcoming_actions(subscription)
        if action in ("renew", "end_trial", "cancel")
    ]
    if not renewals:
        raise invalid("This customer has no live subscription to renew.", "step")
    return max(min(renewals), now) + 2 * 3600


def _attach_to_clock(account: Account, customer: Resource, clock: str) -> None:
    """Move all objects of the customer to the clock."""
    rows = account.store.fetch_all(
        "SELECT type, id FROM objects WHERE account = ? AND customer = ? "
        "AND type NOT IN ('event', 'checkout.session', 'billing_portal.session')",
        account.id, customer["id"],
    )  # fmt: skip
    for row in rows:
        resource = account.get(row["type"], row["id"])
        if "test_clock" in resource:
            resource["test_clock"] = clock
        else:
            resource["_internal"]["clock"] = clock
        account.save(resource)

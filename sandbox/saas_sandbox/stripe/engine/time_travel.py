"""A clock for a customer who was created without one.

At Stripe only a customer created on a test clock can travel in time. Here any customer can be put
on one later, so that the customers an application creates by itself can be taken through a year.
"""

from saas_sandbox.stripe.engine import periods
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.errors import invalid
from saas_sandbox.stripe.engine.lifecycle import moments
from saas_sandbox.stripe.engine.resource import Resource
from saas_sandbox.stripe.engine.test_clocks import KIND, move_to, new_clock

STEPS = ("day", "week", "month", "year")


def clock_of(account: Account, customer: Resource) -> Resource:
    """The customer's clock; one is made, at the present moment, and takes all that is theirs."""
    if customer["test_clock"]:
        return account.get(KIND, customer["test_clock"])

    clock = account.add(new_clock(account, account.now(), customer["email"]))
    _take_over(account, customer, clock["id"])
    return clock


def advance(account: Account, customer: Resource, step: str, count: int = 1) -> Resource:
    """So many days, weeks, months or years further; "renewal" goes just past the next one."""
    clock = clock_of(account, customer)
    now = clock["frozen_time"]
    if step == "renewal":
        move_to(account, clock, _after_renewal(account, customer, now))
    elif step in STEPS:
        move_to(account, clock, periods.add(now, step, count))
    else:
        raise invalid(f"Invalid step: must be one of {', '.join(STEPS)}, or renewal", "step")
    return clock


def share(clock: Resource) -> float:
    """How much of its present journey a clock has behind it."""
    note = clock["_internal"]
    started = note.get("started", note["time"])
    whole = clock["frozen_time"] - started
    return 1.0 if clock["status"] == "ready" else (note["time"] - started) / whole


def _after_renewal(account: Account, customer: Resource, now: int) -> int:
    """Two hours past the next period end: the draft has been finalized and charged by then."""
    coming = [
        moment
        for subscription in account.select("subscription", "customer = ?", customer["id"])
        for moment, verb in moments(subscription)
        if verb in ("renew", "end_trial", "cancel")
    ]
    if not coming:
        raise invalid("Nothing will renew: this customer has no living subscription.", "step")
    return max(min(coming), now) + 2 * 3600


def _take_over(account: Account, customer: Resource, clock: str) -> None:
    """Everything of the customer's lives in the clock's time from now on."""
    rows = account.store.rows(
        "SELECT type, id FROM objects WHERE account = ? AND customer = ? "
        "AND type NOT IN ('event', 'checkout.session', 'billing_portal.session')",
        account.id, customer["id"],
    )  # fmt: skip
    for row in rows:
        found = account.get(row["type"], row["id"])
        if "test_clock" in found:
            found["test_clock"] = clock
        else:
            found["_internal"]["clock"] = clock
        account.save(found)

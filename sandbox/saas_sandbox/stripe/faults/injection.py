"""Reproducible faults: the same seed causes the same faults.

Every decision depends on the seed, the kind of event, and its number in this account. The third API
call therefore fails in the same way in every run.
"""

import random
from dataclasses import asdict, dataclass, fields
from typing import Any

from saas_sandbox.stripe.engine.account import Account, DeliveryPlan

DELIVERY_FAULTS = ("duplicate", "drop", "delay", "reorder")
CALL_FAULTS = ("slow", "too_many", "broken", "cut", "rubbish")


@dataclass(frozen=True)
class Faults:
    """Rates from 0 (never) to 1 (always), and delays in seconds."""

    seed: int = 0
    duplicate: float = 0
    drop: float = 0
    delay: float = 0
    reorder: float = 0
    delay_seconds: float = 5
    slow: float = 0
    too_many: float = 0
    broken: float = 0
    cut: float = 0
    rubbish: float = 0
    slow_seconds: float = 1

    @property
    def is_off(self) -> bool:
        return not any(getattr(self, name) for name in (*DELIVERY_FAULTS, *CALL_FAULTS))


def get_faults(account: Account) -> Faults:
    known = {field.name for field in fields(Faults)}
    stored = account.settings.get("faults", {})
    return Faults(**{name: value for name, value in stored.items() if name in known})


def set_faults(account: Account, faults: Faults) -> None:
    """Set the faults; counting starts again."""
    account.settings["faults"] = {**asdict(faults), "calls": 0, "deliveries": 0}
    account.save_settings()


def plan_delivery(account: Account) -> DeliveryPlan:
    """Decide how the account's next event is delivered."""
    if "faults" not in account.settings:
        return DeliveryPlan()
    faults = get_faults(account)
    if faults.is_off:
        return DeliveryPlan()

    rng = _seed_rng(account, faults, "deliveries")
    if rng.random() < faults.drop:
        return DeliveryPlan(copies=0, reason="dropped by an injected fault")
    copies, delay, effects = 1, 0.0, []
    if rng.random() < faults.duplicate:
        copies = 2
        effects.append("sent twice")
    if rng.random() < faults.delay:
        delay = faults.delay_seconds
        effects.append(f"delayed by {faults.delay_seconds:g} s")
    if rng.random() < faults.reorder:
        delay += 0.2 + rng.random()
        effects.append("delivered after later events")
    return DeliveryPlan(
        copies, delay, f"{', '.join(effects)} by an injected fault" if effects else ""
    )


def pick_call_fault(account: Account) -> str | None:
    """Return the name of the next API call's fault, or None."""
    faults = get_faults(account)
    if faults.is_off:
        return None

    rng = _seed_rng(account, faults, "calls")
    rolls = {name: rng.random() for name in CALL_FAULTS}
    return next((name for name in CALL_FAULTS if rolls[name] < getattr(faults, name)), None)


def _seed_rng(account: Account, faults: Faults, counter: str) -> random.Random:
    """Return a random generator that depends only on seed, kind and number."""
    stored: dict[str, Any] = account.settings["faults"]
    stored[counter] = stored.get(counter, 0) + 1
    account.save_settings()
    return random.Random(f"{faults.seed}:{counter}:{stored[counter]}")  # noqa: S311 repeatable, not secret

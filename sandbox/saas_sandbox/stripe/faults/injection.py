"""Reproducible faults: the same for the same seed.

Every decision depends on the seed, the kind of event, and its number in this account. So the third
API call fails in the same way in every run.
"""

import random
from dataclasses import asdict, dataclass, fields
from typing import Any

from saas_sandbox.stripe.engine.account import Account, DeliveryPlan

DELIVERY = ("duplicate", "drop", "delay", "reorder")
CALLS = ("slow", "too_many", "broken", "cut", "rubbish")


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
    def is_fair(self) -> bool:
        return not any(getattr(self, name) for name in (*DELIVERY, *CALLS))


def current(account: Account) -> Faults:
    known = {field.name for field in fields(Faults)}
    stored = account.settings.get("chaos", {})
    return Faults(**{name: value for name, value in stored.items() if name in known})


def configure(account: Account, wanted: Faults) -> None:
    """Set the faults; counting starts again."""
    account.settings["chaos"] = {**asdict(wanted), "calls": 0, "deliveries": 0}
    account.save_settings()


def plan_delivery(account: Account) -> DeliveryPlan:
    """Decide how the account's next event is delivered."""
    if "chaos" not in account.settings:
        return DeliveryPlan()
    now = current(account)
    if now.is_fair:
        return DeliveryPlan()

    dice = _dice(account, now, "deliveries")
    if dice.random() < now.drop:
        return DeliveryPlan(copies=0, reason="dropped by an injected fault")
    copies, late, story = 1, 0.0, []
    if dice.random() < now.duplicate:
        copies = 2
        story.append("sent twice")
    if dice.random() < now.delay:
        late = now.delay_seconds
        story.append(f"delayed by {now.delay_seconds:g} s")
    if dice.random() < now.reorder:
        late += 0.2 + dice.random()
        story.append("delivered after later events")
    return DeliveryPlan(copies, late, f"{', '.join(story)} by an injected fault" if story else "")


def pick_for_call(account: Account) -> str | None:
    """Return the name of the next API call's fault, or None."""
    now = current(account)
    if now.is_fair:
        return None

    dice = _dice(account, now, "calls")
    rolls = {name: dice.random() for name in CALLS}
    return next((name for name in CALLS if rolls[name] < getattr(now, name)), None)


def _dice(account: Account, now: Faults, what: str) -> random.Random:
    """Return a random generator that depends only on seed, kind and number."""
    stored: dict[str, Any] = account.settings["chaos"]
    stored[what] = stored.get(what, 0) + 1
    account.save_settings()
    return random.Random(f"{now.seed}:{what}:{stored[what]}")  # noqa: S311 repeatable, not secret

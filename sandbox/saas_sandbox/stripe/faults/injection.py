"""Faults on purpose, and the same faults again for the same seed.

Every decision depends on the seed, on what it is about, and on its number for this account:
the third API call fails in the same way in every run.
"""

import random
from dataclasses import asdict, dataclass, fields
from typing import Any

from saas_sandbox.stripe.engine.account import Account, DeliveryPlan

DELIVERY = ("duplicate", "drop", "delay", "reorder")
CALLS = ("slow", "too_many", "broken", "cut", "rubbish")


@dataclass(frozen=True)
class Faults:
    """Shares from 0 (never) to 1 (always), and how long slow and late are, in seconds."""

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
    """New weather starts counting from one."""
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
        return DeliveryPlan(copies=0, reason="dropped by chaos")
    copies, late, story = 1, 0.0, []
    if dice.random() < now.duplicate:
        copies = 2
        story.append("sent twice")
    if dice.random() < now.delay:
        late = now.delay_seconds
        story.append(f"held back for {now.delay_seconds:g} s")
    if dice.random() < now.reorder:
        late += 0.2 + dice.random()
        story.append("overtaken by later ones")
    return DeliveryPlan(copies, late, f"{', '.join(story)} by chaos" if story else "")


def pick_for_call(account: Account) -> str | None:
    """What befalls the next API call, by name; None for nothing."""
    now = current(account)
    if now.is_fair:
        return None

    dice = _dice(account, now, "calls")
    rolls = {name: dice.random() for name in CALLS}
    return next((name for name in CALLS if rolls[name] < getattr(now, name)), None)


def _dice(account: Account, now: Faults, what: str) -> random.Random:
    """Dice that only this seed, this kind of thing and its number decide."""
    stored: dict[str, Any] = account.settings["chaos"]
    stored[what] = stored.get(what, 0) + 1
    account.save_settings()
    return random.Random(f"{now.seed}:{what}:{stored[what]}")  # noqa: S311 repeatable, not secret

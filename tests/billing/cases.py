"""The cases that billing must handle, row by row. A test claims each clause by naming it.

    @case(15, "an old subscription's `deleted` after the new one started")
    def test_…

`test_cases.py` fails when a clause of the table is claimed by no test.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeVar

Test = TypeVar("Test", bound=Callable[..., Any])

ROWS: dict[int, tuple[str, ...]] = {
    1: ("the same event twice", "in parallel, from two processes"),
    2: ("different events for one subscription in parallel",),
    3: ("any order", "repeats", "omissions"),
    4: ("two events in the same second",),
    5: ("failure at each step", "kill -9 at each step", "emails once"),
    6: ("database down", "Stripe down", "429", "timeout", "401"),
    7: (
        "no signature", "bad signature", "wrong secret", "v0 only", "non-ASCII", "too old",
        "in the future",
    ),
    8: ("two secrets", "two v1"),
    9: (
        "non-UTF-8", "not JSON", "JSON that is no object", "no id", "no data",
        "nested 100k deep", "thin event", "10 MB",
    ),
    10: ("unknown type", "other livemode", "a Connect account's event", "another api_version"),
    11: (
        "unknown customer without metadata", "unknown customer with metadata", "user deleted",
        "metadata absent", "metadata of another user", "same email of two users",
        "a live subscription of a tombstone", "metadata of a lost account",
    ),
    12: ("deleted: true", "404", "the next checkout makes a new one"),
    13: ("the return before the webhook", "no webhook", "a forged or foreign session_id"),
    14: ("already subscribed", "double click", "two tabs", "two customers created at once"),
    15: ("an old subscription's `deleted` after the new one started",),
    16: (
        "complete but unpaid", "async payment succeeded", "async payment failed",
        "expired session", "mode payment or setup",
    ),
    17: (
        "incomplete", "incomplete_expired", "trialing", "past_due", "unpaid", "paused",
        "pause_collection", "an unknown status",
    ),
    18: ("cancel at period end", "cancel_at", "resume", "immediate cancel"),
    19: ("monthly to yearly with proration", "pending update", "scheduled downgrade"),
    20: (
        "a second, older price", "unknown price", "several items", "more than 10 subscriptions",
        "no items", "quantity 0 or none", "items with different periods",
    ),
    21: ("payment failed", "action required", "recovery restores"),
    22: ("invoice.created", "invoice without subscription", "invoice.upcoming without id"),
    23: ("refund", "dispute"),
    24: ("trial_will_end twice",),
    25: ("email changed in Stripe",),
    26: (
        "deleted while subscribed", "with Stripe down", "twice", "racing a webhook",
        "racing an open checkout that is paid afterwards", "killed halfway",
    ),
    27: ("verify shows the drift", "sync --all repairs it", "running it during webhooks"),
    28: ("the clock jumps a year",),
}  # fmt: skip

claimed: dict[tuple[int, str], list[str]] = defaultdict(list)


def case(row: int, *clauses: str) -> Callable[[Test], Test]:
    """Claim these clauses of a row, or all of them."""
    for clause in clauses:
        if clause not in ROWS[row]:
            raise ValueError(f"row {row} has no clause {clause!r}")

    def claim(test: Test) -> Test:
        for clause in clauses or ROWS[row]:
            claimed[row, clause].append(test.__name__)
        return test

    return claim

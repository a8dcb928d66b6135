"""A comparison of all users with Stripe that can be interrupted and resumed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click
from flask import current_app

from saas.billing import gateway
from saas.billing.customers.orphans import Orphan
from saas.billing.operator import reconciliation
from saas.billing.operator.cli import output
from saas.billing.operator.reconciliation import Batch, Drift, SeenUsers

_SUBSCRIPTION = re.compile(r"sub_[A-Za-z0-9_]+")


@dataclass
class Comparison:
    """A run of `command`, the part of the command line after `flask billing`.

    `after` is the subscription at which an earlier run stopped. The counters are those of this run.
    """

    command: str
    after: str | None
    next_invoice: bool = False
    subscriptions: int = 0
    drifts: int = 0
    orphans: int = 0
    calls: int = 0
    _seen: SeenUsers = field(default_factory=SeenUsers)
    _cursor: str | None = None

    def run(
        self,
        per_second: int,
        handle: Callable[[Drift], None],
        report: Callable[[Orphan], None] = lambda _: None,
    ) -> None:
        """Call `handle` with each drift and `report` with each subscription without an account.

        When interrupted, print how to resume, and exit.
        """
        self._load()
        try:
            with gateway.throttled(per_second) as throttle:
                for batch in self._batches():
                    for drift in batch.drifts:
                        self.drifts += 1
                        handle(drift)
                    for orphan in batch.orphans:
                        self.orphans += 1
                        report(orphan)
                    self.subscriptions += batch.checked
                    self._cursor = batch.cursor
        except KeyboardInterrupt:
            self._explain_resuming()
            raise SystemExit(130) from None
        except gateway.StripeError as error:
            raise self._failure(error) from None
        self.calls = throttle.calls
        if self.after:
            _seen_file(self.after).unlink(missing_ok=True)

    def _load(self) -> None:
        """Load the users that the earlier run has seen. Without them, all would seem unlisted."""
        if not self.after:
            return
        if not _SUBSCRIPTION.fullmatch(self.after):
            raise click.UsageError(f"--after {self.after} is not a subscription id (sub_…).")
        try:
            self._seen = SeenUsers.load(_seen_file(self.after))
        except (OSError, ValueError):
            raise click.ClickException(
                f"No run was stopped at {self.after} on this machine. "
                f"Start again with: flask billing {self.command}"
            ) from None
        self._cursor = self.after

    def _batches(self) -> Iterator[Batch]:
        with output.progress("Comparing", reconciliation.count_users()) as advance:
            for batch in reconciliation.compare(
                self._seen, self.after, next_invoice=self.next_invoice
            ):
                yield batch
                advance(batch.checked)

    def _failure(self, error: gateway.StripeError) -> click.ClickException:
        if self.after and self._cursor == self.after and isinstance(error, gateway.NotFound):
            return click.ClickException(f"Stripe has no subscription {self.after}. Omit --after.")
        self._explain_resuming()
        return click.ClickException(f"{gateway.describe(error)}.")

    def _explain_resuming(self) -> None:
        if self._cursor is None:
            return
        self._seen.save(_seen_file(self._cursor))
        name, _, options = self.command.partition(" ")
        resume = f"flask billing {name} --after {self._cursor} {options}".rstrip()
        output.note(f"Stopped. To resume: {resume}")


def _seen_file(cursor: str) -> Path:
    return Path(current_app.instance_path) / "reconciliation" / cursor

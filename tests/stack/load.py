"""`make load`: ten minutes of mixed traffic, one of them with a flood of webhooks.

The flood sends events of many subscribers twice and in random order, while their subscriptions
change at Stripe. Afterwards no request may have failed, memory, descriptors and connections must
be as before, and all columns must equal Stripe's.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException, HTTPSConnection
from pathlib import Path

import psutil

from saas.auth.models import User
from tests.harness import stripe_account
from tests.harness.waiting import eventually
from tests.stack.stack import Stack, running_stack, tls_context
from tests.stack.traffic import Traffic, summary

_SUBSCRIBERS, _SENDERS = 40, 12
_FLOOD = 60  # seconds
_MORE_CONNECTIONS = 16  # until each process has filled its pool
_MORE_DESCRIPTORS = 40  # of database connections and of connections to Stripe
_RETRIES = 600  # seconds
_GROWTH = 1.15  # of memory between the second minute and the end


@dataclass(frozen=True)
class Usage:
    """What the processes of the application hold."""

    megabytes: float
    descriptors: int
    connections: int  # of PostgreSQL

    def __str__(self) -> str:
        return (
            f"{self.megabytes:.0f} MB, {self.descriptors} descriptors, "
            f"{self.connections} database connections"
        )


def main() -> int:
    """Run the traffic, print what happened, and return the exit code."""
    parser = argparse.ArgumentParser(prog="make load", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--events", type=int, default=200, help="webhooks a second in the flood")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="load-") as folder,
        running_stack(Path(folder)) as stack,
    ):
        problems = _run(stack, options.minutes * 60, options.events)
    print("\n".join(problems) or "No request failed, nothing grew, and all columns agree.")
    return int(bool(problems))


def _run(stack: Stack, seconds: float, rate: int) -> list[str]:
    traffic = Traffic(stack, rate=5)
    traffic.start()
    eventually(traffic.is_well, seconds=30)
    subscribers = [
        stripe_account.subscriber(stack.shop, f"load{number}@example.com")
        for number in range(_SUBSCRIBERS)
    ]
    time.sleep(min(120, seconds / 4))
    before = _usage(stack)
    print(f"before:  {before}", flush=True)
    flood = _Flood(stack, subscribers, rate)
    flood.run()
    sent = sum(flood.statuses.values())
    print(f"flood:   {sent} webhooks, {sent / flood.seconds:.0f} a second: "
          f"{dict(flood.statuses)}; at most {flood.longest:.1f} s", flush=True)  # fmt: skip
    time.sleep(max(0.0, seconds * 0.75 - flood.seconds))
    traffic.stop()
    _wait_for_deliveries(stack)
    return [*_problems(stack, traffic, flood, before)]


def _wait_for_deliveries(stack: Stack) -> None:
    """Wait until the sandbox has delivered its own events, whose retries take a few minutes."""
    events = stripe_account.client(stack.shop).v1.events

    def is_done() -> bool:
        latest = events.list({"limit": 100}).data
        return not any(event.pending_webhooks for event in latest)

    eventually(is_done, seconds=_RETRIES)


def _problems(stack: Stack, traffic: Traffic, flood: _Flood, before: Usage) -> Iterator[str]:
    """Print what happened, and yield a sentence for everything that must not."""
    after = _usage(stack)
    print(f"after:   {after}")
    for kind in ("public", "dashboard", "sign-in", "webhook"):
        print(f"{kind + ':':<10} {summary([r for r in traffic.responses if r.kind == kind])}")
    verified = stack.command("billing", "verify")
    print((verified.stdout + verified.stderr).strip())
    if failed := [response for response in traffic.responses if not response.is_good]:
        yield f"{len(failed)} requests failed"
    if set(flood.statuses) - {200}:
        yield f"webhooks failed: {dict(flood.statuses)}"
    if after.megabytes > before.megabytes * _GROWTH:
        yield "memory grew"
    if after.descriptors > before.descriptors + _MORE_DESCRIPTORS:
        yield "descriptors grew"
    if after.connections > before.connections + _MORE_CONNECTIONS:
        yield "database connections grew"
    if verified.returncode:
        yield f"verify: {verified.stdout}"


class _Flood:
    """Senders of signed events, each event twice and in random order, at most at a rate."""

    def __init__(self, stack: Stack, subscribers: list[tuple[User, str]], rate: int) -> None:
        self.stack, self.subscribers, self.rate = stack, subscribers, rate
        self.statuses: Counter[int] = Counter()
        self.longest = 0.0
        self.seconds = 0.0

    def run(self) -> None:
        """Send for a minute, while the subscriptions change at Stripe."""
        began, done = time.monotonic(), threading.Event()
        changes = threading.Thread(target=_change, args=(self.stack, self.subscribers, done))
        senders = [threading.Thread(target=self._send, args=(began,)) for _ in range(_SENDERS)]
        for thread in (changes, *senders):
            thread.start()
        for sender in senders:
            sender.join()
        self.seconds = time.monotonic() - began
        done.set()
        changes.join()

    def _send(self, began: float) -> None:
        connection = HTTPSConnection(
            "localhost", self.stack.port["nginx"], context=tls_context(self.stack), timeout=30
        )
        waiting: list[tuple[str, dict[str, str]]] = []
        chance = random.Random(1)  # noqa: S311 - no secret
        for number in range(self.rate * _FLOOD // _SENDERS // 2):
            if time.monotonic() > began + _FLOOD:
                break
            user, subscription = self.subscribers[number % len(self.subscribers)]
            waiting += [stripe_account.subscription_event(self.stack.shop, user, subscription)] * 2
            chance.shuffle(waiting)
            for _ in range(min(2, len(waiting) - 1)):
                self._post(connection, *waiting.pop())
            time.sleep(max(0.0, began + number * 2 * _SENDERS / self.rate - time.monotonic()))
        connection.close()

    def _post(self, connection: HTTPSConnection, payload: str, headers: dict[str, str]) -> None:
        sent_at, status = time.monotonic(), 0
        try:
            connection.request("POST", "/api/webhooks/stripe", payload, headers)
            response = connection.getresponse()
            response.read()
            status = response.status
        except (OSError, HTTPException):
            connection.close()
        self.statuses[status] += 1
        self.longest = max(self.longest, time.monotonic() - sent_at)


def _change(stack: Stack, subscribers: list[tuple[User, str]], done: threading.Event) -> None:
    """Change subscriptions at Stripe, which sends events of its own about them."""
    at_stripe = stripe_account.client(stack.shop).v1.subscriptions
    number = 0
    while not done.wait(0.5):
        _, subscription = subscribers[number % len(subscribers)]
        at_stripe.update(
            subscription, {"cancel_at_period_end": number // len(subscribers) % 2 == 0}
        )
        number += 1


def _usage(stack: Stack) -> Usage:
    processes: list[psutil.Process] = []
    for name in ("web-a", "web-b", "worker-a", "worker-b"):
        processes += stack.programs[name].family()
    connections = stack.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = 'saas'")
    return Usage(
        sum(process.memory_full_info().uss for process in processes) / 1e6,
        sum(process.num_fds() for process in processes),
        int(connections[0][0]),
    )


if __name__ == "__main__":
    sys.exit(main())

"""Each alert of deploy/prometheus is made to fire by its fault, in a real Prometheus."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from tests.harness.waiting import eventually
from tests.stack import faults
from tests.stack.stack import Stack


@contextmanager
def _no_worker(stack: Stack) -> Iterator[None]:
    for name in ("worker-a", "worker-b"):
        stack.programs[name].stop()
    try:
        yield
    finally:
        for name in ("worker-a", "worker-b"):
            stack.programs[name].start()


@contextmanager
def _drift(stack: Stack) -> Iterator[None]:
    """Change columns by hand, and let the command repair them."""
    stack.execute("UPDATE users SET stripe_cancel_at = now() WHERE stripe_customer_id IS NOT NULL")
    repaired = stack.command("billing", "sync", "--all")
    assert repaired.returncode == 0, repaired.stderr
    yield


ALARMS = {
    "WebhooksFailing": faults.stripe(broken=1),
    "EmailsWaiting": faults.mail_refused,
    "NoWorker": _no_worker,
    "Drift": _drift,
    "Errors": faults.stopped("postgres", signal.SIGINT),
}


def fire(stack: Stack) -> Iterator[str]:
    """Cause each alert under traffic; yield a sentence for each that does not fire."""
    stack.start_prometheus()
    for name, fault in ALARMS.items():
        with fault(stack):
            try:
                eventually(lambda name=name: name in stack.firing(), seconds=90)  # type: ignore[misc]
            except AssertionError:
                yield f"the alert {name} did not fire; firing: {sorted(stack.firing())}"
            else:
                print(f"the alert {name} fired", flush=True)

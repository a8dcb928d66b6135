"""`make chaos`: faults against the running stack under traffic, and what became of it.

For each fault, it prints the status codes and the longest time during the fault, how long it took
afterwards until everything was well again, and whether all promised emails and accepted events are
there. It exits with 1 if anything was lost, failed that must not, or did not recover by itself.
"""

from __future__ import annotations

import argparse
import resource
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.harness.waiting import eventually
from tests.stack import alarms, faults, floods, releases
from tests.stack.stack import Stack, running_stack
from tests.stack.traffic import Traffic, summary

_RECOVERY = 90.0  # seconds in which everything must be well again
_LONGEST = 10.0  # seconds for a public page during any fault
_DELIVERY = 120.0  # seconds in which emails and events must have arrived


@dataclass(frozen=True)
class Fault:
    """A fault that lasts for the block of `happen`."""

    name: str
    happen: Callable[[Stack], object]  # a context manager
    seconds: float = 8.0
    no_failures: bool = False  # a deploy: no request may fail


@contextmanager
def disk_full(stack: Stack) -> Iterator[None]:
    """Let no file of PostgreSQL grow, as on a full disk."""
    server = stack.programs["postgres"]
    try:
        for process in server.family():
            with suppress(psutil.NoSuchProcess):
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (8192, resource.RLIM_INFINITY))
        yield
    finally:
        for process in server.family():
            with suppress(psutil.NoSuchProcess):
                unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, unlimited)
        if not server.runs:
            server.start()  # as systemd does: it stops when it cannot write its log


def kill_connections(stack: Stack) -> None:
    stack.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    )


def end_a_web_worker(number: int) -> Callable[[Stack], None]:
    """Send a signal to one process of a web host."""

    def act(stack: Stack) -> None:
        for process in stack.programs["web-a"].children()[:1]:
            process.send_signal(number)

    return act


def restart_hosts(stack: Stack) -> None:
    for host in ("web-a", "web-b"):
        stack.restart(host)


def migrate_twice(stack: Stack) -> None:
    """Run two migrations at once, down and up."""
    down = stack.command("db", "downgrade", "saas@-1")
    assert down.returncode == 0, down.stderr
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(stack.command("db", "upgrade")))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.returncode for result in results] == [0, 0], [r.stderr for r in results]


FAULTS = (
    Fault("nothing", faults.once(lambda _: None), 5, no_failures=True),
    Fault("PostgreSQL stopped", faults.stopped("postgres", signal.SIGINT)),
    Fault("PostgreSQL frozen", faults.frozen("postgres"), 15),
    Fault("PostgreSQL's connections killed", faults.once(kill_connections), 2),
    Fault("Redis stopped", faults.stopped("redis"), 15),
    Fault("Redis frozen", faults.frozen("redis"), 15),
    Fault("Stripe slow (3 s)", faults.stripe(slow=1, slow_seconds=3)),
    Fault("Stripe frozen", faults.frozen("sandbox"), 15),
    Fault("Stripe answers 500", faults.stripe(broken=1)),
    Fault("Stripe answers rubbish", faults.stripe(rubbish=1)),
    Fault("the mail server refuses", faults.mail_refused, 20, no_failures=True),
    Fault("the mail server hangs", faults.mail_hanging, 20, no_failures=True),
    Fault("a web process: SIGTERM", faults.once(end_a_web_worker(signal.SIGTERM)), 5),
    Fault("a web process: SIGKILL", faults.once(end_a_web_worker(signal.SIGKILL)), 5),
    Fault("a web host: SIGTERM", faults.stopped("web-b"), 5),
    Fault("a web host: SIGKILL", faults.stopped("web-b", signal.SIGKILL), 5),
    Fault("a worker: SIGTERM", faults.stopped("worker-b"), 5, no_failures=True),
    Fault("a worker: SIGKILL", faults.stopped("worker-b", signal.SIGKILL), 5, no_failures=True),
    Fault("all web hosts restarted", faults.once(restart_hosts), 5, no_failures=True),
    Fault("a release with a migration", releases.released, 5, no_failures=True),
    Fault("two migrations at once", faults.once(migrate_twice), 2),
    Fault("PostgreSQL's disk is full", disk_full, 8),
    Fault("300 slow connections", floods.slow_connections, 15, no_failures=True),
    Fault("50,000 requests for a page", faults.once(floods.many_requests), 1, no_failures=True),
)


def main() -> int:
    """Run the faults, print a line for each, and return the exit code."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--only", default="", help="part of the names of the faults to run")
    only = parser.parse_args().only
    with (
        tempfile.TemporaryDirectory(prefix="chaos-") as folder,
        running_stack(Path(folder)) as stack,
    ):
        traffic = Traffic(stack)
        traffic.start()
        eventually(traffic.is_well, seconds=30)
        periods: dict[Fault, tuple[float, float]] = {}
        problems = [
            problem
            for fault in FAULTS
            if only in fault.name
            for problem in _run(fault, stack, traffic, periods)
        ]
        if only in "alarms":
            problems += alarms.fire(stack)
        traffic.stop()
        problems += _judge(traffic, periods)
        problems += _final_problems(stack)
    print("\n".join(problems) or "Nothing was lost, and everything recovered by itself.")
    return int(bool(problems))


def _run(
    fault: Fault, stack: Stack, traffic: Traffic, periods: dict[Fault, tuple[float, float]]
) -> Iterator[str]:
    began = time.monotonic()
    promised, accepted = len(traffic.promised), len(traffic.accepted)
    try:
        with fault.happen(stack):  # type: ignore[attr-defined]  # a context manager
            time.sleep(fault.seconds)
    except Exception as error:
        yield f"{fault.name}: {type(error).__name__}: {error}"
    ended = time.monotonic()
    recovered = _wait(traffic.is_well, _RECOVERY)
    during = [response for response in traffic.since(began) if response.at < ended]
    arrived = _wait(lambda: not _missing(stack, traffic), _DELIVERY)
    emails, events = len(traffic.promised) - promised, len(traffic.accepted) - accepted
    print(f"{fault.name}")
    for kind in ("public", "dashboard", "sign-in", "webhook"):
        print(f"    {kind:<10} {summary([item for item in during if item.kind == kind])}")
    well = "never" if recovered is None else f"{max(recovered - 2.5, 0):.0f} s"
    late = "some" if arrived is None else "all"
    print(
        f"    well again after {well}; {emails} emails, {events} events, {late} there", flush=True
    )
    periods[fault] = began, ended
    if recovered is None:
        yield f"{fault.name}: did not recover"
    if arrived is None:
        yield f"{fault.name}: missing: {_missing(stack, traffic)}"


def _judge(traffic: Traffic, periods: dict[Fault, tuple[float, float]]) -> Iterator[str]:
    """Yield a sentence for each fault whose requests failed, however late."""
    for fault, (began, ended) in periods.items():
        during = [response for response in traffic.since(began) if response.at < ended]
        if fault.no_failures and any(not response.is_good for response in during):
            yield f"{fault.name}: requests failed"
        public = [item for item in during if item.kind == "public"]
        if any(not item.is_good or item.seconds > _LONGEST for item in public):
            yield f"{fault.name}: public pages failed"


def _missing(stack: Stack, traffic: Traffic) -> str:
    """Return which promised emails and accepted events are not there; "" if none."""
    emails = traffic.promised - stack.mail.received.keys()
    with suppress(Exception):
        applied = {
            row[0]
            for row in stack.execute("SELECT id FROM stripe_events WHERE processed_at IS NOT NULL")
        }
        events = traffic.accepted - applied
        return f"{len(emails)} emails, {len(events)} events" if emails or events else ""
    return "the database does not answer"


def _final_problems(stack: Stack) -> Iterator[str]:
    """Yield what is wrong at the end: drift, or programs that had to be started again."""
    verified = stack.command("billing", "verify")
    print((verified.stdout + verified.stderr).strip())
    if verified.returncode:
        yield f"flask billing verify: {verified.stdout}{verified.stderr}"
    for name, program in stack.programs.items():
        if not program.runs:
            yield f"{name} has ended: {program.log.read_text(errors='replace')[-500:]}"


def _wait(condition: Callable[[], bool], seconds: float) -> float | None:
    """Return the seconds until a condition was true, or None."""
    began = time.monotonic()
    while time.monotonic() < began + seconds:
        if condition():
            return time.monotonic() - began
        time.sleep(0.25)
    return None


if __name__ == "__main__":
    sys.exit(main())

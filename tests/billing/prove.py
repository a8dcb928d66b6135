"""`make prove`: thousands of scenarios, and every order of events with one event repeated.

Takes an hour or two on two cores. Progress is saved after each piece, so that an interrupted run
resumes. When the code of `saas/` or of these tests changes, it starts from the beginning. A failing
scenario is printed as a list of steps, and the command exits with 1.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import logging
import multiprocessing
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, seed, settings

from tests.billing import test_event_order
from tests.billing.simulation import scenarios, world
from tests.billing.simulation.recording import record
from tests.billing.simulation.world import World
from tests.harness.apps import migrate

ROOT = Path(__file__).parents[2]
NOTES = ROOT / "instance" / "prove.json"
LIVES_AT_ONCE = 50
ORDERS_AT_ONCE = 500

Piece = tuple[str, str | int]


def main() -> int:
    """Run the remaining pieces, and return the exit code."""
    given_ = _arguments()
    code = _code()
    notes = _read_notes(code)
    left = [piece for piece in pieces(given_.lives, given_.orders) if str(piece) not in notes]
    print(f"{len(notes)} pieces are proven, {len(left)} are left.", flush=True)
    started_at, failed = time.monotonic(), False
    with multiprocessing.get_context("spawn").Pool(given_.jobs, maxtasksperchild=10) as pool:
        for number, (piece, failure) in enumerate(pool.imap_unordered(prove, left), start=1):
            if failure:
                failed = True
                print(f"\n{piece} failed:\n{failure}", flush=True)
                continue
            notes.add(str(piece))
            _write_notes(code, notes)
            _print_progress(number, len(left), time.monotonic() - started_at)
    print("\nNot proven." if failed else "\nProven.")
    return int(failed)


def pieces(lives: int, orders: int) -> Iterator[Piece]:
    """Yield the pieces to prove; each takes some seconds."""
    for name in test_event_order.STANDARD:
        yield "every order", name
    for number in range(-(-orders // ORDERS_AT_ONCE)):
        yield "longer orders", number
    for number in range(-(-lives // LIVES_AT_ONCE)):
        yield "lives", number


def prove(piece: Piece) -> tuple[Piece, str]:
    """Run a piece in a new world, and return it with a traceback, or "" if it passed."""
    kind, what = piece
    logging.disable()  # thousands of warnings about intended failures are of no use
    try:
        with tempfile.TemporaryDirectory() as folder:
            url = f"sqlite:///{folder}/app.db"
            migrate(url)
            with world.in_memory(url) as both_sides:
                {"lives": _lives, "every order": _orders, "longer orders": _longer}[kind](
                    both_sides, what
                )
    except BaseException:
        return piece, traceback.format_exc()
    return piece, ""


def _lives(both_sides: World, number: Any) -> None:
    @seed(number)
    @settings(
        max_examples=LIVES_AT_ONCE,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(scenario=scenarios.SCENARIOS)
    def live(scenario: list[scenarios.Step]) -> None:
        scenarios.run_scenario(both_sides, scenario)

    live()


def _orders(both_sides: World, name: Any) -> None:
    """Every order, with each event repeated at every place."""
    with both_sides.app.app_context():
        recording = test_event_order.record_standard(both_sides, name)
        for again in range(len(recording.moments)):
            for order in set(itertools.permutations([*range(len(recording.moments)), again])):
                test_event_order.plays_to_the_end(recording, order)


def _longer(both_sides: World, number: Any) -> None:
    names = sorted(test_event_order.LONGER)
    before, then = test_event_order.LONGER[names[number % len(names)]]
    chance = random.Random(number)  # noqa: S311 - the same orders in every run
    with both_sides.app.app_context():
        recording = record(both_sides, before, *then)
        for _ in range(ORDERS_AT_ONCE):
            order = test_event_order.some_order_of(len(recording.moments), chance)
            test_event_order.plays_to_the_end(recording, order)


def _code() -> str:
    """Return a digest of the code under test and of these tests."""
    digest = hashlib.sha256()
    for path in sorted([*(ROOT / "saas").rglob("*.py"), *Path(__file__).parent.rglob("*.py")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _read_notes(code: str) -> set[str]:
    if not NOTES.exists():
        return set()
    notes = json.loads(NOTES.read_text())
    if notes["code"] != code:
        print("The code has changed since the last time: starting from the beginning.")
        return set()
    return set(notes["done"])


def _write_notes(code: str, result: set[str]) -> None:
    NOTES.parent.mkdir(exist_ok=True)
    draft = NOTES.with_suffix(".draft")
    draft.write_text(json.dumps({"code": code, "done": sorted(result)}))
    draft.replace(NOTES)


def _print_progress(number: int, of: int, seconds: float) -> None:
    left = seconds / number * (of - number) / 60
    sys.stdout.write(f"\r{number} of {of}, about {left:.0f} minutes left   ")
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make prove", description=__doc__)
    parser.add_argument("--lives", type=int, default=20_000)
    parser.add_argument("--orders", type=int, default=1_000, help="orders of longer lives")
    parser.add_argument("--jobs", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

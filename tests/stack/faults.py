"""Faults of the stack, as context managers: they last for the block."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.stack.stack import Stack


def frozen(name: str) -> Callable[[Stack], object]:
    """Stop the processes of a program without ending them: it accepts and never answers."""

    @contextmanager
    def happen(stack: Stack) -> Iterator[None]:
        stack.programs[name].send(signal.SIGSTOP)
        try:
            yield
        finally:
            stack.programs[name].send(signal.SIGCONT)

    return happen


def stopped(name: str, number: int = signal.SIGTERM) -> Callable[[Stack], object]:
    """End a program, and start it again after the block."""

    @contextmanager
    def happen(stack: Stack) -> Iterator[None]:
        stack.programs[name].stop(number)
        try:
            yield
        finally:
            stack.restart(name)

    return happen


def once(act: Callable[[Stack], object]) -> Callable[[Stack], object]:
    """Do something at the beginning of the block."""

    @contextmanager
    def happen(stack: Stack) -> Iterator[None]:
        act(stack)
        yield

    return happen


def stripe(**faults: float) -> Callable[[Stack], object]:
    """Let the sandbox misbehave."""

    @contextmanager
    def happen(stack: Stack) -> Iterator[None]:
        stack.set_stripe_faults(**faults)
        try:
            yield
        finally:
            stack.set_stripe_faults()

    return happen


@contextmanager
def mail_refused(stack: Stack) -> Iterator[None]:
    stack.mail.refuses = True
    try:
        yield
    finally:
        stack.mail.refuses = False


@contextmanager
def mail_hanging(stack: Stack) -> Iterator[None]:
    stack.mail.delay = 60
    try:
        yield
    finally:
        stack.mail.delay = 0

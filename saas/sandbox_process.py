"""The sandbox for commands: use a running one, or start it for the duration of a command."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar
from urllib.parse import urlsplit

import click
import requests
from flask import current_app

from saas import http

Args = ParamSpec("Args")
T = TypeVar("T")

_TIMEOUT = 20.0  # seconds for the sandbox to start on a slow machine


def requires_sandbox(command: Callable[Args, T]) -> Callable[Args, T]:
    """Keep a sandbox running during a command that calls Stripe or sends email, if it is in use."""

    @wraps(command)
    def with_sandbox(*args: Args.args, **kwargs: Args.kwargs) -> T:
        with sandbox():
            return command(*args, **kwargs)

    return with_sandbox


@contextmanager
def sandbox() -> Iterator[None]:
    """Ensure that the sandbox at `SANDBOX_URL` is running; do nothing if it is not in use."""
    url = current_app.config["SANDBOX_URL"]
    if not url or is_up(url):
        yield
        return
    process = _start(url)
    try:
        _wait(url, process)
        yield
    finally:
        process.terminate()
        process.wait()


def is_up(url: str) -> bool:
    """Return whether a sandbox answers at this URL."""
    try:
        return http.request("GET", f"{url}/healthz", timeout=2).ok
    except requests.RequestException:
        return False


def _start(url: str) -> subprocess.Popen[bytes]:
    parts = urlsplit(url)
    if not http.is_loopback(parts.hostname):
        raise click.ClickException(f"The sandbox at {url} does not answer.")
    data = Path(current_app.instance_path) / "sandbox.db"
    return subprocess.Popen(  # noqa: S603 - our own command, no shell
        [*command(), "--port", str(parts.port or 80), "--data", str(data)],
        stdout=subprocess.DEVNULL,
        env=os.environ.copy(),
    )


def command() -> list[str]:
    """Return the command that starts the sandbox in a checkout.

    Raises `click.ClickException` if it is missing, as on a server.
    """
    folder = Path(current_app.root_path).parent / "sandbox"
    if not folder.is_dir():
        raise click.ClickException(f"The sandbox is missing: the folder {folder} does not exist.")
    return [sys.executable, str(folder)]


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + _TIMEOUT
    while not is_up(url):
        if process.poll() is not None or time.monotonic() > give_up:
            raise click.ClickException(f"The sandbox could not be started at {url}.")
        time.sleep(0.05)

"""Real `flask worker` processes."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from saas.config import ROOT
from tests.harness.apps import own_env


class Workers:
    """Real `flask worker` processes."""

    def __init__(self, **env: str) -> None:
        self.env = own_env(**env)
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self, count: int = 1) -> None:
        flask = [sys.executable, "-m", "flask", "--app", "tests.harness.wsgi"]
        command = [*flask, "worker", "--workers", "1"]
        for _ in range(count):
            self.running.append(subprocess.Popen(command, cwd=ROOT, env=self.env))

    def kill(self) -> None:
        """Kill all workers with SIGKILL."""
        for worker in self.running:
            worker.kill()
            worker.wait()
        self.running.clear()

    def stop(self) -> list[int]:
        """Stop all workers with SIGTERM, and return their exit codes."""
        for worker in self.running:
            worker.send_signal(signal.SIGTERM)
        codes = [worker.wait(timeout=30) for worker in self.running]
        self.running.clear()
        return codes


@contextmanager
def workers(**env: str) -> Iterator[Workers]:
    crew = Workers(**env)
    try:
        yield crew
    finally:
        crew.kill()

"""Programs of the stack: started, stopped, frozen and killed with all their processes."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil


def find(name: str) -> str:
    """Return the path of a program, also of PostgreSQL's, which Debian keeps out of PATH."""
    if found := shutil.which(name):
        return found
    for path in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True):
        return str(path)
    sys.exit(f"{name} is not installed. On Debian: apt-get install postgresql redis nginx-light")


class Program:
    """A program with its log. It can be started again after it has ended."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        env: Mapping[str, str],
        cwd: Path,
    ) -> None:
        self.name, self.command, self.env, self.cwd = name, list(command), dict(env), cwd
        self.log = folder / f"{name}.log"
        self.process: psutil.Popen | None = None

    def start(self) -> None:
        """Start the program."""
        with self.log.open("ab") as log:
            self.process = psutil.Popen(
                self.command, cwd=self.cwd, env=self.env, stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def family(self) -> list[psutil.Process]:
        """Return the main process and its children."""
        if not self.runs or self.process is None:
            return []
        return [self.process, *self.process.children(recursive=True)]

    def children(self) -> list[psutil.Process]:
        return self.family()[1:]

    def send(self, number: int) -> None:
        """Send a signal to all processes, such as SIGSTOP to freeze them."""
        for process in self.family():
            try:
                process.send_signal(number)
            except psutil.NoSuchProcess:
                continue

    def stop(self, number: int = signal.SIGTERM, seconds: float = 60) -> None:
        """End the program and wait for it."""
        if self.process is None:
            return
        family = self.family()
        if number == signal.SIGKILL:
            self.send(number)
        elif self.runs:
            self.process.send_signal(number)
        _, alive = psutil.wait_procs(family, timeout=seconds)
        for process in alive:
            process.kill()
        self.process.wait()

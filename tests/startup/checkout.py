"""A checkout of the project, and `bin/start` in it: its output and its exit code."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from saas.config import ROOT
from tests.harness.waiting import eventually

READY = "Stop with Ctrl-C."
_KEPT_OUT = shutil.ignore_patterns(
    ".git", ".venv", "node_modules", "instance", "tests", "docs", "__pycache__", ".*_cache"
)


def copy_project(folder: Path) -> Path:
    shutil.copytree(ROOT, folder, ignore=_KEPT_OUT)
    return folder


def copy_repository(folder: Path) -> Path:
    """Create a Git repository with all committed and uncommitted files, including tests."""
    git = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(git, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    subprocess.run(["git", "init", "-q", str(folder)], check=True)  # noqa: S607 - Git, from the PATH
    return folder


def plain_env(home: Path, **env: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", **env}


class StartProcess:
    """A running `bin/start`."""

    def __init__(
        self, checkout: Path, env: dict[str, str], before: Sequence[str] = (), **options: Any
    ) -> None:
        self.lines: list[str] = []
        command = [*before, sys.executable, "-E", str(checkout / "bin" / "start")]
        self.process = subprocess.Popen(
            command,
            env=env,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, **options},
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.lines.append(line.decode())

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def wait_for(self, sentence: str) -> None:
        """Wait until it has printed this, or has ended."""
        eventually(lambda: sentence in self.output or self.process.poll() is not None, seconds=90)
        if sentence != READY:
            self.process.wait(timeout=30)

    def end(self, number: int = signal.SIGINT) -> int:
        """Send a signal if it still runs, and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(timeout=30)
        self._reader.join(timeout=30)
        if self.process.stdout:
            self.process.stdout.close()
        return code


def is_free(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0

"""A fresh checkout, started by its own command, in a real browser."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from saas.config import ROOT
from tests.harness.servers import free_port
from tests.harness.waiting import eventually


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(20_000)
    yield context.new_page()
    context.close()


@pytest.fixture
def plain(chromium: Browser) -> Iterator[BrowserContext]:
    """A browser without JavaScript, on a phone."""
    context = chromium.new_context(
        viewport={"width": 390, "height": 844}, java_script_enabled=False
    )
    context.set_default_timeout(20_000)
    yield context
    context.close()


class RunningProject:
    """The processes of `make serve` (web, worker and sandbox), and their output."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.url = f"http://localhost:{port}"
        self.sandbox = f"http://localhost:{port + 1}"
        self.lines: list[str] = []
        self.process: subprocess.Popen[str]

    def start(self, *arguments: str) -> None:
        kept = ("PATH", "HOME", "LANG", "TMPDIR")
        env = {name: value for name, value in os.environ.items() if name in kept}
        self.process = subprocess.Popen(
            [sys.executable, "bin/start", *arguments], cwd=self.folder, text=True,
            env={**env, "PORT": str(self.port)}, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._listen)
        self._reader.start()
        eventually(self._is_ready, seconds=90)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=30)
        self._reader.join()
        assert self.process.stdout
        self.process.stdout.close()

    def _listen(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line)

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, "".join(self.lines)
        return any("Stop with Ctrl-C" in line for line in self.lines)

    def flask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a `flask` command beside the running processes."""
        kept = ("PATH", "HOME", "LANG", "TMPDIR")
        env = {name: value for name, value in os.environ.items() if name in kept}
        return subprocess.run(
            [sys.executable, "-m", "flask", "--app", "wsgi", *arguments], cwd=self.folder, env=env,
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout as after cloning: only committed and uncommitted files, nothing ignored."""
    folder = tmp_path_factory.mktemp("clone") / "saas-starter"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],  # noqa: S607
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if not name.startswith("tests/") and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def running(checkout: Path) -> Iterator[RunningProject]:
    started = RunningProject(checkout, free_port(2))
    started.start("--serve")
    yield started
    started.stop()

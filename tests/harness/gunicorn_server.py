"""The application as deployed: gunicorn with the project's configuration, in separate processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
import requests

from saas.config import ROOT
from tests.harness.apps import SECRET
from tests.harness.servers import free_port
from tests.harness.waiting import eventually


class GunicornServer:
    """A running server; `log` is the output of its processes."""

    def __init__(
        self,
        url: str,
        process: psutil.Popen,
        log_file: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.url, self.process, self._log_file = url, process, log_file
        self.environment = dict(environment or {})

    @property
    def log(self) -> str:
        return self._log_file.read_text(errors="replace")

    def memory(self) -> int:
        """Return the private memory of all its processes in bytes."""
        family = [self.process, *self.process.children(recursive=True)]
        return sum(process.memory_full_info().uss for process in family)

    def count_connections(self) -> int:
        """Return the number of open connections of its processes."""
        port = int(self.url.rpartition(":")[2])
        return len({
            talk.raddr
            for worker in self.process.children()
            for talk in worker.net_connections("tcp")
            if talk.status == psutil.CONN_ESTABLISHED and talk.laddr.port == port
        })  # fmt: skip

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)


@contextmanager
def running_gunicorn(folder: Path, *options: str, **env: str) -> Iterator[GunicornServer]:
    """Serve the application by gunicorn within the block, with these environment variables."""
    port = free_port()
    url = f"http://localhost:{port}"
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    own = {
        "SAAS_ENV": "test", "SECRET_KEY": SECRET, "JOBS_URL": "inline:", "APP_URL": url,
        "BIND": f"127.0.0.1:{port}", "WEB_CONCURRENCY": "2",
    }  # fmt: skip
    log_file = folder / "server.log"
    with open(log_file, "wb") as log:
        process = psutil.Popen(
            [sys.executable, "-m", "gunicorn", "tests.harness.wsgi:app", *options],
            cwd=ROOT, env={**kept, **own, **env}, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            eventually(lambda: _listens(process, url), seconds=60)
            yield GunicornServer(url, process, log_file, env)
        finally:
            _end(process)


def _listens(process: psutil.Popen, url: str) -> bool:
    assert process.poll() is None, "the server did not start"
    try:
        return requests.get(f"{url}/healthz", timeout=10).ok
    except requests.ConnectionError:
        return False


def _end(process: psutil.Popen) -> None:
    family = [process, *process.children(recursive=True)] if process.poll() is None else []
    for item in family:
        item.kill()
    psutil.wait_procs(family)
    process.wait()

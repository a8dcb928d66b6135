"""A buildpack platform runs the lines of the Procfile as they stand, with its own variables."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from saas import products
from saas.config import ROOT
from tests.deploy.image import SETTINGS, procfile
from tests.harness import postgres
from tests.harness.servers import free_port
from tests.harness.waiting import eventually

BASH = "/bin/bash"  # what buildpacks use; it replaces itself by the only command
GRACE = 30  # seconds between SIGTERM and SIGKILL, on Heroku and Render


@pytest.fixture(scope="module")
def platform(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: str
) -> Iterator[dict[str, str]]:
    """The environment of a release that has run."""
    prices = products.load("product").catalogue.price_variables.values()
    with postgres.database(postgres_server) as url:
        env = {
            **SETTINGS,
            **{name: f"price_{name}" for name in prices},
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(tmp_path_factory.mktemp("home")),
            "PORT": str(free_port()),
            "DATABASE_URL": url.replace("postgresql://", "postgres://"),
            "FLASK_SKIP_DOTENV": "1",
        }
        release = subprocess.run(
            [BASH, "-c", procfile()["release"]],
            cwd=ROOT, env=env, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert release.returncode == 0, release.stderr
        yield env


@contextmanager
def running(kind: str, env: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a line of the Procfile in a shell; platforms send SIGTERM to all of its processes."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [BASH, "-c", procfile()[kind]],
            cwd=ROOT, env=env, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.postgres
def test_the_web_line_serves_on_port_and_ends_on_sigterm(
    platform: dict[str, str], tmp_path: Path
) -> None:
    base = f"http://127.0.0.1:{platform['PORT']}"
    with running("web", platform, tmp_path / "log") as web:
        eventually(lambda: answers(web, f"{base}/healthz"), seconds=60)
        elsewhere = requests.get(f"{base}/readyz", headers={"Host": "10.1.2.3"}, timeout=20)
        forwarded = {"Host": "app.example.com", "X-Forwarded-Proto": "https"}
        page = requests.get(f"{base}/pricing", headers=forwarded, timeout=20)
        os.killpg(web.pid, signal.SIGTERM)
        code = web.wait(timeout=GRACE)

    assert elsewhere.json() == {"status": "ready"}
    assert "<h1" in page.text
    assert code == 0


def answers(process: subprocess.Popen[bytes], url: str) -> bool:
    assert process.poll() is None, "the web server has ended"
    try:
        return requests.get(url, timeout=20).ok
    except requests.ConnectionError:
        return False


@pytest.mark.postgres
def test_the_worker_line_works_and_ends_on_sigterm(
    platform: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with running("worker", platform, log) as worker:
        eventually(lambda: "is ready" in log.read_text() or worker.poll() is not None, seconds=60)
        os.killpg(worker.pid, signal.SIGTERM)
        code = worker.wait(timeout=GRACE)

    assert "is ready" in log.read_text()
    assert code == 0

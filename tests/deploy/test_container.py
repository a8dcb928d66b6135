"""The image: what deploy/build makes runs web server, worker and migrations as a container does.

Docker is not needed. The files are built as the Dockerfile says, and its commands are run with its
variables, no HOME and an empty temporary folder.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.deploy.image import SETTINGS, command, services, variables
from tests.harness import postgres
from tests.harness.servers import free_port
from tests.harness.waiting import eventually
from tests.startup.checkout import copy_repository

PAGE = {"Host": "app.example.com", "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1"}


class Image:
    """The files of the image in a folder, and how a container runs a command in them."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        self.folder, self.scratch = folder, scratch
        self.settings: dict[str, str] = {}

    def environment(self) -> dict[str, str]:
        own = {
            name: value.replace("/app/", f"{self.folder}/") for name, value in variables().items()
        }
        own["PATH"] = f"{self.folder}/.venv/bin"  # neither a compiler nor a shell
        return {**own, "TMPDIR": str(self.scratch), **SETTINGS, **self.settings}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.program(arguments[0]), *arguments[1:]],
            cwd=self.folder, env=self.environment(), capture_output=True, text=True, timeout=120,
        )  # fmt: skip

    @contextmanager
    def running(self, arguments: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
        with log.open("wb") as output:
            process = subprocess.Popen(
                [self.program(arguments[0]), *arguments[1:]],
                cwd=self.folder, env=self.environment(), stdout=output, stderr=output,
            )  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def program(self, name: str) -> str:
        return str(shutil.which(name, path=self.environment()["PATH"]) or shutil.which(name))

    def contents(self) -> dict[str, int]:
        return {
            str(path): path.lstat().st_mtime_ns
            for path in self.folder.rglob("*")
            if not path.is_symlink()
        }


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    folder = tmp_path_factory.mktemp("image")
    copy_repository(folder)
    shutil.rmtree(folder / ".git")
    env = {
        **os.environ,
        "CC": "false",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    build = [str(folder / "deploy/build"), str(folder)]
    result = subprocess.run(build, env=env, capture_output=True, text=True)
    if "No matching distribution" in result.stderr or "ConnectionError" in result.stderr:
        pytest.skip("packages cannot be downloaded here")
    assert result.returncode == 0, result.stderr
    return Image(folder, tmp_path_factory.mktemp("tmp"))


@pytest.fixture(scope="module")
def migrated(image: Image, postgres_server: str) -> Iterator[Image]:
    """The image with a database, after the `migrate` service."""
    with postgres.database(postgres_server) as url:
        image.settings["DATABASE_URL"] = url
        prices = image.run(
            "python", "-c",
            "from saas import products\n"
            "print(*products.load('product').catalogue.price_variables.values())",
        )  # fmt: skip
        image.settings.update({name: f"price_{name}" for name in prices.stdout.split()})
        _, shell, script = services()["migrate"]["command"].partition("sh -c ")
        result = image.run("sh", "-c", script.strip('"'))
        assert shell
        assert result.returncode == 0, result.stderr
        assert "No problems found." in result.stdout
        yield image


@pytest.mark.postgres
def test_web_and_worker_run_from_the_image(migrated: Image, tmp_path: Path) -> None:
    port = free_port()
    migrated.settings["PORT"] = str(port)
    before = migrated.contents()
    worker_command = services()["worker"]["command"].split()
    with (
        migrated.running(command("CMD"), tmp_path / "web.log") as web,
        migrated.running(worker_command, tmp_path / "worker.log") as worker,
    ):
        eventually(lambda: migrated.run(*command("HEALTHCHECK")).returncode == 0, seconds=60)
        ready = eventually(lambda: get(port, "/readyz"), seconds=60)
        page = get(port, "/pricing", **PAGE)
        eventually(lambda: "is ready" in (tmp_path / "worker.log").read_text(), seconds=60)
        for process in (web, worker):
            process.send_signal(signal.SIGTERM)

        assert ready.json() == {"status": "ready"}
        assert "<h1" in page.text
        assert [web.wait(timeout=40), worker.wait(timeout=40)] == [0, 0]
    assert migrated.run(*command("HEALTHCHECK")).returncode != 0
    assert migrated.contents() == before  # works with a read-only root file system


def get(port: int, path: str, **headers: str) -> requests.Response:
    return requests.get(f"http://127.0.0.1:{port}{path}", headers=headers, timeout=20)


def test_the_image_contains_only_what_servers_need(image: Image) -> None:
    names = {path.name for path in image.folder.iterdir()}

    assert names.isdisjoint({"sandbox", "tests", "assets", "bench", "bin", "docs", ".git"})
    assert not list(image.folder.glob("*.env")) + list(image.folder.glob(".env"))
    for module in ("saas_sandbox", "tests", "pytest", "playwright"):
        assert f"No module named '{module}'" in image.run("python", "-c", f"import {module}").stderr

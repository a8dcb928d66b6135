"""When `make run` ends, its processes end too; remaining ones are named at the next start."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import termios
from pathlib import Path

import pytest

from tests.harness.servers import free_port
from tests.harness.waiting import eventually
from tests.startup.checkout import READY, StartProcess, copy_project, is_free, plain_env


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_project(tmp_path_factory.mktemp("ending") / "checkout")


@pytest.mark.parametrize("way", ["SIGTERM", "SIGKILL", "closed terminal"])
def test_web_worker_and_sandbox_end_with_the_start(way: str, checkout: Path) -> None:
    port = free_port(2)
    terminal, inside = os.openpty()
    start = StartProcess(
        checkout, plain_env(checkout, PORT=str(port)), stdin=inside, stdout=inside, stderr=inside,
        preexec_fn=lambda: fcntl.ioctl(inside, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(inside)
    message = b""
    while READY.encode() not in message:
        message += os.read(terminal, 4096)
    assert not is_free(port)

    if way == "closed terminal":
        os.close(terminal)
    else:
        start.process.send_signal(getattr(signal, way))

    start.process.wait(timeout=30)
    eventually(lambda: is_free(port) and is_free(port + 1), seconds=30)
    eventually(lambda: _nothing_lives(checkout), seconds=30)
    if way != "closed terminal":
        os.close(terminal)
    start.end()


def _nothing_lives(checkout: Path) -> bool:
    """Return whether no process runs: each holds the lock as long as it runs."""
    with (checkout / "instance" / "running.lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


def test_processes_of_an_earlier_run_are_distinguished_from_other_programs(tmp_path: Path) -> None:
    checkout = copy_project(tmp_path / "checkout")
    (checkout / "instance").mkdir()
    gone = subprocess.Popen(["true"])  # noqa: S607
    gone.wait()
    with (checkout / "instance" / "running.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        left = subprocess.Popen(["sleep", "60"], pass_fds=[lock.fileno()])  # noqa: S607
        lock.write(f"{gone.pid} {left.pid}")

    start = StartProcess(checkout, plain_env(tmp_path, PORT=str(free_port(2))))
    start.wait_for("was killed")
    code = start.end()
    left.kill()
    left.wait()

    assert code == 1
    assert f"processes remain. Stop them: kill {left.pid}\n" in start.output

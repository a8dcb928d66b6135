"""The first run in environments that have caused failures, and the outcome of each."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests

from tests.harness.servers import free_port
from tests.startup.checkout import READY, StartProcess, copy_project, is_free, plain_env


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with demo data, in a folder whose name breaks shells and ConfigParser."""
    folder = tmp_path_factory.mktemp("odd") / 'it\'s 100% "odd" $HOME é' / ("long" * 30)
    checkout = copy_project(folder)
    start = StartProcess(checkout, plain_env(folder, PORT=str(free_port(2))))
    start.wait_for(READY)
    assert start.end() == 0, start.output
    return checkout


@dataclass
class Row:
    """An environment, and the expected sentence."""

    id: str
    env: dict[str, str] = field(default_factory=dict)
    sentence: str = READY
    before: tuple[str, ...] = ()  # a command that changes more than variables


_SHELL = ("sh", "-c")
_NO_SHARED_MEMORY = 'mount -t tmpfs -o ro,size=1 none /dev/shm; exec "$@"'
STARTS = [
    Row("proxy", {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9",
                  "ALL_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}),
    Row("netrc", {"NETRC": "{home}/netrc"}),
    Row("Flask, Werkzeug, gunicorn", {
        "FLASK_SKIP_DOTENV": "1", "FLASK_APP": "other", "FLASK_DEBUG": "1", "FLASK_RUN_PORT": "1",
        "FLASK_ENV": "production", "FLASK_RUN_HOST": "192.0.2.1", "FLASK_RUN_CERT": "adhoc",
        "FLASK_WORKER_WORKERS": "0", "WERKZEUG_RUN_MAIN": "true", "WERKZEUG_SERVER_FD": "9",
        "GUNICORN_CMD_ARGS": "--no-such-option", "BIND": "192.0.2.1:1",
    }),
    Row("Python", {
        "PYTHONPATH": "/nonexistent", "PYTHONHOME": "/nonexistent", "PYTHONWARNINGS": "error",
        "PYTHONSTARTUP": "/nonexistent", "PYTHONSAFEPATH": "1", "PYTHONIOENCODING": "ascii",
        "PYTHONHASHSEED": "x", "VIRTUAL_ENV": "/nonexistent", "CONDA_PREFIX": "/nonexistent",
    }),
    Row("LANG=C, read-only HOME, umask 077", {"LANG": "C", "LC_ALL": "C", "HOME": "/proc"},
        before=(*_SHELL, 'umask 077; exec "$@"', "sh")),
    Row("unknown locale and time zone, no HOME, no TMPDIR, no stdin",
        {"LC_ALL": "xx_XX", "TZ": "Nowhere/At", "HOME": "/nonexistent", "TMPDIR": "/nonexistent"},
        before=(*_SHELL, 'exec "$@" <&-', "sh")),
    Row("no /dev/shm", before=("unshare", "--mount", *_SHELL, _NO_SHARED_MEMORY, "sh")),
]  # fmt: skip
REFUSALS = [
    Row("privileged port", {"PORT": "080"}, "PORT must be a number from 1024 to 65534"),
    Row("endless port", {"PORT": "9" * 5000}, "PORT must be a number from 1024 to 65534"),
    Row("concurrency", {"WEB_CONCURRENCY": "many"}, "WEB_CONCURRENCY must be a whole number"),
    Row("another project's database", {"DATABASE_URL": "mysql://db/app"}, "DATABASE_URL: must be"),
    Row("another project's environment", {"SAAS_ENV": "staging"}, "SAAS_ENV: must be development"),
]


def _can_unshare() -> bool:
    command = ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/dev/shm"]  # noqa: S108
    return (
        bool(shutil.which("unshare"))
        and not subprocess.run(command, stderr=subprocess.DEVNULL).returncode
    )


@pytest.mark.parametrize("row", [*STARTS, *REFUSALS], ids=lambda row: row.id)
def test_an_environment_starts_or_is_explained_in_a_sentence(
    row: Row, prepared: Path, tmp_path: Path
) -> None:
    if "unshare" in row.before and not _can_unshare():
        pytest.skip("mounting is not allowed here")
    netrc = tmp_path / "netrc"
    netrc.write_text("default login someone password else\n")
    netrc.chmod(0o600)
    port = free_port(2)
    changes = {name: value.format(home=tmp_path) for name, value in row.env.items()}

    start = StartProcess(
        prepared, plain_env(tmp_path, **{"PORT": str(port), **changes}), row.before
    )
    start.wait_for(row.sentence)
    code = start.end(signal.SIGINT)

    assert row.sentence in start.output
    assert "Traceback" not in start.output
    assert code == (0 if row.sentence == READY else 1)
    assert is_free(port)
    assert (prepared / "instance").stat().st_mode & 0o077 == 0, "it holds secrets"


@pytest.fixture(params=["127.0.0.1", "::1", "0.0.0.0", "::"])  # noqa: S104
def taken(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    """A port on which another program listens."""
    host = request.param
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as other:
        if family == socket.AF_INET6:
            other.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            other.bind((host, 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
        other.listen()
        yield {"::": "::1", "0.0.0.0": "127.0.0.1"}.get(host, host), other.getsockname()[1]  # noqa: S104


def test_a_port_taken_on_ipv4_or_ipv6_is_named(taken: tuple[str, int], prepared: Path) -> None:
    host, port = taken

    start = StartProcess(prepared, plain_env(prepared, PORT=str(port)))

    start.wait_for("is in use")
    assert start.end() == 1
    assert f"Port {port}, for the application, is in use by another program" in start.output
    assert f"by another program on {host}." in start.output


def test_an_instance_path_that_is_not_a_folder_is_named(tmp_path: Path) -> None:
    checkout = copy_project(tmp_path / "checkout")
    (checkout / "instance").write_text("")

    start = StartProcess(checkout, plain_env(tmp_path, PORT=str(free_port(2))))

    start.wait_for("Cannot write")
    assert start.end() == 1
    assert f"Cannot write to the folder {checkout / 'instance'}" in start.output


def test_settings_of_a_parent_folder_are_ignored(tmp_path: Path) -> None:
    """Flask's own command reads the nearest `.env` of any parent folder."""
    checkout = copy_project(tmp_path / "checkout")
    (tmp_path / ".env").write_text("EMAIL_FROM=Stranger <hello@example.com>\nJOBS_URL=inline:\n")
    port = free_port(2)

    start = StartProcess(checkout, plain_env(tmp_path, PORT=str(port)))
    start.wait_for(READY)
    page = requests.get(f"http://localhost:{port}/privacy", timeout=30).text
    start.end()

    assert "What we store" in page
    assert "Stranger" not in page


def test_a_folder_with_a_colon_is_refused_before_anything_is_created(tmp_path: Path) -> None:
    checkout = copy_project(tmp_path / f"a{os.pathsep}b")

    result = subprocess.run(
        [sys.executable, str(checkout / "bin" / "setup"), "base"],
        capture_output=True, text=True, env=plain_env(tmp_path),
    )  # fmt: skip

    assert "cannot be in a path with a colon" in result.stderr
    assert not (checkout / ".venv").exists()

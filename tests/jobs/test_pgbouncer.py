"""PgBouncer in transaction mode: each transaction may use another server connection."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy.engine import make_url

from tests.harness.servers import free_port, is_listening, serving
from tests.harness.visitor import Visitor
from tests.harness.waiting import eventually
from tests.harness.workers import workers

_SETTINGS = """\
[databases]
* = host={host} port={server_port} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
"""


@contextmanager
def pgbouncer(url: str) -> Iterator[str]:
    """Start PgBouncer, which refuses to run as root, in front of the same database."""
    program = shutil.which("pgbouncer")
    if program is None:
        pytest.skip("pgbouncer is not installed: apt-get install pgbouncer")
    server, port = make_url(url), free_port()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        settings = Path(folder) / "pgbouncer.ini"
        settings.write_text(
            _SETTINGS.format(
                host=server.host, server_port=server.port, user=server.username, port=port
            )
        )
        nobody = 65534 if os.getuid() == 0 else None
        process = subprocess.Popen([program, str(settings)], user=nobody)
        try:
            eventually(lambda: process.poll() is not None or is_listening(port))
            assert process.poll() is None, "it did not start"
            yield server.set(port=port).render_as_string(hide_password=False)
        finally:
            process.terminate()
            process.wait(timeout=20)


@pytest.mark.postgres
@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_pages_jobs_and_emails_work_behind_pgbouncer(
    database_url: str, make_app: Callable[..., Flask], sandbox: str
) -> None:
    with pgbouncer(database_url) as url:
        port = free_port()
        env = {"DATABASE_URL": url, "JOBS_URL": url, "APP_URL": f"http://localhost:{port}"}
        app = make_app(**env)
        with workers(SANDBOX_URL=sandbox, **env) as crew, serving(app, port) as served:
            crew.start(2)
            for number in range(8):  # more often than psycopg's threshold for prepared statements
                visitor = Visitor(served, sandbox)
                visitor.sign_in(f"person{number}@example.com")
                assert visitor.visit("/dashboard/settings").status == 200
                visitor.submit("/dashboard/settings/name", name="Ann")
                visitor.close()
            assert crew.stop() == [0, 0]

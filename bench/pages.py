"""Measure CPU time per request, of the whole process tree, next to bare Flask.

    make bench

This uses gunicorn with two workers and eight busy connections. Machines differ, so compare the
ratios, not the milliseconds.
"""

from __future__ import annotations

import hashlib
import os
import resource
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

REQUESTS, CONNECTIONS = 2000, 8
BARE = """
from flask import Flask
app = Flask("bare")
app.add_url_rule("/", view_func=lambda: "x" * 15_000)
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "bare.py").write_text(BARE)
        env, cookie = prepared(folder)
        floor = cost("bare:app", "/", {}, env, folder)
        print(f"{'bare Flask, 15 KB':<44} {floor:6.2f} ms   1.0")
        for what, path, headers in (
            ("GET / anonymous", "/", {}),
            ("GET /pricing anonymous", "/pricing", {}),
            ("GET /login", "/login", {}),
            ("GET /dashboard signed in", "/dashboard", {"Cookie": cookie}),
            ("GET /dashboard/billing signed in", "/dashboard/billing", {"Cookie": cookie}),
        ):
            spent = cost("wsgi:app", path, headers, env, str(ROOT))
            print(f"{what:<44} {spent:6.2f} ms {spent / floor:5.1f}")


def prepared(folder: str) -> tuple[dict[str, str], str]:
    """Return an environment with its own database, and the cookie of a signed-in user."""
    own = {
        "SAAS_ENV": "test",
        "SECRET_KEY": secrets.token_urlsafe(48),
        "DATABASE_URL": f"sqlite:///{folder}/app.db",
        "JOBS_URL": "inline:",
    }
    from flask_migrate import upgrade

    from product import product
    from saas import create_app, database
    from saas.auth import accounts
    from saas.auth.models import Session
    from saas.config import from_env

    app = create_app(from_env(own, product))
    token = secrets.token_urlsafe(32)
    with app.app_context():
        upgrade(revision="heads")
        user = accounts.get_or_create("bench@example.com", name="Ben Bench")
        with database.writing() as session:
            session.add(
                Session(
                    token_hash=hashlib.sha256(token.encode()).digest(),
                    user_id=user.id,
                    expires_at=database.now() + timedelta(days=1),
                )
            )
    signer = app.session_interface.get_signing_serializer(app)  # type: ignore[attr-defined]
    # Like a browser after its first page: the cookie contains the form token and stays the same.
    seen = {"_user_id": token, "_fresh": True, "csrf_token": secrets.token_hex(20)}
    cookie = f"session={signer.dumps(seen)}"
    return {**os.environ, **own, "PYTHONPATH": str(ROOT)}, cookie


def cost(
    application: str, path: str, headers: dict[str, str], env: dict[str, str], folder: str
) -> float:
    """Return milliseconds of CPU per request, without startup and shutdown."""
    idle = spent_by(application, path, headers, env, folder, requests=CONNECTIONS)
    busy = spent_by(application, path, headers, env, folder, requests=REQUESTS)
    return (busy - idle) / (REQUESTS - CONNECTIONS) * 1000


def spent_by(
    application: str,
    path: str,
    headers: dict[str, str],
    env: dict[str, str],
    folder: str,
    requests: int,
) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with serving(application, env, folder) as port, ThreadPoolExecutor(CONNECTIONS) as pool:
        share = requests // CONNECTIONS
        list(pool.map(lambda _: ask(port, path, headers, share), range(CONNECTIONS)))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)


def ask(port: int, path: str, headers: dict[str, str], times: int) -> None:
    connection = HTTPConnection("127.0.0.1", port)
    for _ in range(times):
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise SystemExit(f"{path} answered {answer.status}")
    connection.close()


@contextmanager
def serving(application: str, env: dict[str, str], folder: str) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "gunicorn", "--config", str(ROOT / "gunicorn.conf.py")]
    server = subprocess.Popen(
        [*command, "--bind", f"127.0.0.1:{port}", "--log-level", "error", application],
        env=env,
        cwd=folder,
    )
    try:
        wait_for(port)
        yield port
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


def wait_for(port: int) -> None:
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return


if __name__ == "__main__":
    main()

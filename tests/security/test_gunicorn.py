"""Tests that need a real server: request sizes, logs and shutdown."""

from __future__ import annotations

import json
import re
import socket
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from tests.harness.gunicorn_server import GunicornServer, running_gunicorn
from tests.harness.visitor import Visitor
from tests.harness.waiting import eventually

MEGABYTE = 1024 * 1024
_LINK = re.compile(r"/auth/link/([^\s\"?]+)")


def test_oversized_bodies_are_4xx_in_limited_memory(
    tmp_path: Path, database_url: str, sandbox: str
) -> None:
    fields = "&".join(f"f{number}=x" for number in range(100_000))
    parts = "".join(
        f'--x\r\nContent-Disposition: form-data; name="f{number}"\r\n\r\nx\r\n'
        for number in range(2_000)
    )
    bodies = {
        "50 MB": (b"email=" + b"a" * 50 * MEGABYTE, "application/x-www-form-urlencoded"),
        "50 MB in parts": (b"a" * 50 * MEGABYTE, "multipart/form-data; boundary=x"),
        "100k fields": (fields.encode(), "application/x-www-form-urlencoded"),
        "2000 parts": (f"{parts}--x--\r\n".encode(), "multipart/form-data; boundary=x"),
        "deep JSON": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "application/json"),
        "deep lists": (b"[" * 100_000 + b"]" * 100_000, "application/json"),
        "bad UTF-8": (b"email=\xff\xfe&next=\xed\xa0\x80", "application/x-www-form-urlencoded"),
    }
    env = {"DATABASE_URL": database_url, "SANDBOX_URL": sandbox}
    with running_gunicorn(tmp_path, **env) as server:
        visitor = Visitor(server.url)
        visitor.visit("/login")
        token = visitor.page.form("/login").fields["csrf_token"]
        refuse_all(visitor, token, bodies)
        before = server.memory()

        refuse_all(visitor, token, bodies)
        refuse_all(visitor, token, bodies)

        assert server.memory() - before < 25 * MEGABYTE
        assert visitor.request("GET", "/healthz").ok
        visitor.close()
        assert "Traceback" not in server.log


def refuse_all(visitor: Visitor, token: str, bodies: dict[str, tuple[bytes, str]]) -> None:
    for name, (body, kind) in bodies.items():
        assert refused(visitor, token, body, kind), name
        assert refused(visitor, "", body, kind), name


def refused(visitor: Visitor, token: str, body: bytes, kind: str) -> bool:
    headers = {"Content-Type": kind, "X-CSRFToken": token}
    try:
        response = visitor.request("POST", "/login", data=body, headers=headers)
    except (
        requests.ConnectionError
    ):  # responded and closed the connection before all of it was sent
        return True
    return 400 <= response.status_code < 500


@pytest.mark.parametrize(
    "request_line",
    [
        b"BREW /login HTTP/1.1",
        b"GET /static/../../setup.cfg HTTP/1.1",
        b"GET /static/%2e%2e/%2e%2e/setup.cfg HTTP/1.1",
        b"GET /static/..%5c..%5csetup.cfg HTTP/1.1",
        b"GET /static//etc/passwd HTTP/1.1",
        b"GET /auth/link/%00%ff HTTP/1.1",
        b"GET /dashboard/../../etc/passwd HTTP/1.1",
    ],
)
def test_malformed_requests_are_refused_and_break_nothing(
    request_line: bytes, server: GunicornServer
) -> None:
    status, body = raw(server.url, request_line)

    assert 300 <= status < 500  # two slashes redirect to one
    assert b"root:" not in body
    assert b"[metadata]" not in body


def raw(url: str, request_line: bytes) -> tuple[int, bytes]:
    """Send a raw request, which no client normalizes."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as line:
        line.sendall(request_line + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        response = b"".join(iter(lambda: line.recv(65536), b""))
    return int(response.split()[1]), response


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path, sandbox: str) -> object:
    folder = tmp_path_factory.mktemp("served")
    (folder / "app.db").write_bytes(migrated_sqlite.read_bytes())
    env = {"DATABASE_URL": f"sqlite:///{folder}/app.db", "SANDBOX_URL": sandbox}
    with running_gunicorn(folder, "--access-logfile", "-", **env) as started:
        yield started


def test_no_log_contains_a_token_a_code_or_an_email(server: GunicornServer, sandbox: str) -> None:
    """The complete output of the processes, with gunicorn's access log enabled."""
    visitor = Visitor(server.url, sandbox)
    visitor.sign_in("quiet@example.com")
    (mail,) = visitor.emails_to("quiet@example.com")
    visitor.visit("/dashboard")
    visitor.visit("/auth/link/tampered-with-and-still-secret")
    session = visitor.cookie
    visitor.close()

    eventually(lambda: "GET /dashboard" in server.log)
    message = server.log
    match = _LINK.search(mail["text"])
    code = re.search(r"\b(\d{3}) ?(\d{3})\b", mail["text"])
    assert match
    assert code
    for secret in (match[1], "tampered-with-and-still-secret", session, "quiet@example.com"):
        assert secret not in message
    assert "".join(code.groups()) not in message
    assert "POST /auth/link/" in message


def test_a_log_record_is_one_line_for_any_request(server: GunicornServer) -> None:
    raw(server.url, b"GET /nowhere%0a%7b%22level%22:%22error%22%7d%0d HTTP/1.1")

    eventually(lambda: "nowhere" in server.log)
    assert not [line for line in server.log.splitlines() if line.startswith('{"level":"error"')]
    for line in server.log.splitlines():
        if line.startswith("{"):
            json.loads(line)


def test_sigterm_finishes_the_requests_in_progress(
    tmp_path: Path, database_url: str, sandbox: str
) -> None:
    """SIGTERM while eight requests wait for the database: they finish, and new ones are refused."""
    with running_gunicorn(tmp_path, DATABASE_URL=database_url, SANDBOX_URL=sandbox) as server:
        visitors = [Visitor(server.url) for _ in range(8)]
        for visitor in visitors:
            visitor.browser.headers["Connection"] = "close"
            visitor.visit("/login")

        with locked(database_url), ThreadPoolExecutor(8) as pool:
            asked = [
                pool.submit(
                    item.submit, "/login", follow=False, email=f"flying{number}@example.com"
                )
                for number, item in enumerate(visitors)
            ]
            eventually(lambda: server.count_connections() == len(asked))
            server.terminate()
            eventually(lambda: "Handling signal: term" in server.log)
            release(database_url)
            responses = [item.result().status for item in asked]

        assert responses == [303] * 8
        assert server.process.wait(timeout=40) == 0
        for visitor in visitors:
            visitor.close()


@contextmanager
def locked(database_url: str) -> Iterator[None]:
    """Hold the database's write lock until `release`."""
    _holders[database_url] = sqlite3.connect(
        database_url.removeprefix("sqlite:///"), isolation_level=None, check_same_thread=False
    )
    _holders[database_url].execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        release(database_url)


def release(database_url: str) -> None:
    if holder := _holders.pop(database_url, None):
        holder.rollback()
        holder.close()


_holders: dict[str, sqlite3.Connection] = {}

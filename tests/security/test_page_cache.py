"""Cached public pages depend only on configuration, not on the first request."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.harness.gunicorn_server import GunicornServer, running_gunicorn
from tests.harness.nginx import nginx
from tests.harness.waiting import eventually

EVIL = "evil.example"
PAGES = (
    "/", "/pricing", "/terms", "/site.webmanifest", "/robots.txt", "/sitemap.xml", "/brand.css",
    "/api/openapi.json",
)  # fmt: skip
FIRST = {
    "SCRIPT_NAME": ("//evil.example/", f"SCRIPT_NAME: //{EVIL}"),
    "Script-Name": ("/", f"Script-Name: //{EVIL}\r\nX-Script-Name: //{EVIL}"),
    "PATH_INFO": ("/", f"PATH_INFO: //{EVIL}/"),
    "a prefix": ("/", f"X-Forwarded-Prefix: //{EVIL}"),
    "a forwarded host": ("/", f"X-Forwarded-Host: {EVIL}\r\nX-Host: {EVIL}"),
    "a forwarded server": ("/", f"X-Forwarded-Server: {EVIL}\r\nX-Forwarded-Port: 666"),
    "a forwarded scheme": ("/", "X-Forwarded-Proto: gopher\r\nX-Forwarded-Scheme: gopher"),
    "Forwarded": ("/", f'Forwarded: for=1.2.3.4;host="{EVIL}";proto=gopher'),
    "a rewritten URL": ("/", f"X-Original-URL: //{EVIL}/\r\nX-Rewrite-URL: //{EVIL}/"),
    "another method": ("/", "X-HTTP-Method-Override: HEAD"),
    "an absolute URL": (f"http://{EVIL}/", "X-Nothing: at-all"),
    "another host": ("/", f"Host: {EVIL}:666"),
    "no path": (f"//{EVIL}", "X-Nothing: at-all"),
    "a query": (f"/?next=//{EVIL}", "X-Nothing: at-all"),
}


class FrontServer:
    """A server, and its responses when the first request was a usual one."""

    def __init__(self, server: GunicornServer, url: str) -> None:
        self.server, self.url = server, url
        replace_worker(server)
        self.clean = [ask(url, page) for page in PAGES]
        assert all(body.startswith(b"HTTP/1.1 200") for body in self.clean)


@pytest.fixture(scope="module", params=["directly", "through nginx"])
def front(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    migrated_sqlite: Path,
    sandbox: str,
) -> Iterator[FrontServer]:
    """A server that trusts every header, with one worker: its replacement has an empty cache."""
    folder = tmp_path_factory.mktemp("kept")
    (folder / "app.db").write_bytes(migrated_sqlite.read_bytes())
    env = {"DATABASE_URL": f"sqlite:///{folder}/app.db", "SANDBOX_URL": sandbox}
    with running_gunicorn(folder, **env, WEB_CONCURRENCY="1", TRUSTED_PROXIES="1") as started:
        if request.param == "directly":
            yield FrontServer(started, started.url)
        else:
            with nginx(folder, started.url, ("server {", "server { merge_slashes off;")) as url:
                yield FrontServer(started, url)


@pytest.mark.parametrize("first", FIRST)
def test_the_first_request_does_not_affect_other_responses(first: str, front: FrontServer) -> None:
    path, headers = FIRST[first]

    replace_worker(front.server)
    ask(front.url, path, headers)

    assert [ask(front.url, page) for page in PAGES] == front.clean


def replace_worker(server: GunicornServer) -> None:
    """Replace the worker by one that has served nothing yet."""
    (old,) = server.process.children()
    old.kill()
    eventually(
        lambda: [process.pid for process in server.process.children()] not in ([], [old.pid])
    )


def ask(url: str, path: str, headers: str = "X-Nothing: at-all") -> bytes:
    """Return the response, without the parts that differ each time."""
    parts = urlsplit(url)
    host = "" if headers.startswith("Host:") else "Host: localhost\r\n"
    message = f"GET {path} HTTP/1.1\r\n{host}{headers}\r\nConnection: close\r\n\r\n"
    with socket.create_connection((parts.hostname, parts.port or 80), timeout=20) as line:
        line.sendall(message.encode())
        response = b"".join(iter(lambda: line.recv(65536), b""))
    return b"\r\n".join(
        line
        for line in response.split(b"\r\n")
        if not line.startswith((b"Date:", b"X-Request-Id:"))
    )


def test_a_url_prefix_in_the_environment_is_refused_at_start(tmp_path: Path, sandbox: str) -> None:
    with (
        pytest.raises(AssertionError, match="did not start"),
        running_gunicorn(tmp_path, SCRIPT_NAME="/x"),
    ):
        pass

    assert "SCRIPT_NAME: is not supported" in (tmp_path / "server.log").read_text()


def test_a_url_prefix_from_a_server_is_ignored(app: object) -> None:
    """As a WSGI server other than ours would pass the header."""
    client = app.test_client()  # type: ignore[attr-defined]

    first = client.get("/", environ_overrides={"SCRIPT_NAME": f"//{EVIL}"})

    assert EVIL not in first.text
    assert client.get("/").text == first.text

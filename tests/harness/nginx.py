"""A real nginx in front of the application, with the configuration of deploy/debian/nginx.conf."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from saas.config import ROOT
from tests.harness.servers import free_port, is_listening
from tests.harness.waiting import eventually

_MAIN = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{}}
http {{
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    {server}
}}
"""


@contextmanager
def nginx(folder: Path, upstream: str, *changes: tuple[str, str]) -> Iterator[str]:
    """Let nginx forward to a server, and yield its URL. `changes` edit the configuration."""
    program = shutil.which("nginx")
    if program is None:
        pytest.skip("nginx is not installed: apt-get install nginx-light")
    port = free_port()
    conf = folder / "nginx.conf"
    conf.write_text(_MAIN.format(folder=folder, server=_server(folder, port, upstream, changes)))
    command = [program, "-p", str(folder), "-e", f"{folder}/error.log", "-c", str(conf)]
    process = subprocess.Popen(command)
    try:
        eventually(lambda: process.poll() is not None or is_listening(port))
        assert process.poll() is None, (folder / "error.log").read_text()
        yield f"http://localhost:{port}"
    finally:
        process.terminate()
        process.wait(timeout=20)


def _server(folder: Path, port: int, upstream: str, changes: tuple[tuple[str, str], ...]) -> str:
    """Return the recommended server block, without certificate and with paths of this test."""
    text = (ROOT / "deploy/debian/nginx.conf").read_text()
    text, _, _ = text.partition("server {\n    listen 80;")
    text = re.sub(r"listen 443 ssl;", f"listen 127.0.0.1:{port};", text)
    text = re.sub(r"server_name .*|ssl_certificate.*", "", text)
    text = text.replace("/var/log/nginx", str(folder))
    host = upstream.removeprefix("http://").replace("localhost", "127.0.0.1")
    text = text.replace("127.0.0.1:5000", host)
    for before, after in (("Host $host", "Host $http_host"), *changes):
        assert before in text, before
        text = text.replace(before, after)
    return text

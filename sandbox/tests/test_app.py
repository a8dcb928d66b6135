"""The sandbox as a process: its front page, its headers, its command."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner
from flask import Flask
from saas_sandbox.cli import sandbox

from .conftest import KEY, Browser

ROOT = Path(__file__).parents[1]


def test_the_front_page_lists_the_services(browser: Browser) -> None:
    page = browser.get("/").text

    assert "http://sandbox.test/stripe" in page
    assert 'href="/mail"' in page
    assert browser.get("/healthz").text == "ok\n"


@pytest.mark.parametrize("path", ["/", "/mail", "/stripe/checkout/unknown", "/healthz"])
def test_every_page_has_a_strict_content_policy(browser: Browser, path: str) -> None:
    headers = browser.get(path).headers

    assert headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'")
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_a_form_of_another_site_is_refused(app: Flask) -> None:
    response = app.test_client().post(
        "/stripe/checkout/x", base_url="http://sandbox.test", headers={"Origin": "http://evil.test"}
    )

    assert response.status_code == 403


def test_the_sandbox_refuses_production(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SAAS_ENV", "production")

    result = CliRunner().invoke(sandbox, ["--data", str(tmp_path / "s.db")])

    assert result.exit_code == 1
    assert result.output == "Error: The sandbox does not run in production.\n"


def test_a_taken_port_is_reported_in_a_sentence(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]

        result = CliRunner().invoke(
            sandbox, ["--port", str(port), "--data", str(tmp_path / "s.db")], env={"SAAS_ENV": ""}
        )

    assert result.exit_code == 1
    assert f"Port {port} is in use" in result.output


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_the_command_serves_until_it_is_stopped(tmp_path: Path, stop: int) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    code = "from saas_sandbox.cli import sandbox; sandbox()"
    command: list[Any] = [sys.executable, "-W", "error", "-c", code, "--port", str(port)]
    env = {**os.environ, "PYTHONUNBUFFERED": "1", "SAAS_ENV": "development"}

    process = subprocess.Popen(  # noqa: S603 our own command
        [*command, "--data", tmp_path / "s.db"],
        cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout
        assert f"http://127.0.0.1:{port}" in process.stdout.readline()
        response = requests.get(
            f"http://127.0.0.1:{port}/stripe/v1/customers", auth=(KEY, ""), timeout=10
        )
        process.send_signal(stop)
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
        process.communicate()

    assert response.json()["data"] == []
    assert process.returncode == 0
    assert errors == ""

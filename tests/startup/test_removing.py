"""docs/removing.md: what is left runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import requests

from tests.conftest import free_port
from tests.startup.harness import READY, Start, copy_project, plain_env


def test_without_the_sandbox_the_application_starts_with_real_keys(tmp_path: Path) -> None:
    checkout = copy_project(tmp_path / "checkout")
    shutil.rmtree(checkout / "sandbox")
    lines = (checkout / "Procfile.dev").read_text("utf-8").splitlines()
    kept = [line for line in lines if not line.startswith("sandbox:")]
    (checkout / "Procfile.dev").write_text("\n".join(kept) + "\n", "utf-8")
    keys = "STRIPE_API_KEY=sk_test_ofyourown\nSMTP_URL=smtp://127.0.0.1:2525\n"
    (checkout / ".env").write_text(keys, "utf-8")
    port = free_port(2)

    start = Start(checkout, plain_env(tmp_path, PORT=str(port)))
    start.wait_for(READY)
    page = requests.get(f"http://localhost:{port}/login", timeout=30)
    code = start.end()

    assert code in (0, 130), start.output
    assert page.status_code == 200
    assert "andbox" not in start.output + page.text


def test_without_the_sandbox_and_without_keys_the_start_says_what_is_missing(
    tmp_path: Path,
) -> None:
    checkout = copy_project(tmp_path / "checkout")
    shutil.rmtree(checkout / "sandbox")

    start = Start(checkout, plain_env(tmp_path, PORT=str(free_port(2))))
    start.wait_for("The sandbox is not here")

    assert start.end() == 1
    assert "Traceback" not in start.output

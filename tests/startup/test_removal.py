"""docs/removing.md: the rest works after a removal."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import requests

from tests.harness.apps import own_env
from tests.harness.servers import free_port
from tests.startup.checkout import READY, StartProcess, copy_project, plain_env
from tests.startup.other_product import without_example


def test_without_the_sandbox_the_application_starts_with_real_keys(tmp_path: Path) -> None:
    checkout = copy_project(tmp_path / "checkout")
    shutil.rmtree(checkout / "sandbox")
    lines = (checkout / "Procfile.dev").read_text("utf-8").splitlines()
    kept = [line for line in lines if not line.startswith("sandbox:")]
    (checkout / "Procfile.dev").write_text("\n".join(kept) + "\n", "utf-8")
    keys = "STRIPE_API_KEY=sk_test_ofyourown\nSMTP_URL=smtp://127.0.0.1:2525\n"
    (checkout / ".env").write_text(keys, "utf-8")
    port = free_port(2)

    start = StartProcess(checkout, plain_env(tmp_path, PORT=str(port)))
    start.wait_for(READY)
    page = requests.get(f"http://localhost:{port}/login", timeout=30)
    code = start.end()

    assert code in (0, 130), start.output
    assert page.status_code == 200
    assert "andbox" not in start.output + page.text


def test_without_the_sandbox_and_keys_the_start_says_what_is_missing(
    tmp_path: Path,
) -> None:
    checkout = copy_project(tmp_path / "checkout")
    shutil.rmtree(checkout / "sandbox")

    start = StartProcess(checkout, plain_env(tmp_path, PORT=str(free_port(2))))
    start.wait_for("The sandbox is not here")

    assert start.end() == 1
    assert "Traceback" not in start.output


def edit(file: Path, pattern: str, replacement: str = "") -> None:
    before = file.read_text("utf-8")
    after = re.sub(pattern, replacement, before, flags=re.M | re.S)
    assert after != before, file
    file.write_text(after, "utf-8")


def test_without_share_cards_the_remaining_tests_pass(tmp_path: Path) -> None:
    project = without_example(tmp_path / "project")
    for folder in ("saas/og", "tests/og", "bench/og", "docs/og"):
        shutil.rmtree(project / folder)
    (project / "docs" / "og.md").unlink()
    edit(project / "saas" / "__init__.py", r" og,(?= site)")
    edit(project / "saas" / "__init__.py", r", og\)", ")")
    edit(project / "setup.cfg", r" \| saas\.og$")
    edit(project / "setup.cfg", r"^    saas\.og\n")
    edit(project / "tests" / "security" / "routes.py", r'^    "GET /api/og"[^\n]*\n')
    edit(project / "tests" / "security" / "openapi.yaml", r"^  /api/og:\n.*?(?=^  /)")

    edit(project / "docs" / "security.md", r"^\|[^\n]*`og/[^\n]*\n")

    assert_the_rest_works(project)


def test_without_the_admin_pages_the_remaining_tests_pass(tmp_path: Path) -> None:
    project = without_example(tmp_path / "project")
    for folder in ("saas/admin", "templates/admin", "tests/admin"):
        shutil.rmtree(project / folder)
    for name in ("docs/admin.md", "templates/mail/account_viewed.html",
                 "templates/mail/account_viewed.txt"):  # fmt: skip
        (project / name).unlink()
    edit(project / "saas" / "__init__.py", r"\badmin, (?=auth)")
    edit(project / "setup.cfg", r" \| saas\.admin$")
    edit(project / "setup.cfg", r"^    saas\.admin\n")
    edit(project / "tests" / "security" / "routes.py", r'^    "\w+ /admin[^\n]*\n')
    edit(project / "docs" / "security.md", r"^\|[^\n]*`admin/[^\n]*\n")
    edit(project / "docs" / "mails.md", r"^\| `account_viewed`[^\n]*\n")

    assert_the_rest_works(project)


def assert_the_rest_works(project: Path) -> None:
    env = own_env(PYTHONPATH=".:sandbox")
    tests = ["site", "product", "look", "api", "security/test_authorization.py"]
    tests += ["security/test_api.py", "security/test_responses.py", "security/test_docs.py"]
    for command in (
        ["bin/layers"],
        ["-m", "importlinter.cli", "--no-cache"],
        ["-m", "mypy"],
        ["-m", "pytest", "-n", "2", *(f"tests/{name}" for name in tests)],
    ):
        result = subprocess.run(
            [sys.executable, *command], cwd=project, env=env, capture_output=True, text=True
        )
        assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]

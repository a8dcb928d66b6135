"""Files of the repository for platforms, and files that must never be committed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from saas.billing.operator.provisioning import write_env
from saas.config import ROOT, EnvironmentSchema
from tests.harness.apps import own_env

_READ = re.compile(r"""os\.environ(?:\.get\(|\[)["'](\w+)["']|\$\{?([A-Z][A-Z_]+)""")
# Set by bin/start for its own processes, always refused, or read by other programs.
_INTERNAL = {
    "SANDBOX_PORT", "SCRIPT_NAME", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
    "PROMETHEUS_MULTIPROC_DIR",
}  # fmt: skip


def test_env_example_lists_exactly_the_variables_that_are_read() -> None:
    files = [ROOT / "gunicorn.conf.py", *ROOT.glob("Procfile*"), *(ROOT / "bin").iterdir()]
    files += (ROOT / "saas").rglob("*.py")
    matches = [_READ.findall(file.read_text("utf-8")) for file in files if file.is_file()]
    read = {python or shell for item in matches for python, shell in item}
    known = {*EnvironmentSchema().fields, *read} - _INTERNAL

    described = re.findall(r"^#([A-Z_]+)=", (ROOT / ".env.example").read_text("utf-8"), re.M)

    assert sorted(described) == sorted(known)


@pytest.mark.parametrize(
    ("env", "bind"),
    [
        ({}, "127.0.0.1:5000"),
        ({"PORT": "7350"}, "0.0.0.0:7350"),  # noqa: S104
        ({"PORT": "7350", "BIND": "127.0.0.1:80"}, "127.0.0.1:80"),
    ],
)
def test_the_web_process_listens_where_a_platform_says(env: dict[str, str], bind: str) -> None:
    procfile = (ROOT / "Procfile").read_text("utf-8")
    web = re.search(r"^web: gunicorn (.+)$", procfile, re.M)
    assert web
    result = subprocess.run(
        [sys.executable, "-m", "gunicorn", "--print-config", *web[1].split()],
        cwd=ROOT, env=own_env(SAAS_ENV="test", JOBS_URL="inline:", DATABASE_URL="sqlite:///x.db",
                              **env),
        capture_output=True, text=True,
    )  # fmt: skip

    assert re.search(rf"^bind\s+= \['{re.escape(bind)}'\]$", result.stdout, re.M), result.stdout


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"WEB_CONCURRENCY": "0"}, "WEB_CONCURRENCY must be a whole number from 1 to 1000"),
        ({"PORT": "99999"}, "PORT must be a whole number from 1 to 65535"),
        ({"PORT": "http"}, "PORT must be a whole number"),
        ({"BIND": "6742"}, "BIND must be an IP or host and a port"),
        ({"BIND": "localhost"}, "BIND must be an IP or host and a port"),
        ({"BIND": "127.0.0.1:99999"}, "BIND must be an IP or host and a port"),
    ],
)
def test_an_invalid_bind_address_is_refused_in_a_line(env: dict[str, str], message: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py", "wsgi:app"],
        cwd=ROOT, env=own_env(SAAS_ENV="test", JOBS_URL="inline:", **env),
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert result.returncode == 1
    assert result.stderr.startswith(message)
    assert len(result.stderr.splitlines()) == 1


def test_the_root_has_the_requirements_file_that_platforms_expect() -> None:
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()

    named = [line.removeprefix("-r ") for line in lines if not line.startswith("#")]

    assert named == ["requirements/base.txt"]
    assert (ROOT / named[0]).is_file()


@pytest.mark.parametrize(
    "name", [".env", ".env.draft", "live.env", "live.env.draft", ".env.local", "instance/app.db"]
)
def test_git_ignores_files_with_secrets(name: str, tmp_path: Path) -> None:
    assert _is_ignored(name, tmp_path)
    assert not _is_ignored(".env.example", tmp_path)


def _is_ignored(name: str, folder: Path) -> bool:
    """Return whether the project's .gitignore ignores it, not the machine's."""
    (folder / ".gitignore").write_text((ROOT / ".gitignore").read_text())
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)  # noqa: S607
    command = ["git", "-c", "core.excludesFile=", "check-ignore", "--quiet", name]
    return subprocess.run(command, cwd=folder).returncode == 0


def test_a_draft_with_secrets_is_deleted_after_a_failure(tmp_path: Path) -> None:
    (tmp_path / "live.env").write_text("KEPT=1\n")
    write_env(tmp_path / "live.env", {"STRIPE_WEBHOOK_SECRET": "whsec_1"})
    (tmp_path / "folder.env").mkdir()

    with pytest.raises(OSError, match="directory"):
        write_env(tmp_path / "folder.env", {"STRIPE_WEBHOOK_SECRET": "whsec_1"})

    assert (tmp_path / "live.env").read_text() == "KEPT=1\nSTRIPE_WEBHOOK_SECRET=whsec_1\n"
    assert (tmp_path / "live.env").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.env", "live.env"]

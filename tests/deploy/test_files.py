"""Dockerfile, compose.yaml and the other files name commands and files that exist."""

from __future__ import annotations

import re
import shlex
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from saas.config import ROOT
from tests.deploy.image import command, instructions, procfile, services, variables


def test_the_image_runs_the_commands_of_the_procfile() -> None:
    expected = procfile()

    assert shlex.join(command("CMD")) == expected["web"]
    assert "command" not in services()["web"]
    assert services()["worker"]["command"] == expected["worker"]
    assert expected["release"] in services()["migrate"]["command"]


def test_the_image_is_built_by_the_script_and_by_nothing_else() -> None:
    stages = [value.split()[0] for name, value in instructions() if name == "FROM"]
    runs = [value for name, value in instructions() if name == "RUN"]

    assert runs[0] == "deploy/build /app"
    assert (ROOT / "deploy/build").stat().st_mode & 0o111
    assert len(runs) == 2  # and the user
    assert runs[1].startswith("useradd ")
    assert len(set(stages)) == 1  # the environment contains paths of the interpreter
    assert ("USER", "10001") in instructions()
    assert "--uid 10001" in runs[1]


def test_every_target_uses_the_same_python() -> None:
    version = (ROOT / ".python-version").read_text().strip()

    assert ("FROM", f"python:{version}-slim AS build") in instructions()
    assert re.fullmatch(r"3\.\d+", version)


def test_the_health_check_is_a_file_of_the_image() -> None:
    program, script = command("HEALTHCHECK")

    assert program == "python"
    assert (ROOT / script).is_file()
    assert ("EXPOSE", variables()["PORT"]) in instructions()


@pytest.mark.parametrize("name", ["migrate", "web", "worker"])
def test_our_containers_can_do_little(name: str) -> None:
    service = services()[name]

    assert service["read_only"] is True
    assert service["tmpfs"] == "/tmp"  # noqa: S108 - in the container
    assert service["cap_drop"] == ["ALL"]
    assert service["image"] == "saas"


def test_services_start_in_order() -> None:
    waits = {
        name: {other: how["condition"] for other, how in service.get("depends_on", {}).items()}
        for name, service in services().items()
    }

    assert waits["migrate"] == {"db": "service_healthy"}
    for name in ("web", "worker"):
        assert waits[name]["migrate"] == "service_completed_successfully"
        assert waits[name]["redis"] == "service_healthy"
    assert waits["caddy"] == {"web": "service_healthy"}
    for name in ("db", "redis"):
        assert services()[name]["healthcheck"]["test"]


def test_compose_mounts_files_that_exist() -> None:
    named = [
        volume.partition(":")[0]
        for service in services().values()
        for volume in service.get("volumes", [])
        if volume.startswith("./")
    ]

    assert named
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_caddy_forwards_to_the_port_of_the_image() -> None:
    caddyfile = (ROOT / "deploy/container/Caddyfile").read_text()

    assert f"web:{variables()['PORT']}" in caddyfile
    assert services()["web"]["environment"]["TRUSTED_PROXIES"] == "1"


@pytest.mark.parametrize("name", [".env", "live.env", ".env.draft", ".git", "instance", "sandbox"])
def test_secrets_and_development_do_not_reach_the_image(name: str) -> None:
    patterns = [
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]

    assert any(fnmatch(name, pattern) for pattern in patterns)
    for needed in ("saas", "product", "migrations", "templates", "deploy", "requirements.txt"):
        assert not any(fnmatch(needed, pattern) for pattern in patterns)


@pytest.mark.parametrize("unit", ["saas-web.service", "saas-worker.service"])
def test_the_units_run_the_commands_of_the_procfile(unit: str) -> None:
    text = (ROOT / "deploy/debian" / unit).read_text()
    started = re.search(r"^ExecStart=\S+/([^/\s]+) (.*)$", text, re.M)
    grace = re.search(r"^TimeoutStopSec=(\d+)$", text, re.M)
    kind = unit.removeprefix("saas-").removesuffix(".service")

    assert started
    assert f"{started[1]} {started[2]}" == procfile()[kind]
    assert grace
    assert services()[kind]["stop_grace_period"] == f"{grace[1]}s"


def test_the_installation_copies_files_that_exist() -> None:
    text = (ROOT / "deploy/debian/install").read_text()
    named = set(re.findall(r"\$here/([\w.-]+)", text)) | set(re.findall(r"saas-\w+\.\w+", text))

    assert len(named) == 6
    assert {name for name in named if not (ROOT / "deploy/debian" / name).is_file()} == set()


def test_scripts_for_servers_can_be_executed() -> None:
    scripts = [
        path
        for path in (ROOT / "deploy").rglob("*")
        if path.is_file() and path.read_bytes().startswith(b"#!")
    ]

    assert len(scripts) >= 4
    assert [path for path in scripts if not is_executable(path)] == []


def is_executable(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o111)


def test_the_workflow_runs_targets_that_exist() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    made = [step["run"].removeprefix("make ") for step in steps if "make " in step.get("run", "")]
    used = [step["uses"] for step in steps if "uses" in step]

    assert {"test", "test-product", "migrations"} == set(made) <= set(targets)
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", action) for action in used)


def test_the_page_links_to_each_target() -> None:
    page = (ROOT / "docs/deploy.md").read_text()
    named = re.findall(r"`((?:deploy|tests/deploy|\.github)/[\w./-]+|[A-Z.][\w.-]*file)`", page)

    assert len(named) > 8
    assert [name for name in named if not (ROOT / name.rstrip("/")).exists()] == []

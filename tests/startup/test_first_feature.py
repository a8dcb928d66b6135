"""docs/first-feature.md works: applied to a copy of the project, its tests pass."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from saas.config import ROOT
from tests.harness.apps import own_env
from tests.startup.checkout import copy_repository

_BLOCK = re.compile(r"^```(\w+)(?: title=(\S+))?\n(.*?)^```$", re.M | re.S)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return copy_repository(tmp_path / "project")


def run(project: Path, *command: str, **options: str) -> None:
    env = own_env(SAAS_ENV="test", JOBS_URL="inline:", DATABASE_URL=f"sqlite:///{project}/x.db")
    result = subprocess.run(
        command, cwd=project, env=env, input=options.get("input"), capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]


def test_the_feature_of_the_document_works(project: Path) -> None:
    document = (ROOT / "docs" / "first-feature.md").read_text("utf-8")
    catalogue = (project / "product" / "catalogue.py").read_text("utf-8")
    if '    id="starter",' not in catalogue:
        pytest.skip("the document adds to the plans of a new clone, which are not here")
    python, flask = sys.executable, [sys.executable, "-m", "flask", "--app", "wsgi"]
    run(project, *flask, "db", "upgrade")

    for language, title, body in _BLOCK.findall(document):
        if title:
            file = project / title
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(body, "utf-8")
        elif language == "diff":
            run(project, "git", "apply", "--unsafe-paths", "-", input=body)
        for line in body.splitlines() if language == "console" else ():
            if line.startswith("$ flask db "):
                migrate = re.findall(r'"[^"]*"|\S+', line.removeprefix("$ flask "))
                run(project, *flask, *(word.strip('"') for word in migrate))

    run(project, *flask, "db", "check")
    run(project, python, "-m", "ruff", "check", "product")
    run(project, python, "-m", "ruff", "format", "--check", "product")
    run(project, python, "-m", "mypy")
    run(project, python, "-m", "pytest", "-n", "2", "product")
    run(project, python, "-m", "pytest", "tests/product", "tests/test_catalogue.py")

"""A builder can change everything in `product/` without breaking the starter's tests.

Most tests run on `tests/harness/sample_product` and do not depend on it. The others, which start
`product/`, run here again in a copy with other plans, another brand and no example.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from saas.config import ROOT
from tests.harness.apps import own_env
from tests.harness.chromium import CHROMIUM
from tests.startup.checkout import copy_repository
from tests.startup.other_product import without_example

_THE_PRODUCT_ITSELF = {
    "e2e/conftest.py": "starts what a clone starts",
    "e2e/steps.py": "chooses the first plan that is sold",
    "e2e/test_journey.py": "buys the first plan that is sold",
    "e2e/test_life.py": "lives with the first plan that is sold",
    "look/test_brand.py": "changes the brand of a copy",
    "look/test_look.py": "checks the templates",
    "stack/stack.py": "runs the application of a clone",
    "startup/test_first_feature.py": "follows the document, with the plans of a new clone",
    "startup/test_reload.py": "changes a file of a copy",
    "startup/test_upgrade.py": "upgrades a copy",
    "startup/test_files.py": "starts gunicorn as `Procfile` does",
    "startup/other_product.py": "replaces product/ in a copy",
    "startup/test_other_product.py": "this test",
    "test_migrations.py": "adds a migration to a copy",
    "test_rules.py": "reads the tests in product/",
}


def test_only_these_tests_use_the_product_package() -> None:
    folders = r'(?:ROOT|project|folder) / "product"|"product/'
    knows = re.compile(rf'^ *(?:from|import) product\b|{folders}|"wsgi"|"wsgi:app"', re.M)
    match = {
        str(file.relative_to(ROOT / "tests"))
        for file in (ROOT / "tests").rglob("*.py")
        if knows.search(file.read_text("utf-8"))
    }

    assert match == set(_THE_PRODUCT_ITSELF)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return without_example(tmp_path / "project")


@pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="Chromium is not installed")
def test_with_another_product_the_starter_s_tests_pass(project: Path) -> None:
    files = [f"tests/{name}" for name in _THE_PRODUCT_ITSELF if "test_" in name]
    files = [name for name in files if "other_product" not in name]
    command = [sys.executable, "-m", "pytest", "-n", "2", *files]

    result = subprocess.run(command, cwd=project, env=own_env(), capture_output=True, text=True)

    assert result.returncode == 0, result.stdout[-4000:]


def test_deleting_its_folder_removes_the_example(tmp_path: Path) -> None:
    project = copy_repository(tmp_path / "project")
    shutil.rmtree(project / "product" / "share_cards")
    command = [sys.executable, "-m", "pytest", "tests/e2e/test_journey.py", "tests/product"]

    result = subprocess.run(command, cwd=project, env=own_env(), capture_output=True, text=True)

    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]

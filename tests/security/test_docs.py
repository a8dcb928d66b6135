"""The tests that docs/security.md names exist."""

from __future__ import annotations

import re

from saas.config import ROOT


def test_every_test_that_the_page_names_exists() -> None:
    page = (ROOT / "docs" / "security.md").read_text()
    named = re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", page)

    assert len(named) > 40
    for path, name in named:
        proof = ROOT / "tests" / path.removeprefix("tests/")
        assert proof.is_file(), path
        assert f"def {name}(" in proof.read_text() or not name, f"{path}::{name}"


def test_every_file_of_security_tests_is_named() -> None:
    page = (ROOT / "docs" / "security.md").read_text()
    tests = {f"security/{path.name}" for path in (ROOT / "tests" / "security").glob("test_*.py")}

    assert {test for test in tests if test not in page} == {"security/test_docs.py"}

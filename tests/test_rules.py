"""The rules of CONTRIBUTING.md for tests, read from the tests themselves."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from saas.config import ROOT
from tests.conftest import THOROUGH

OURS = ("saas", "product", "saas_sandbox", "tests")
MOST_LINES = 40
# Names with an underscore that libraries document, or that have no public alternative.
THEIRS = {
    "_asdict": "of named tuples",
    "_replace": "of named tuples",
    "_requestor": "of Stripe's SDK, whose client has no way to close its connections",
    "_client": "of Stripe's SDK, as above",
}
FILES = sorted(
    path
    for pattern in ("tests", "sandbox/tests", "product/tests", "product/*/tests")
    for folder in ROOT.glob(pattern)
    for path in folder.rglob("*.py")
)


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def places(path: Path, lines: Iterator[tuple[int, str]]) -> list[str]:
    return [f"{path.relative_to(ROOT)}:{line} {text}" for line, text in lines]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_tests_use_no_private_names_of_other_modules(path: Path) -> None:
    assert places(path, private_names(parse(path))) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_tests_replace_none_of_our_functions(path: Path) -> None:
    assert places(path, replacements(parse(path))) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_tests_import_nothing_from_other_tests(path: Path) -> None:
    assert places(path, imports_of_tests(parse(path))) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_functions_of_tests_are_short(path: Path) -> None:
    assert places(path, long_functions(parse(path))) == []


def test_every_thorough_test_exists() -> None:
    for prefix in THOROUGH:
        file, _, name = prefix.partition("::")
        path = ROOT / "tests" / file
        assert path.exists(), prefix
        assert not name or f"def {name}" in path.read_text(), prefix


SAMPLE = """
from unittest import mock
from saas import jobs
from saas.mail.outbox import _claim
from tests.test_helpers import slow

def test_something(monkeypatch):
    jobs._daily
    self._own, cls._own, queue.__class__, point._replace(x=1)
    monkeypatch.setattr(jobs, "now", 1)
    monkeypatch.setattr("saas.jobs.time.sleep", print)
    monkeypatch.setitem(jobs.TASKS, "a", print)
    monkeypatch.setattr(time, "sleep", print)
    monkeypatch.setenv("saas", "1")
    jobs.LIMIT = 3
    mock.patch("saas.jobs.now")
    with patch.object(jobs, "now"): ...
"""


def test_the_rules_detect_violations() -> None:
    tree = ast.parse(SAMPLE + "    ...\n" * 30)

    assert [line for line, _ in private_names(tree)] == [4, 8]
    assert sorted(line for line, _ in replacements(tree)) == [10, 11, 12, 15, 16, 17]
    assert [line for line, _ in imports_of_tests(tree)] == [5]
    assert [text for _, text in long_functions(tree)] == ["test_something has 41 lines"]


def private_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Return imports and attributes with one leading underscore, except of `self` and `cls`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and _is_ours(node.module or "", node.level):
            for alias in node.names:
                if _is_private(alias.name):
                    yield node.lineno, f"imports {alias.name}"
        elif isinstance(node, ast.Attribute) and _is_private(node.attr):
            is_own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            if not is_own and node.attr not in THEIRS:
                yield node.lineno, f"uses {ast.unparse(node)}"


def replacements(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Return calls that patch, and assignments to, members of our modules."""
    imported = _imported_from_us(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _patches(node) and _target_is_ours(node, imported):
            yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.Assign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if isinstance(target, ast.Attribute) and ast.unparse(target.value) in imported:
                    yield node.lineno, ast.unparse(node)


def imports_of_tests(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        module = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
        if module.rpartition(".")[2].startswith("test_"):
            yield node.lineno, f"imports from {module}"


def long_functions(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MOST_LINES:
                yield node.lineno, f"{node.name} has {lines} lines"


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


def _is_ours(module: str, level: int = 0) -> bool:
    return level > 0 or module.partition(".")[0] in OURS


def _imported_from_us(tree: ast.Module) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and _is_ours(node.module or "", node.level):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            ours = [alias for alias in node.names if _is_ours(alias.name)]
            names |= {alias.asname or alias.name.partition(".")[0] for alias in ours}
    return names


def _patches(call: ast.Call) -> bool:
    """`monkeypatch.setattr` and `setitem`, `mock.patch`, `patch.object`, `mocker.patch`."""
    name = ast.unparse(call.func)
    setters = ("setattr", "delattr", "setitem", "delitem")
    return name in {f"monkeypatch.{setter}" for setter in setters} or "patch" in name.split(".")


def _target_is_ours(call: ast.Call, imported: set[str]) -> bool:
    if not call.args:
        return False
    target = call.args[0]
    if isinstance(target, ast.Constant):
        return _is_ours(str(target.value))
    return _root(target) in imported


def _root(node: ast.AST) -> str:
    """Return the first name of an expression such as `jobs.now`."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""

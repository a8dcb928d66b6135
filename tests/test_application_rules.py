"""The rules of CONTRIBUTING.md for the application, read from its source."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from saas.config import ROOT

PACKAGES = ("admin", "auth", "billing", "mail", "og", "users")  # with views and domain modules
VIEWS = (
    "views", "api", "api_token_views", "sign_in_methods", "user_views", "list_views",
)  # fmt: skip
GUARDS = ("saas/auth/sessions.py", "saas/auth/bearer.py", "saas/auth/reauthentication.py",
          "saas/admin/guards.py")  # fmt: skip
# Modules with one table that belongs to no package.
TABLES = ("saas/schedule.py", "saas/limits.py", "saas/schema_state.py", "saas/used_trials.py")
USER_WRITERS = (
    "saas/auth/accounts.py",
    "saas/billing/customers/__init__.py",
    "saas/billing/grants.py",
    "saas/billing/subscriptions/__init__.py",
)
VAGUE = ("utils", "util", "helpers", "common", "misc", "managers", "services", "core")

Rule = Callable[[str, ast.Module], Iterator[tuple[int, str]]]


def is_view(path: str) -> bool:
    is_webhook = path == "saas/billing/webhooks.py"
    return is_webhook or "/views/" in path or Path(path).stem in VIEWS


def environment_is_read(path: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Only `saas.config` reads the environment; the sandbox's process inherits a copy of it."""
    if path.startswith("saas/config/") or path == "saas/sandbox_process.py":
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "os.getenv"):
            yield node.lineno, "reads the environment"


def views_use_the_database(path: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Views contain no queries; they may catch the database's errors."""
    if is_view(path):
        for line, name in imports(tree):
            is_query = name.startswith("sqlalchemy") and not name.startswith("sqlalchemy.exc")
            if name == "saas.database.db" or is_query:
                yield line, f"imports {name}"


def domain_modules_use_the_request(path: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Within packages, only views and the guards of `auth` use the request."""
    is_domain = path.startswith(tuple(f"saas/{name}/" for name in PACKAGES))
    if is_domain and not is_view(path) and path not in GUARDS:
        for line, name in imports(tree):
            if name == "flask.request":
                yield line, "imports flask.request"


def tables_are_elsewhere(path: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """A package's tables are in its `models`."""
    if path in TABLES or Path(path).stem == "models":
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and any(_name(base) == "Model" for base in node.bases):
            yield node.lineno, f"defines the table {node.name}"


def users_are_written_elsewhere(path: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The columns of `users` are written by accounts, customers, subscriptions and grants alone."""
    if path in USER_WRITERS:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node) in (
            "update(User)",
            "update(Subscriber)",
            "database.table(User)",
            "database.table(Subscriber)",
        ):
            yield node.lineno, "writes columns of users"


def names_are_vague(path: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Modules are named after what they hold."""
    if Path(path).stem in VAGUE:
        yield 1, "says nothing by its name"


RULES: tuple[Rule, ...] = (
    environment_is_read,
    views_use_the_database,
    domain_modules_use_the_request,
    tables_are_elsewhere,
    users_are_written_elsewhere,
    names_are_vague,
)

BROKEN = {
    environment_is_read: ("saas/mail/outbox.py", "import os\nos.environ['X']"),
    views_use_the_database: ("saas/users/views.py", "from saas.database import db"),
    domain_modules_use_the_request: ("saas/auth/accounts.py", "from flask import request"),
    tables_are_elsewhere: ("saas/billing/events.py", "class Row(Model): pass"),
    users_are_written_elsewhere: ("saas/auth/roles.py", "update(User).values(role='admin')"),
    names_are_vague: ("saas/auth/helpers.py", ""),
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_application_follows_its_rules(rule: Rule) -> None:
    broken = [
        f"{path}:{line} {text}"
        for path in sorted(str(file.relative_to(ROOT)) for file in sources())
        for line, text in rule(path, ast.parse((ROOT / path).read_text()))
    ]
    assert broken == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_each_rule_detects_a_violation(rule: Rule) -> None:
    path, source = BROKEN[rule]

    assert list(rule(path, ast.parse(source)))


def sources() -> Iterator[Path]:
    for folder in ("saas", "product"):
        for path in (ROOT / folder).rglob("*.py"):
            if "tests" not in path.parts and "migrations" not in path.parts:
                yield path


def imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Return the names that a module imports, such as `flask.request`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def _name(node: ast.AST) -> str:
    return ast.unparse(node).rpartition(".")[2]

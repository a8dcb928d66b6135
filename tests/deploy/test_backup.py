"""A backup during writes is one state of the database, and restoring it revives no session."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from flask import Flask

from saas.auth import accounts
from saas.config import ROOT
from tests.harness import postgres
from tests.harness.apps import both_databases, own_env
from tests.harness.shop import Shop
from tests.harness.waiting import eventually


def script(name: str, *arguments: object, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "deploy" / name), *map(str, arguments)],
        cwd="/", capture_output=True, text=True, timeout=120,
        env={**own_env(SAAS_ENV="test", JOBS_URL="inline:", FLASK_APP="tests.harness.wsgi"),
             "PATH": f"{postgres.programs()}:{os.environ['PATH']}", **env},
    )  # fmt: skip


@pytest.fixture
def new_database(
    request: pytest.FixtureRequest, database_url: str, tmp_path: Path
) -> Iterator[str]:
    """The URL of an empty database of the same kind."""
    if database_url.startswith("sqlite"):
        yield f"sqlite:///{tmp_path}/restored/app.db"
        return
    with postgres.database(request.getfixturevalue("postgres_server")) as url:
        yield url


@contextmanager
def accounts_being_created(app: Flask) -> Iterator[Callable[[], int]]:
    """Create accounts in a thread within the block; yields the number of them so far."""
    stop, created = threading.Event(), list[str]()

    def create() -> None:
        with app.app_context():
            while not stop.is_set():
                email = f"user{len(created)}@example.com"
                accounts.create(email, name=None, role="user", by="operator")
                created.append(email)

    thread = threading.Thread(target=create)
    thread.start()
    try:
        yield lambda: len(created)
    finally:
        stop.set()
        thread.join()


@both_databases
def test_a_backup_during_writes_is_one_state_of_the_database(
    app: Flask, database_url: str, new_database: str, make_app: Callable[..., Flask], tmp_path: Path
) -> None:
    file = tmp_path / "app.backup"
    with accounts_being_created(app) as created:
        eventually(lambda: created() > 20)
        before = created()
        written = script("backup", file, DATABASE_URL=database_url)
        eventually(lambda: created() > before)
        after = created()
    restored = script("restore", file, DATABASE_URL=new_database)

    assert written.returncode == 0, written.stderr
    assert restored.returncode == 0, restored.stderr
    assert "sync --all, adopt-orphans" in restored.stdout
    assert file.stat().st_mode & 0o777 == 0o600
    with make_app(DATABASE_URL=new_database).app_context():
        emails = [user.email for user in accounts.list_all()]
    assert before <= len(emails) <= after
    assert sorted(emails) == sorted(f"user{number}@example.com" for number in range(len(emails)))


@both_databases
def test_restoring_revives_no_session_and_no_sign_in_link(
    shop: Shop, database_url: str, new_database: str, make_app: Callable[..., Flask], tmp_path: Path
) -> None:
    visitor, other = shop.visitor(), shop.visitor()
    visitor.sign_in("ann@example.com")
    other.visit("/login")
    other.submit("/login", email="bob@example.com")
    link = other.link_from_email("bob@example.com")
    script("backup", tmp_path / "app.backup", DATABASE_URL=database_url)

    result = script("restore", tmp_path / "app.backup", DATABASE_URL=new_database)

    before = make_app(DATABASE_URL=database_url, APP_URL=shop.url)
    after = make_app(DATABASE_URL=new_database, APP_URL=shop.url)
    assert "Ended 1 session." in result.stdout
    assert statuses(before, visitor.cookie, link) == [200, 200]
    assert statuses(after, visitor.cookie, link) == [303, 410]


def statuses(app: Flask, cookie: str, link: str) -> list[int]:
    """Return the statuses of a page for signed-in users, and of a sign-in link."""
    signed_in = app.test_client()
    signed_in.set_cookie("session", cookie, domain="localhost")
    dashboard = signed_in.get("/dashboard", base_url=app.config["APP_URL"])
    opened = app.test_client().get(urlsplit(link).path, base_url=app.config["APP_URL"])
    return [dashboard.status_code, opened.status_code]


@both_databases
def test_only_an_empty_database_is_restored_into(
    app: Flask, database_url: str, tmp_path: Path
) -> None:
    script("backup", tmp_path / "app.backup", DATABASE_URL=database_url)

    result = script("restore", tmp_path / "app.backup", DATABASE_URL=database_url)
    again = script("backup", tmp_path / "app.backup", DATABASE_URL=database_url)

    assert result.returncode == 1
    assert result.stderr == ("The database is not empty. Create a new one, and set DATABASE_URL.\n")
    assert again.returncode == 1
    assert again.stderr.endswith("exists. Choose another name.\n")


def test_passwords_are_not_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "pg_dump").write_text('#!/bin/sh\necho "$PGPASSWORD" "$@" >&2\nexit 1\n')
    (tmp_path / "pg_dump").chmod(0o755)

    result = script(
        "backup", tmp_path / "app.backup",
        DATABASE_URL="postgres://ann:hid%40den@db.example:5433/saas?sslmode=require",
        PATH=f"{tmp_path}:{os.environ['PATH']}",
    )  # fmt: skip

    password, _, command = result.stderr.partition(" ")
    assert password == "hid@den"
    assert "hid" not in command
    for part in ("user=ann", "host=db.example", "port=5433", "dbname=saas", "sslmode=require"):
        assert part in command
    assert result.stderr.endswith("pg_dump failed.\n")
    assert not list(tmp_path.glob("app.backup*"))

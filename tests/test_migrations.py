"""Migrations go up and down, match the models, and never empty a table by accident."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from alembic import command
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from flask import Flask
from flask_migrate import Config, downgrade, upgrade
from sqlalchemy import inspect, select, text

from saas import database, migrations
from saas.auth import accounts
from saas.auth.models import Session
from saas.config import ROOT
from saas.database import db
from tests import postgres
from tests.conftest import both_databases, own_env


def _alembic(directory: Path = ROOT / "migrations") -> Config:
    config = Config(str(directory / "alembic.ini"))
    config.set_main_option("script_location", str(directory))
    return config


def _newest() -> str | None:
    return ScriptDirectory.from_config(_alembic()).get_current_head()


@both_databases
def test_migrations_go_up_and_down_and_match_the_models(app: Flask) -> None:
    with app.app_context():
        command.check(_alembic())
        downgrade(revision="base")
        assert set(inspect(db.engine).get_table_names()) == {"alembic_version"}
        upgrade()
        command.check(_alembic())
        assert migrations.state() == "current"


@both_databases
def test_every_constraint_has_a_name(app: Flask) -> None:
    with app.app_context():
        inspector = inspect(db.engine)
        for table in inspector.get_table_names():
            named = [
                *inspector.get_foreign_keys(table),
                *inspector.get_unique_constraints(table),
                *inspector.get_check_constraints(table),
            ]
            assert all(each["name"] for each in named), table
            if table != "alembic_version":
                assert inspector.get_pk_constraint(table)["name"], table


def test_rebuilding_a_parent_table_keeps_the_rows_of_its_children(
    app: Flask, tmp_path: Path
) -> None:
    """Alembic's batch mode drops the old table; with foreign keys on that empties the children."""
    directory = tmp_path / "migrations"
    shutil.copytree(ROOT / "migrations", directory)
    (directory / "versions" / "9999_rebuild.py").write_text(
        "import sqlalchemy as sa\n"
        "from alembic import op\n"
        f"revision, down_revision = '9999', '{_newest()}'\n"
        "def upgrade():\n"
        "    with op.batch_alter_table('users', recreate='always') as batch:\n"
        "        batch.add_column(sa.Column('nickname', sa.String()))\n"
    )
    with app.app_context():
        person = accounts.sign_up("ann@example.com")
        with database.writing() as session:
            session.add(Session(token_hash=b"x", user_id=person.id, expires_at=database.now()))
        database.end_reading()

        upgrade(directory=str(directory))

        assert len(db.session.scalars(select(Session)).all()) == 1
        assert db.session.scalar(text("PRAGMA foreign_keys")) == 1


def test_the_trap_is_real(app: Flask) -> None:
    """The same rebuild with foreign keys on loses the children: what env.py protects from."""
    with app.app_context():
        person = accounts.sign_up("ann@example.com")
        with database.writing() as session:
            session.add(Session(token_hash=b"x", user_id=person.id, expires_at=database.now()))
        with database.writing() as session:
            operations = Operations(MigrationContext.configure(session.connection()))
            with operations.batch_alter_table("users", recreate="always"):
                pass

        assert db.session.scalars(select(Session)).all() == []


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_two_migrations_at_once_wait_for_each_other(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        url = f"sqlite:///{tmp_path}/new.db"
        if kind == "postgres":
            server = request.getfixturevalue("postgres_server")
            url = stack.enter_context(postgres.database(server))
        env = own_env(SAAS_ENV="test", DATABASE_URL=url)
        command_line = [sys.executable, "-m", "flask", "--app", "wsgi", "db", "upgrade"]
        both = [
            subprocess.Popen(command_line, env=env, cwd=ROOT, stderr=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        said = [process.communicate(timeout=60)[1] for process in both]

    assert [process.returncode for process in both] == [0, 0], said


_OPEN_AT_ONCE = """
import multiprocessing, os, sys
from saas import create_app
from saas.config import from_env
from saas.database import db

def connect(barrier, engines):
    for engine in engines:
        barrier.wait()
        engine.connect().close()

engines = []
for number in range(40):
    url = f"sqlite:///{sys.argv[1]}/{number}.db"
    settings = from_env({**os.environ, "SAAS_ENV": "test", "DATABASE_URL": url})
    with create_app(settings).app_context():
        engines.append(db.engine)
fork = multiprocessing.get_context("fork")
barrier = fork.Barrier(4, timeout=20)
children = [fork.Process(target=connect, args=(barrier, engines)) for _ in range(4)]
for child in children:
    child.start()
for child in children:
    child.join()
sys.exit(any(child.exitcode for child in children))
"""


def test_a_new_file_is_opened_by_many_processes_at_once(tmp_path: Path) -> None:
    """SQLite refuses, without waiting, all but one of those that switch a new file to WAL."""
    script = [sys.executable, "-c", _OPEN_AT_ONCE, str(tmp_path)]
    done = subprocess.run(script, env=own_env(), cwd=ROOT, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


def test_a_database_from_a_newer_version_is_told_apart(app: Flask) -> None:
    with app.app_context():
        with database.writing() as session:
            session.execute(text("UPDATE alembic_version SET version_num = 'from-tomorrow'"))

        assert migrations.state() == "newer"
        ready = app.test_client().get("/readyz")

    assert ready.status_code == 503
    assert ready.json == {"status": "unavailable", "migrations": "newer"}


def test_a_database_that_was_never_migrated_is_not_ready(
    make_app: Callable[..., Flask], tmp_path: Path
) -> None:
    app = make_app(DATABASE_URL=f"sqlite:///{tmp_path}/new.db")

    assert app.test_client().get("/readyz").json == {"status": "unavailable", "migrations": "empty"}
    assert app.test_client().get("/healthz").status_code == 200

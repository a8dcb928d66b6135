"""Migrations upgrade and downgrade, match the models, and never empty a table by accident."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from textwrap import dedent, indent

import pytest
from alembic import command
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from flask import Flask, current_app
from flask_migrate import Config, downgrade, upgrade
from sqlalchemy import Uuid, bindparam, inspect, select, text

from saas import database, schema_state
from saas.auth import accounts
from saas.auth.models import Session
from saas.config import ROOT
from saas.database import db
from saas.mail.models import OutboxMessage
from tests.harness import postgres
from tests.harness.apps import both_databases, own_env


def _alembic() -> Config:
    """Return Alembic's settings as in `flask db`; requires an application context."""
    config: Config = current_app.extensions["migrate"].migrate.get_config()
    return config


def _add_revision(folder: Path, name: str, branch: str, upgrade: str) -> None:
    """Write a migration at the end of a branch, into an additional folder of Alembic."""
    folder.mkdir(exist_ok=True)
    before = ScriptDirectory.from_config(_alembic()).get_revision(f"{branch}@head").revision
    (folder / f"{name}.py").write_text(
        "import sqlalchemy as sa\n"
        "from alembic import op\n"
        f"revision, down_revision = {name!r}, {before!r}\n"
        f"def upgrade():\n{indent(dedent(upgrade), '    ')}\n"
    )
    folders = current_app.config["MIGRATIONS"]
    current_app.config["MIGRATIONS"] = tuple(dict.fromkeys([*folders, str(folder)]))


@both_databases
def test_migrations_upgrade_and_downgrade_and_match_the_models(app: Flask) -> None:
    with app.app_context():
        command.check(_alembic())
        downgrade(revision="base")
        assert set(inspect(db.engine).get_table_names()) == {"alembic_version"}
        upgrade(revision="heads")
        command.check(_alembic())
        assert schema_state.state() == "current"


@both_databases
def test_new_migrations_of_starter_and_product_apply_together(app: Flask, tmp_path: Path) -> None:
    with app.app_context():
        for branch in ("saas", "product"):
            table = f"op.create_table('{branch}_things', sa.Column('id', sa.Integer()))"
            _add_revision(tmp_path / "more", f"{branch}_things", branch, table)
        assert schema_state.state() == "behind"
        assert app.test_client().get("/readyz").json == {
            "status": "unavailable",
            "migrations": "behind",
        }
        checked = app.test_cli_runner().invoke(args=["check"], env=own_env())
        assert "Run: flask db upgrade" in checked.output
        database.release_connection()

        upgraded = app.test_cli_runner().invoke(args=["db", "upgrade"])

        assert upgraded.exit_code == 0, upgraded.output
        assert {"saas_things", "product_things"} <= set(inspect(db.engine).get_table_names())
        assert schema_state.state() == "current"


@both_databases
def test_the_database_is_behind_if_one_branch_is_behind(app: Flask, tmp_path: Path) -> None:
    with app.app_context():
        for branch in ("saas", "product"):
            _add_revision(tmp_path / branch, f"{branch}_next", branch, "pass")
            assert schema_state.state() == "behind", branch
            database.release_connection()
            upgrade(revision=f"{branch}@head")
            assert schema_state.state() == "current", branch
            database.release_connection()


ANN = uuid.UUID("0198c000-0000-7000-8000-000000000001")
_AT = datetime(2026, 9, 1)  # noqa: DTZ001 - SQLite stores no zone
ROWS_OF_0_1 = (
    (
        "INSERT INTO users (id, email, created_at, stripe_customer_epoch)"
        " VALUES (:id, 'ann@example.com', :at, 2)"
    ),
    (
        "INSERT INTO outbox_messages (id, key, kind, subject_id, about, created_at, attempts)"
        " VALUES (:id, 'second_refunded:sub_1', 'second_refunded', :id,"
        """ '{"subscription": "sub_1"}', :at, 1)"""
    ),
)


@both_databases
def test_a_database_of_0_1_is_upgraded_by_the_usual_command(app: Flask) -> None:
    """Before 0.2 there was one branch, whose last revision is 0009."""
    with app.app_context():
        downgrade(revision="base")
        upgrade(revision="0009")
        with database.write_transaction() as session:
            for statement in ROWS_OF_0_1:
                typed = text(statement).bindparams(bindparam("id", ANN, Uuid), at=_AT)
                session.execute(typed)
        database.release_connection()
        assert schema_state.state() == "behind"
        database.release_connection()

        upgraded = app.test_cli_runner().invoke(args=["db", "upgrade"])

        assert upgraded.exit_code == 0, upgraded.output
        assert schema_state.state() == "current"
        ann = accounts.get_by_email("ann@example.com")
        assert (ann.id, ann.stripe_customer_generation) == (ANN, 2)
        email = db.session.scalars(select(OutboxMessage)).one()
        assert (email.kind, email.key) == ("duplicate_refunded", "duplicate_refunded:sub_1")
        assert email.context == {"subscription": "sub_1"}


def test_a_new_migration_is_added_to_the_product(tmp_path: Path) -> None:
    """It depends on the starter's newest one, whose tables it may use. None without a change."""
    project = tmp_path / "project"
    parts = ("product", "saas", "migrations", "templates", "wsgi.py", "assets")
    for part in parts:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        project.mkdir(exist_ok=True)
        copy(ROOT / part, project / part)
    env = own_env(SAAS_ENV="test", DATABASE_URL=f"sqlite:///{tmp_path}/new.db")

    def flask_db(*arguments: str) -> str:
        command_line = [sys.executable, "-m", "flask", "--app", "wsgi", "db", *arguments]
        result = subprocess.run(command_line, env=env, cwd=project, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    before = set((project / "product" / "migrations").glob("*.py"))
    flask_db("upgrade")
    assert "no migration was written" in flask_db("migrate", "-m", "Nothing")
    with (project / "product" / "__init__.py").open("a") as views:
        views.write(
            "\n\nfrom saas.database import db\n"
            "from sqlalchemy.orm import Mapped, mapped_column\n"
            "class Link(db.Model):\n"
            "    __tablename__ = 'links'\n"
            "    id: Mapped[int] = mapped_column(primary_key=True)\n"
        )
    flask_db("migrate", "-m", "Links")
    (written,) = set((project / "product" / "migrations").glob("*.py")) - before
    flask_db("upgrade")

    assert "create_table('links'" in written.read_text()
    assert "depends_on = '0" in written.read_text()
    assert "No new upgrade operations" in flask_db("check")


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
            assert all(item["name"] for item in named), table
            if table != "alembic_version":
                assert inspector.get_pk_constraint(table)["name"], table


def test_rebuilding_a_parent_table_keeps_the_rows_of_its_children(
    app: Flask, tmp_path: Path
) -> None:
    """Alembic's batch mode drops the old table; with foreign keys on that empties the children."""
    with app.app_context():
        _add_revision(
            tmp_path / "migrations", "rebuild", "saas",
            """
            with op.batch_alter_table("users", recreate="always") as batch:
                batch.add_column(sa.Column("nickname", sa.String()))
            """,
        )  # fmt: skip
        user = accounts.get_or_create("ann@example.com")
        with database.write_transaction() as session:
            session.add(Session(token_hash=b"x", user_id=user.id, expires_at=database.now()))
        database.release_connection()

        upgrade(revision="heads")

        assert len(db.session.scalars(select(Session)).all()) == 1
        assert db.session.scalar(text("PRAGMA foreign_keys")) == 1


def test_rebuilding_with_foreign_keys_enabled_empties_the_children(app: Flask) -> None:
    """This shows the problem that env.py prevents."""
    with app.app_context():
        user = accounts.get_or_create("ann@example.com")
        with database.write_transaction() as session:
            session.add(Session(token_hash=b"x", user_id=user.id, expires_at=database.now()))
        with database.write_transaction() as session:
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
        output = [process.communicate(timeout=60)[1] for process in both]

    assert [process.returncode for process in both] == [0, 0], output


_OPEN_AT_ONCE = """
import multiprocessing, os, sys
from saas import create_app
from product import product
from saas.config import from_env
from saas.database import db
from saas.mail.models import OutboxMessage

def connect(barrier, engines):
    for engine in engines:
        barrier.wait()
        engine.connect().close()

engines = []
for number in range(40):
    url = f"sqlite:///{sys.argv[1]}/{number}.db"
    settings = from_env({**os.environ, "SAAS_ENV": "test", "DATABASE_URL": url}, product)
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


def test_many_processes_can_open_a_new_file_at_once(tmp_path: Path) -> None:
    """SQLite refuses, without waiting, all but one connection that switch a new file to WAL."""
    script = [sys.executable, "-c", _OPEN_AT_ONCE, str(tmp_path)]
    result = subprocess.run(script, env=own_env(), cwd=ROOT, capture_output=True, text=True)

    assert result.returncode == 0, result.stderr


@both_databases
def test_old_code_stays_ready_on_a_newer_schema_until_a_breaking_migration(app: Flask) -> None:
    client = app.test_client()
    with app.app_context():
        with database.write_transaction() as session:
            session.execute(text("INSERT INTO alembic_version VALUES ('from-tomorrow')"))
        assert schema_state.state() == "ahead"
        assert client.get("/readyz").status_code == 200
        assert app.test_cli_runner().invoke(args=["db", "upgrade"]).exit_code == 0

        with database.write_transaction() as session:
            session.execute(text("INSERT INTO breaking_revisions VALUES ('from-tomorrow')"))
        assert schema_state.state() == "newer"
        ready = client.get("/readyz")

    assert ready.status_code == 503
    assert ready.json == {"status": "unavailable", "migrations": "newer"}


BREAKING = {"drop_column", "drop_table", "rename_table", "drop_constraint"}


def breaking_calls(upgrade: ast.FunctionDef) -> list[str]:
    """Return the operations of a migration that code from before it may not survive."""
    calls = [node for node in ast.walk(upgrade) if isinstance(node, ast.Call)]
    found = []
    for call in calls:
        name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        renames = {"new_column_name", "nullable"} & {item.arg for item in call.keywords}
        if name in BREAKING or (name == "alter_column" and renames):
            found.append(name)
        if name == "add_column" and "nullable=False" in ast.unparse(call):
            found += ["required column"] * ("server_default" not in ast.unparse(call))
    return found


def test_breaking_migrations_say_so() -> None:
    """Before 0013 there was no list, so hosts must be stopped for those."""
    for folder in (ROOT / "migrations" / "versions", ROOT / "product" / "migrations"):
        for path in folder.glob("*.py"):
            if folder.name == "versions" and path.name < "0013":
                continue
            functions = {
                node.name: node
                for node in ast.parse(path.read_text()).body
                if isinstance(node, ast.FunctionDef)
            }
            says_so = "breaking_revisions" in ast.unparse(functions["upgrade"])
            assert says_so or not breaking_calls(functions["upgrade"]), path.name


def test_a_database_that_was_never_migrated_is_not_ready(
    make_app: Callable[..., Flask], tmp_path: Path
) -> None:
    app = make_app(DATABASE_URL=f"sqlite:///{tmp_path}/new.db")

    assert app.test_client().get("/readyz").json == {"status": "unavailable", "migrations": "empty"}
    assert app.test_client().get("/healthz").status_code == 200

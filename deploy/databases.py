"""Shared by deploy/backup and deploy/restore: the database, and PostgreSQL's programs."""

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

from flask.cli import ScriptInfo
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import URL, create_engine, inspect

ROOT = Path(__file__).resolve().parent.parent


def database_url() -> URL:
    """Return the URL of the application's database, with a complete path for SQLite."""
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    app = ScriptInfo().load_app()  # as `flask` does: FLASK_APP, or wsgi.py
    with app.app_context():
        return app.extensions["sqlalchemy"].engine.url


def table_names(url: URL) -> list[str]:
    """Return the names of the tables of a database."""
    engine = create_engine(url)
    try:
        return inspect(engine).get_table_names()
    finally:
        engine.dispose()


def connect_sqlite(path: str | Path, mode: str) -> sqlite3.Connection:
    """Open an SQLite file: `rw` if it must exist, `rwc` to create it."""
    return sqlite3.connect(f"{Path(path).resolve().as_uri()}?mode={mode}", uri=True)


def run_postgres_program(program: str, url: URL, *options: str) -> None:
    """Run pg_dump or pg_restore. Other users of the machine do not see the password."""
    if shutil.which(program) is None:
        stop(f"{program} is not installed. On Debian: apt-get install postgresql-client")
    settings = conninfo_to_dict(
        url.set(drivername="postgresql").render_as_string(hide_password=False)
    )
    password = settings.pop("password", None)
    secret = {"PGPASSWORD": str(password)} if password else {}
    command = [program, "--dbname", make_conninfo("", **settings), *options]
    if subprocess.run(command, env={**os.environ, **secret}).returncode:  # noqa: S603 - our own command, no shell
        stop(f"{program} failed.")


def stop(why: str) -> NoReturn:
    sys.exit(why)

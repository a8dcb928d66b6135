"""Migrations in two branches: the starter's, and the product's in its own folder.

Alembic labels them `saas` and `product`. Each side adds to its own branch, so updates of the
starter and migrations of the product never conflict.
"""

from __future__ import annotations

from functools import cache, wraps
from pathlib import Path
from typing import Any, Literal

import click
from alembic.script import ScriptDirectory
from flask import Flask, current_app
from flask.cli import with_appcontext
from flask.helpers import get_root_path
from flask_migrate import cli  # type: ignore[attr-defined]  # its types lag
from sqlalchemy import inspect, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Mapped, mapped_column

from saas.config import ROOT
from saas.database import Model, db
from saas.extensions import migrate

State = Literal["current", "ahead", "empty", "behind", "newer"]

_STARTER = ROOT / "migrations"


class BreakingRevision(Model):
    """A revision that code from before it cannot work with.

    Such a migration drops or renames something, and inserts itself here. During a release, old code
    runs on the new schema; it reads here whether it can.
    """

    __tablename__ = "breaking_revisions"

    revision: Mapped[str] = mapped_column(primary_key=True)


def init_app(app: Flask, product: str) -> None:
    """Set up `flask db` for the migrations of the starter and of the package `product`."""
    folders = [_STARTER / "versions", Path(get_root_path(product)) / "migrations"]
    app.config["MIGRATIONS"] = tuple(str(folder) for folder in folders if folder.is_dir())
    migrate.init_app(app, db, directory=_escape_for_ini(str(_STARTER)))
    for command in (cli.upgrade, cli.stamp):
        _default_to_both_branches(command)
    _do_nothing_if_ahead(cli.upgrade)


def _default_to_both_branches(command: click.Command) -> None:
    """Change Flask-Migrate's default `head`, which Alembic refuses with two branches."""
    for parameter in command.params:
        if parameter.name == "revision":
            parameter.default = "heads"


def _do_nothing_if_ahead(command: click.Command) -> None:
    """Let `flask db upgrade` of earlier code succeed on a schema that it can work with.

    Platforms run it again when an earlier release is restored. Alembic does not know the newer
    revision, and would fail.
    """
    upgrade = command.callback
    if upgrade is None or hasattr(upgrade, "knows_ahead"):
        return

    @wraps(upgrade)
    def upgrade_unless_ahead(*args: Any, **kwargs: Any) -> Any:
        if _is_ahead():
            click.echo("The database is newer than this code, which can work with it.", err=True)
            return None
        return upgrade(*args, **kwargs)

    upgrade_unless_ahead.knows_ahead = True  # type: ignore[attr-defined]  # prevents a second time
    command.callback = upgrade_unless_ahead


@with_appcontext
def _is_ahead() -> bool:
    try:
        return state() == "ahead"
    except SQLAlchemyError:
        return False  # the upgrade reports it
    finally:
        db.session.rollback()  # the upgrade uses a connection of its own


@migrate.configure
def _set_folders(config: Any) -> Any:
    config.set_main_option("path_separator", "newline")
    config.set_main_option(
        "version_locations", _escape_for_ini("\n".join(current_app.config["MIGRATIONS"]))
    )
    return config


def _escape_for_ini(path: str) -> str:
    """Escape a path for Alembic's INI file, where a percent sign must be doubled."""
    return path.replace("%", "%%")


def state() -> State:
    """Return how the database compares with the code.

    `empty` and `behind` need `flask db upgrade`; `newer` needs newer code. `ahead` is newer by
    revisions that this code can work with.
    """
    tables = inspect(db.session.connection())
    if not tables.has_table("alembic_version"):
        return "empty"
    applied = tuple(db.session.scalars(text("SELECT version_num FROM alembic_version")))
    if not applied:
        return "empty"
    scripts, known = _revisions(current_app.config["MIGRATIONS"])
    if not known.issuperset(applied):
        if not tables.has_table("breaking_revisions"):
            return "newer"
        breaking = db.session.scalars(select(BreakingRevision.revision))
        return "ahead" if known.issuperset(breaking) else "newer"
    # A revision that another one depends on has no row.
    current = {script.revision for script in scripts.get_all_current(applied)}
    return "current" if current == set(scripts.get_heads()) else "behind"


@cache
def _revisions(folders: tuple[str, ...]) -> tuple[ScriptDirectory, frozenset[str]]:
    scripts = ScriptDirectory(str(_STARTER), version_locations=list(folders))
    return scripts, frozenset(script.revision for script in scripts.walk_revisions())

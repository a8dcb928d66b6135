"""How migrations run: one at a time, in one transaction, and never with SQLite's foreign keys on.

Alembic's batch mode on SQLite copies a table, drops it and renames the copy. With foreign keys
switched on, the drop deletes the rows of every child table, without a word. So they are switched
off around the migration, and checked before it is committed.
"""

import click
from alembic import context
from alembic.script import ScriptDirectory
from sqlalchemy import text

from saas.database import UTCDateTime, db

# Any number: all who migrate this database ask for the same lock.
_ADVISORY_LOCK = 7_203_114_771


def run() -> None:
    engine = db.engine
    with engine.connect().execution_options(writing=True) as connection:
        sqlite = connection.dialect.name == "sqlite"
        if sqlite:
            # Not possible inside a transaction, so below SQLAlchemy, which would begin one.
            connection.connection.driver_connection.execute("PRAGMA foreign_keys = OFF")
        try:
            _migrate(connection, sqlite)
        finally:
            if sqlite:
                connection.connection.driver_connection.execute("PRAGMA foreign_keys = ON")


def _migrate(connection, sqlite: bool) -> None:
    with connection.begin():
        if not sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        # Configured inside the transaction, Alembic leaves it to us to commit it.
        context.configure(
            connection=connection,
            target_metadata=db.metadata,
            render_as_batch=sqlite,
            transactional_ddl=True,
            compare_server_default=True,
            render_item=_render_item,
            include_name=_is_ours,
            process_revision_directives=_place_revision,
        )
        with context.begin_transaction():
            context.run_migrations()
        if sqlite and (broken := connection.execute(text("PRAGMA foreign_key_check")).all()):
            raise RuntimeError(
                f"the migration would leave rows without their parents: {broken[:5]}"
            )


def _place_revision(_context, _revision, directives):
    """Put a new migration into the product's branch, unless `--head` says otherwise.

    It depends on the starter's newest, whose tables it may name. `flask db migrate` writes nothing
    where the models have not changed.
    """
    script = directives[0]
    if getattr(context.config.cmd_opts, "autogenerate", False) and script.upgrade_ops.is_empty():
        directives.clear()
        click.echo("The models have not changed: no migration was written.")
    elif script.head == "head":
        script.head = "product@head"
        scripts = ScriptDirectory.from_config(context.config)
        script.depends_on = script.depends_on or scripts.get_revision("saas@head").revision


def _is_ours(name, kind, _parents):
    """The queue makes its own tables where it is kept in this database."""
    return kind != "table" or not name.startswith("huey_")


def _render_item(kind, item, _context):
    """Write a plain type into the migration, so that it does not depend on our code of tomorrow."""
    if kind == "type" and isinstance(item, UTCDateTime):
        return "sa.DateTime(timezone=True)"
    return False


if context.is_offline_mode():
    raise SystemExit("Migrations run against a database; there is no offline mode.")
run()

"""Run migrations one at a time, in one transaction, without SQLite's foreign keys.

Alembic's batch mode on SQLite copies a table, drops it and renames the copy. With foreign keys
enabled, the drop silently deletes the rows of all child tables. So they are disabled during the
migration, and checked before the commit.
"""

import click
from alembic import context
from alembic.script import ScriptDirectory
from sqlalchemy import text

from saas.database import UTCDateTime, db

# Any number: all migrations of this database use the same lock.
_ADVISORY_LOCK = 7_203_114_771


def run() -> None:
    engine = db.engine
    with engine.connect().execution_options(writing=True) as connection:
        sqlite = connection.dialect.name == "sqlite"
        if sqlite:
            # Not possible inside a transaction, so bypass SQLAlchemy, which would begin one.
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
        # Because this is configured inside the transaction, we must commit it ourselves.
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
    """Add a new migration to the product's branch, unless `--head` is given.

    It depends on the starter's newest migration, whose tables it may reference. `flask db migrate`
    writes nothing if the models have not changed.
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
    """Exclude the queue's own tables, which may be in this database."""
    return kind != "table" or not name.startswith("huey_")


def _render_item(kind, item, _context):
    """Render a plain type into the migration, so that it does not depend on later code."""
    if kind == "type" and isinstance(item, UTCDateTime):
        return "sa.DateTime(timezone=True)"
    return False


if context.is_offline_mode():
    raise SystemExit("Migrations run against a database; there is no offline mode.")
run()

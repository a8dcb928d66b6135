"""A release under traffic: a new version with a migration, beside the old one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from saas.config import ROOT
from tests.stack.stack import Stack

_MIGRATION = '''"""A column that may be empty, so that old code does not notice it."""

from alembic import op
import sqlalchemy as sa

revision = "next"
down_revision = "{head}"


def upgrade():
    op.add_column("users", sa.Column("of_the_next_version", sa.String()))


def downgrade():
    op.drop_column("users", "of_the_next_version")
'''
_PARTS = ("saas", "product", "templates", "migrations", "wsgi.py", "gunicorn.conf.py")


def make_next_version(stack: Stack) -> Path:
    """Return a copy of the code with one more migration."""
    folder = stack.folder / "next"
    folder.mkdir()
    for part in _PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / part)
    versions = folder / "migrations" / "versions"
    head = max(path.name.partition("_")[0] for path in versions.glob("[0-9]*.py"))
    (versions / "next_version.py").write_text(_MIGRATION.format(head=head))
    return folder


@contextmanager
def released(stack: Stack) -> Iterator[None]:
    """Migrate, restart one host after the other with the new code; go back after the block."""
    folder = make_next_version(stack)
    hosts = ("web-a", "web-b", "worker-a", "worker-b")
    migrated = stack.command_in(folder, "db", "upgrade")
    assert migrated.returncode == 0, migrated.stderr
    assert stack.get("/readyz") == 200, "the old hosts are not ready on the new schema"
    try:
        for host in hosts:
            stack.programs[host].cwd = folder
            stack.restart(host)
        assert stack.command_in(folder, "check").returncode == 0
        yield
    finally:
        for host in hosts:
            stack.programs[host].cwd = ROOT
            stack.restart(host)
        stack.command_in(folder, "db", "downgrade", "saas@-1")

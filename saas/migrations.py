"""How the database's revision compares with the code's."""

from __future__ import annotations

from functools import cache
from typing import Literal

from sqlalchemy import inspect, text

from saas.config import ROOT
from saas.database import db

State = Literal["current", "empty", "behind", "newer"]


def state() -> State:
    """`empty` and `behind` want `flask db upgrade`; `newer` wants newer code."""
    if not inspect(db.engine).has_table("alembic_version"):
        return "empty"
    found = db.session.scalar(text("SELECT version_num FROM alembic_version"))
    heads, known = _revisions()
    if found is None:
        return "empty"
    if found in heads:
        return "current"
    return "behind" if found in known else "newer"


@cache
def _revisions() -> tuple[frozenset[str], frozenset[str]]:
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(ROOT / "migrations"))
    known = frozenset(script.revision for script in scripts.walk_revisions())
    return frozenset(scripts.get_heads()), known

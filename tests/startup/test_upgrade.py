"""`make upgrade` merges the starter's next version into a product, and keeps the product."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from saas.config import ROOT
from tests.harness.apps import own_env
from tests.startup.checkout import copy_repository

_MIGRATION = """
import sqlalchemy as sa
from alembic import op
revision, down_revision, branch_labels, depends_on = {id!r}, {after!r}, None, None
def upgrade():
    op.create_table({table!r}, sa.Column("id", sa.Integer(), primary_key=True))
def downgrade():
    op.drop_table({table!r})
"""


def git(folder: Path, *arguments: str) -> str:
    author = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com"]
    command = ["git", "-C", str(folder), *author, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def commit(folder: Path, message: str) -> str:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", message)
    return git(folder, "rev-parse", "HEAD").strip()


def edit(file: Path, before: str, after: str) -> None:
    text = file.read_text("utf-8")
    assert before in text, file
    file.write_text(text.replace(before, after), "utf-8")


def append(file: Path, line: str) -> None:
    file.write_text(f"{file.read_text('utf-8')}{line}\n", "utf-8")


def add_migration(folder: Path, id: str, after: str, table: str) -> None:
    folder.joinpath(f"{id}_next.py").write_text(_MIGRATION.format(id=id, after=after, table=table))


@pytest.fixture
def starter(tmp_path: Path) -> Path:
    folder = copy_repository(tmp_path / "starter")
    git(folder, "checkout", "-q", "-b", "main")
    commit(folder, "This version")
    return folder


@pytest.fixture
def product(starter: Path, tmp_path: Path) -> Path:
    """A clone in which a builder changed only the product."""
    folder = tmp_path / "product"
    git(tmp_path, "clone", "-q", "--origin", "upstream", str(starter), str(folder))
    own = folder / "product"
    git(folder, "tag", "v100.0.0")  # the product's own version
    for name in ("catalogue.py", "brand.toml"):
        append(own / name, "# ours")
    (own / "static" / "logo.svg").unlink()
    add_migration(own / "migrations", "b0b0b0b0b0b0", "a060a84de55e", "product_things")
    commit(folder, "Our product")
    return folder


def release(starter: Path) -> str:
    """Commit the next version: a new migration, changes of the starter and of the example."""
    newest = sorted((starter / "migrations" / "versions").glob("0*.py"))[-1].name.partition("_")[0]
    add_migration(starter / "migrations" / "versions", "0999", newest, "starter_things")
    edit(starter / "setup.cfg", "version = 0.", "version = 99.")
    edit(starter / "CHANGELOG.md", "# Changelog\n", "# Changelog\n\n## 99.0.0\n\n- It is faster.\n")
    edit(starter / "templates" / "site" / "terms.html", "Fair use", "Fair play")
    append(starter / "product" / "static" / "logo.svg", "<!-- better -->")
    append(starter / "product" / "catalogue.py", "# better")
    (starter / "product" / "extra.py").write_text("")
    return commit(starter, "The next version")


def upgrade(product: Path) -> subprocess.CompletedProcess[str]:
    """Merge only: these tests do not rebuild the environment."""
    env = own_env(
        GIT_AUTHOR_NAME="Ann", GIT_AUTHOR_EMAIL="ann@example.com",
        GIT_COMMITTER_NAME="Ann", GIT_COMMITTER_EMAIL="ann@example.com",
    )  # fmt: skip
    command = [sys.executable, "bin/upgrade", "--merge"]
    return subprocess.run(command, cwd=product, env=env, capture_output=True, text=True)


@pytest.mark.parametrize("found_by", ["tag", "versions file"])
def test_an_upgrade_merges_the_next_version_and_keeps_the_product(
    found_by: str, starter: Path, product: Path
) -> None:
    new = release(starter)
    if found_by == "tag":
        git(starter, "tag", "v99.0.0", new)
    else:
        with (starter / "VERSIONS").open("a") as versions:
            versions.write(f"99.0.0 {new}\n")
        commit(starter, "Name the version")
    before = git(product, "rev-parse", "HEAD:product")

    result = upgrade(product)

    assert result.returncode == 0, result.stdout + result.stderr
    assert git(product, "rev-parse", "HEAD:product") == before
    assert not (product / "product" / "static" / "logo.svg").exists()
    assert "Fair play" in (product / "templates" / "site" / "terms.html").read_text()
    assert git(product, "status", "--porcelain") == ""
    assert "- It is faster." in result.stdout
    assert "The first version" not in result.stdout

    flask_db(product, "upgrade")
    current = flask_db(product, "current")
    assert {"0999", "b0b0b0b0b0b0"} <= set(current.split())
    if (product / "product" / "tests").is_dir():
        tests = [sys.executable, "-m", "pytest", "product/tests"]
        assert subprocess.run(tests, cwd=product, env=own_env()).returncode == 0


def flask_db(product: Path, *arguments: str) -> str:
    url = f"sqlite:///{product.parent}/app.db"
    env = own_env(SAAS_ENV="test", JOBS_URL="inline:", DATABASE_URL=url)
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "db", *arguments]
    result = subprocess.run(command, cwd=product, env=env, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_a_changed_file_of_the_starter_is_named(starter: Path, product: Path) -> None:
    edit(product / "templates" / "site" / "terms.html", "Fair use", "Be nice")
    commit(product, "Change the starter's page")
    git(starter, "tag", "v99.0.0", release(starter))

    result = upgrade(product)

    assert result.returncode == 1
    assert "conflict:\n  templates/site/terms.html\nResolve them" in result.stderr
    assert "- It is faster." in result.stdout  # the release notes are printed anyway


def test_uncommitted_changes_stop_the_upgrade(starter: Path, product: Path) -> None:
    append(product / "product" / "brand.toml", "# not committed")

    result = upgrade(product)

    assert result.returncode == 1
    assert result.stderr == "There are uncommitted changes. Commit or stash them first.\n"


def test_a_missing_remote_is_named(product: Path) -> None:
    git(product, "remote", "rename", "upstream", "origin")

    result = upgrade(product)

    assert "There is no remote upstream." in result.stderr
    assert "git remote add upstream URL" in result.stderr


def named_versions() -> dict[str, str]:
    lines = (ROOT / "VERSIONS").read_text("utf-8").splitlines()
    return dict(line.split() for line in lines if not line.startswith("#"))


def test_a_product_of_the_last_version_upgrades_to_this_state(tmp_path: Path) -> None:
    """Uses the history of this repository, if the copy has it."""
    started = list(named_versions().values())[-1]
    known = ["git", "-C", str(ROOT), "merge-base", "--is-ancestor", started, "HEAD"]
    if subprocess.run(known, capture_output=True).returncode:
        pytest.skip("this copy lacks the history of the last version")
    starter, product = tmp_path / "starter", tmp_path / "product"
    git(tmp_path, "clone", "-q", str(ROOT), str(starter))
    git(starter, "commit", "-q", "--allow-empty", "-m", "What is here now")
    git(starter, "tag", "v99.0.0")
    git(tmp_path, "clone", "-q", "--origin", "upstream", str(starter), str(product))
    git(product, "checkout", "-q", "-b", "ours", started)
    append(product / "product" / "catalogue.py", "# ours")
    add_migration(product / "product" / "migrations", "b0b0b0b0b0b0", "a060a84de55e", "our_things")
    commit(product, "Our product")
    before = git(product, "rev-parse", "HEAD:product")

    result = upgrade(product)

    assert result.returncode == 0, result.stdout + result.stderr
    assert git(product, "rev-parse", "HEAD:product") == before
    replace_by_hand(product / "product")
    flask_db(product, "upgrade")
    assert "b0b0b0b0b0b0" in flask_db(product, "current")


def replace_by_hand(product: Path) -> None:
    """Make the changes that the changelog names under "By hand" for the example of 0.2."""
    catalogue, feature = product / "catalogue.py", product / "share_cards" / "__init__.py"
    text = catalogue.read_text("utf-8").replace("features=(", "bullets=(")
    text = re.sub(r"monthly=(\d+),\s+yearly=(\d+)", r'prices={"monthly": \1, "yearly": \2}', text)
    text = text.replace('{"cards": 100}', '{"cards": Monthly(100)}')
    text = text.replace("import UNLIMITED,", "import UNLIMITED, Monthly,")
    catalogue.write_text(text, "utf-8")
    edit(feature, "monthly_quota", "quota")


def test_the_versions_file_names_existing_commits() -> None:
    for version, commit_id in named_versions().items():
        assert len(version.split(".")) == 3
        assert len(commit_id) == 40

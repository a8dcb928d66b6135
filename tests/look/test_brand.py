"""The brand is one file and a logo. After changing them, the old brand appears nowhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from saas.config import ROOT
from saas.declaration import ProductError, read_brand
from tests.harness.apps import own_env

_COLOR = re.compile(r"#[0-9a-f]{6}\b")

# Prints what users see of the product: pages, emails, styles, and the colours of pictures.
_SHOW = """
import io
from flask_migrate import upgrade
from PIL import Image
from saas import create_app

app = create_app()
with app.app_context():
    upgrade(revision="heads")
client, runner = app.test_client(), app.test_cli_runner()
for path in ("/", "/pricing", "/terms", "/privacy", "/login", "/brand.css", "/site.webmanifest",
             "/static/icons/icon.svg"):
    print(client.get(path).text)
for line in runner.invoke(args=["mail", "preview"]).output.splitlines():
    print(runner.invoke(args=["mail", "preview", line.split()[0]]).output)
cards = ["/api/og?heading=x", "/api/og?heading=x&mode=dark"]
has_cards = "og.card" in app.view_functions
for path in [*(cards if has_cards else []), "/static/icons/logo.png", "/favicon.ico"]:
    picture = Image.open(io.BytesIO(client.get(path).data)).convert("RGB")
    for _, color in picture.getcolors(2**24):
        print("#%02x%02x%02x" % color)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a copy of the application whose brand can be changed."""
    folder = tmp_path / "project"
    folder.mkdir()
    for part in ("assets", "migrations", "product", "saas", "templates"):
        shutil.copytree(ROOT / part, folder / part)
    return folder


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = own_env(SAAS_ENV="test", DATABASE_URL=f"sqlite:///{folder}/app.db", JOBS_URL="inline:")
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)


def other(color: str) -> str:
    """Return a slightly darker colour."""
    channels = (int(color[at : at + 2], 16) for at in (1, 3, 5))
    return "#" + "".join(f"{max(channel - 5, 0):02x}" for channel in channels)


def test_after_a_change_the_old_name_and_colours_appear_nowhere(project: Path) -> None:
    brand = project / "product" / "brand.toml"
    old, name = brand.read_text("utf-8"), read_brand(brand).name
    colors = set(_COLOR.findall(old))
    assert name in run(project, "-c", _SHOW).stdout  # it is shown before the change
    new = _COLOR.sub(lambda result: other(result[0]), old)
    brand.write_text(new.replace(name, "Zephyr"), "utf-8")

    result = run(project, "assets/brand.py")
    shown = run(project, "-c", _SHOW)

    assert result.stdout == "The icons of Zephyr are in product/static/icons.\n", result.stderr
    assert shown.returncode == 0, shown.stderr
    assert name not in shown.stdout
    assert "Zephyr" in shown.stdout
    seen = set(_COLOR.findall(shown.stdout))
    left = seen & colors
    assert left <= {"#ffffff"}  # the colour of text on buttons, for any brand
    expected = set(_COLOR.findall(new))
    assert expected <= seen


def test_icons_older_than_the_brand_are_reported(project: Path) -> None:
    assert run(project, "assets/brand.py", "product", "--check").returncode == 0
    brand = project / "product" / "brand.toml"
    start = read_brand(brand).gradient[0]
    brand.write_text(brand.read_text("utf-8").replace(start, other(start)), "utf-8")

    checked = run(project, "assets/brand.py", "product", "--check")

    assert checked.returncode == 1
    assert checked.stderr == "The icons are older than the brand. Run: make brand\n"


def test_a_product_without_the_logo_for_emails_is_reported(project: Path) -> None:
    (project / "product" / "static" / "icons" / "logo.png").unlink()

    checked = run(project, "assets/brand.py", "product", "--check")

    assert checked.returncode == 1
    assert checked.stderr == "The icons are older than the brand. Run: make brand\n"


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('name = "Acme"', 'name = ""', "brand.toml: name: must have 1 to 40 characters."),
        ('name = "Acme"', "name = 5", "brand.toml: name: Not a valid string."),
        ('name = "Acme"', f'name = "{"x" * 41}"', "brand.toml: name: must have 1 to 40"),
        ('name = "Acme"', 'name = "A\\nB"', "brand.toml: name: must not contain line breaks"),
        (
            'name = "Acme"',
            'name = "=?utf-8?q?x?="',
            "brand.toml: name: must not contain line breaks",
        ),
        ('name = "Acme"', "", "brand.toml: name: Missing data"),
        ("[colors.dark]", "[colors.night]", "colors: dark: Missing data for required field."),
        ("[colors.dark]", "[colors.night]", "colors: night: Unknown field."),
        ('accent = "#0f766e"', 'accent = "teal"', "light: accent: must be a color such as #6366f1"),
        ('focus = "#0d9488"', "", "brand.toml: colors: light: focus: Missing data"),
        (
            'gradient = ["#0f766e", "#0e7490"]',
            'gradient = "#0f766e"',
            "gradient: Not a valid tuple",
        ),
        ('"#0f766e", "#0e7490"] # with', '"#0f766e", "#ffee00"] # with', "White text on #ffee00"),
        ("[colors]", "[colors", "brand.toml cannot be read"),
    ],
)
def test_an_invalid_brand_is_refused_with_the_name_of_its_entry(
    before: str, after: str, message: str, tmp_path: Path
) -> None:
    sample = (ROOT / "tests/harness/sample_product/brand.toml").read_text("utf-8")
    assert before in sample
    file = tmp_path / "brand.toml"
    file.write_text(sample.replace(before, after, 1), "utf-8")

    with pytest.raises(ProductError) as refused:
        read_brand(file)

    assert message in str(refused.value)


def test_colours_may_be_uppercase(tmp_path: Path) -> None:
    sample = (ROOT / "tests/harness/sample_product/brand.toml").read_text("utf-8")
    (tmp_path / "brand.toml").write_text(sample.replace("#0f766e", "#0F766E"), "utf-8")

    assert read_brand(tmp_path / "brand.toml").gradient[0] == "#0f766e"

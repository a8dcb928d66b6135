"""Templates and static files: nothing inline, nothing missing, little to load."""

from __future__ import annotations

import gzip
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from flask import Flask

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "saas" / "static"
TEMPLATES = ROOT / "templates"
FIRST_VISIT = 100 * 1024
SCRIPTS = 15 * 1024

pages = pytest.mark.parametrize(
    "page",
    [
        pytest.param(path, id=str(path.relative_to(folder)))
        for folder in (TEMPLATES, ROOT / "product" / "templates")
        for path in sorted(folder.rglob("*.html"))
        if "mail" not in path.relative_to(folder).parts[:1]
    ],
)


@pages
def test_a_page_has_nothing_inline_that_the_content_policy_refuses(page: Path) -> None:
    source = page.read_text()

    assert not re.search(r"<style\b", source)
    assert not re.search(r"<[^>]*\sstyle=", source)
    assert not re.search(r"<[^>]*\son[a-z]+=", source)
    assert not re.search(r"<script\b(?![^>]*\ssrc=)", source)


@pages
def test_pages_use_only_existing_icons(page: Path) -> None:
    known = set((ROOT / "assets" / "icons.txt").read_text().split())

    asked = set(re.findall(r"""icon\(["']([a-z0-9-]+)["']""", page.read_text()))

    assert asked <= known


@pages
def test_a_page_loads_nothing_from_another_origin(page: Path) -> None:
    source = re.sub(r'xmlns="[^"]*"', "", page.read_text())

    assert not re.search(r"""(?:src|href|action)=["'](?:https?:)?//""", source)


def test_the_style_sheet_loads_nothing_from_another_origin() -> None:
    addresses = re.findall(r"url\(([^)]*)\)", (STATIC / "css" / "app.css").read_text())

    outside = [
        address for address in addresses if not address.strip("\"'").startswith(("../", "data:"))
    ]

    assert outside == []


class _Parts(HTMLParser):
    """The files that a browser loads for a page, without images that are not shown."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        if tag == "link" and values.get("rel") in ("stylesheet", "preload", "icon"):
            self.addresses.append(values["href"])
        if tag == "script":
            self.addresses.append(values["src"])
        if tag == "img" and "dark:block" not in values.get("class", ""):
            self.addresses.append(values["src"])


@pytest.fixture
def first_visit(app: Flask) -> dict[str, int]:
    """Return the compressed size of each file that a first visit to the home page loads."""
    visitor = app.test_client()
    home = visitor.get("/")
    reader = _Parts()
    reader.feed(home.text)
    sizes = {"/": len(gzip.compress(home.data))}
    for address in dict.fromkeys(reader.addresses):
        with visitor.get(address) as response:
            assert response.status_code == 200, address
            sizes[urlsplit(address).path] = min(
                len(response.data), len(gzip.compress(response.data))
            )
    return sizes


def test_a_first_visit_is_small(first_visit: dict[str, int]) -> None:
    assert sum(first_visit.values()) <= FIRST_VISIT, first_visit


def test_scripts_are_small() -> None:
    sizes = {path.name: len(gzip.compress(path.read_bytes())) for path in STATIC.rglob("*.js")}

    assert sum(sizes.values()) <= SCRIPTS, sizes

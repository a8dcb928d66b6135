"""Pages show what a product declares. An invalid declaration is refused at startup."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from saas import create_app
from saas.auth import accounts, sessions
from saas.config import ROOT
from saas.declaration import ProductError
from tests.harness.apps import own_env, settings

Package = Callable[..., str]

VIEWS = """
from flask import Blueprint, render_template
from saas.declaration import NavigationLink, NextStep, Product, Tile

from tests.harness.sample_product import product as sample

bp = Blueprint("notes", __name__)

@bp.get("/notes")
def notes():
    return render_template("site/home.html")

product = Product(__name__, sample.brand, sample.catalogue, blueprints=(bp,), {more})
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """Return a function that writes a product package with templates, and returns its name."""
    monkeypatch.syspath_prepend(str(tmp_path))
    created: list[str] = []

    def write(source: str, **templates: str) -> str:
        name = f"notes_{len(created)}"
        created.append(name)
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(source)
        for path, text in templates.items():
            file = tmp_path / name / "templates" / f"{path.replace('__', '/')}.html"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        for loaded in [module for module in sys.modules if module.partition(".")[0] == name]:
            monkeypatch.delitem(sys.modules, loaded)
        return name

    return write


def test_a_template_of_the_product_replaces_ours_by_its_path(package: Package) -> None:
    name = package(VIEWS.format(more=""), site__home="Notes, on a home page of their own")

    client = create_app(settings(), product=name).test_client()

    assert client.get("/notes").text == "Notes, on a home page of their own"
    assert client.get("/").text == "Notes, on a home page of their own"
    assert client.get("/pricing").status_code == 200  # ours if it has none


def test_deleting_its_package_removes_the_example(package: Package) -> None:
    app = create_app(settings(), product=package(VIEWS.format(more="")))

    assert app.test_client().get("/dashboard/cards").status_code == 404


def test_a_feature_is_found_in_its_folder(package: Package, tmp_path: Path) -> None:
    name = package(VIEWS.format(more=""))
    feature = tmp_path / name / "guestbook"
    (feature / "templates" / "guestbook").mkdir(parents=True)
    (feature / "templates" / "guestbook" / "page.html").write_text("Sign the guestbook")
    (feature / "__init__.py").write_text(
        "from flask import Blueprint, render_template\n"
        "from saas.declaration import Feature, NavigationLink\n"
        "bp = Blueprint('guestbook', __name__, template_folder='templates')\n"
        "@bp.get('/guestbook')\n"
        "def page(): return render_template('guestbook/page.html')\n"
        "feature = Feature(blueprints=(bp,),"
        " navigation=(NavigationLink('guestbook.page', 'Guestbook', 'inbox'),))\n"
    )

    app = create_app(settings(), product=name)

    assert app.test_client().get("/guestbook").text == "Sign the guestbook"
    assert [link.label for link in app.extensions["product"].navigation] == ["Guestbook"]


def test_an_invalid_feature_is_refused(package: Package, tmp_path: Path) -> None:
    name = package(VIEWS.format(more=""))
    (tmp_path / name / "guestbook").mkdir()
    (tmp_path / name / "guestbook" / "__init__.py").write_text("feature = 'guestbook'")

    with pytest.raises(ProductError, match=rf"{name}.guestbook.feature must be a Feature"):
        create_app(settings(), product=name)


def test_a_view_with_an_undeclared_feature_is_refused(package: Package) -> None:
    guarded = VIEWS.replace(
        '@bp.get("/notes")', '@bp.get("/notes")\n@feature_required("brandig", "Your own logo")'
    )
    name = package("from saas.billing.access import feature_required\n" + guarded.format(more=""))

    with pytest.raises(ProductError, match=r"requires the feature 'brandig'.*has branding\."):
        create_app(settings(), product=name)


def test_the_signed_in_pages_link_to_the_declared_features(
    package: Package, make_app: Callable[..., Flask]
) -> None:
    declared = """
    navigation=(NavigationLink("notes.notes", "All notes", "inbox"),),
    tiles=(Tile("tile.html", lambda person: {"email": person.email}),),
    next_steps=(NextStep("notes.notes", "Write a note", "It is kept.", "inbox"),),
    """
    name = package(VIEWS.format(more=declared), tile="<p>Notes of {{ email }} &amp; others</p>")
    app = make_app(product=name)
    client = app.test_client()
    with app.app_context():
        user = accounts.get_or_create("ann@example.com")
        with app.test_request_context() as context:
            sessions.start(user)
            cookie = app.make_response("")
            assert context.session is not None
            app.session_interface.save_session(app, context.session, cookie)
    name, _, value = cookie.headers["Set-Cookie"].partition(";")[0].partition("=")
    client.set_cookie(name, value)

    page = client.get("/dashboard").text

    assert '<a class="navlink" href="/notes">' in page
    assert "All notes" in page
    assert "<p>Notes of ann@example.com &amp; others</p>" in page
    assert "<b>Write a note</b><span>It is kept.</span>" in page
    assert "Share cards" not in page


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("", r"notes_0/__init__.py must declare `product = Product\(...\)`"),
        ("product = 5", r"notes_0/__init__.py must declare"),
        (
            VIEWS.format(more='navigation=(NavigationLink("notes.all", "All", "inbox"),)'),
            r"notes_0: NavigationLink\(endpoint='notes.all'.* has an unknown endpoint",
        ),
        (
            VIEWS.format(more='next_steps=(NextStep("gone", "Go", "There.", "inbox"),)'),
            r"NextStep\(endpoint='gone'.* has an unknown endpoint",
        ),
        (
            VIEWS.format(more='navigation=(NavigationLink("notes.notes", "All", "unicorn"),)'),
            r"NavigationLink\(.*icon='unicorn'\) has an unknown icon; see assets/icons.txt",
        ),
        (
            VIEWS.format(more='tiles=(Tile("tile.html", lambda person: {}),)'),
            "notes_0: there is no template tile.html",
        ),
    ],
)
def test_an_invalid_declaration_is_refused_at_startup(
    source: str, sentence: str, package: Package
) -> None:
    name = package(source)

    with pytest.raises(ProductError, match=sentence):
        create_app(settings(), product=name)


def test_a_missing_package_is_named_at_startup() -> None:
    with pytest.raises(ProductError, match="The package no_such_product does not exist"):
        create_app(settings(), product="no_such_product")


def test_variables_of_layouts_do_not_hide_variables_of_pages() -> None:
    for layout in (ROOT / "templates" / "layout").glob("*.html"):
        source = re.sub(r"\{#.*?#\}", "", layout.read_text("utf-8"), flags=re.S)
        names = re.findall(r"\{%-?\s*(?:set|macro|for) (\w+)", source)
        for imported in re.findall(r"\bimport (.*?)\s*-?%\}", source):
            names += [name.split(" as ")[-1].strip() for name in imported.split(",")]

        assert [name for name in names if not name.startswith("_")] == [], layout.name


def test_the_tests_of_a_product_do_not_load_the_sample_product() -> None:
    code = "import sys, tests.conftest, tests.harness.stripe_account; print(*sys.modules)"

    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True,
        env=own_env(PYTHONPATH="sandbox"),
    ).stdout.split()  # fmt: skip

    assert [name for name in loaded if "sample_product" in name] == []

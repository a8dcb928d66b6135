"""The declaration by which a product's package adds itself to the starter.

The package (`product/` by default) holds one object named `product`. The sidebar and the dashboard
read the product's links and tiles from it, and its blueprints and templates are registered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from flask import Blueprint, Flask, current_app, render_template
from flask.helpers import get_root_path
from jinja2 import ChoiceLoader, FileSystemLoader, TemplateNotFound
from markupsafe import Markup


class ProductError(Exception):
    """The declaration of the product cannot be used; the message names the entry."""


@dataclass(frozen=True)
class NavigationLink:
    """A link in the sidebar of the signed-in pages. `icon` is a name of `assets/icons.txt`."""

    endpoint: str
    label: str
    icon: str


@dataclass(frozen=True)
class Tile:
    """A card on the dashboard: a template, and a function that gives its variables for a `User`."""

    template: str
    context: Callable[[Any], Mapping[str, object]]


@dataclass(frozen=True)
class NextStep:
    """A line under "What to do next" on the dashboard."""

    endpoint: str
    title: str
    text: str
    icon: str


@dataclass(frozen=True)
class Product:
    """What a product adds: its routes, and where our pages lead to them.

    `import_name` is the package's `__name__`. A file in its folder `templates/` replaces the
    starter's template of the same path.
    """

    import_name: str
    blueprints: tuple[Blueprint, ...] = ()
    navigation: tuple[NavigationLink, ...] = ()
    tiles: tuple[Tile, ...] = ()
    next_steps: tuple[NextStep, ...] = ()


def load(package: str) -> Product:
    """Return the declaration of a package. Raises `ProductError`."""
    try:
        declared = getattr(import_module(package), "product", None)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise ProductError(f"There is no package {package}.") from None
    if not isinstance(declared, Product):
        raise ProductError(
            f"{package}/__init__.py must declare `product = Product(...)`; see saas/products.py."
        )
    return declared


def use_templates(app: Flask, product: Product) -> None:
    """Look for templates in the product first, then in ours."""
    own = Path(get_root_path(product.import_name)) / "templates"
    app.jinja_loader = ChoiceLoader(
        [FileSystemLoader(own), FileSystemLoader(str(app.template_folder))]
    )


def init_app(app: Flask, product: Product) -> None:
    """Register the blueprints. Raises `ProductError` for a link or tile that cannot work."""
    app.extensions["product"] = product
    for blueprint in product.blueprints:
        app.register_blueprint(blueprint)
    app.context_processor(lambda: {"product": product})
    _check(app, product)


def current() -> Product:
    """Return the declaration of the product that this application runs."""
    return cast("Product", current_app.extensions["product"])


def render_tiles(user: Any) -> list[Markup]:
    """Return the product's dashboard tiles as HTML for this `User`."""
    return [
        Markup(render_template(tile.template, **tile.context(user)))  # noqa: S704 - it escapes
        for tile in current().tiles
    ]


def _check(app: Flask, product: Product) -> None:
    links: tuple[NavigationLink | NextStep, ...] = (*product.navigation, *product.next_steps)
    icons = app.jinja_env.get_template("macros/icons.html").module.shapes  # type: ignore[attr-defined]  # set there
    for link in links:
        if link.endpoint not in app.view_functions:
            raise ProductError(f"{product.import_name}: {link!r} has an unknown endpoint.")
        if link.icon not in icons:
            raise ProductError(
                f"{product.import_name}: {link!r} has an unknown icon; see assets/icons.txt."
            )
    for tile in product.tiles:
        try:
            app.jinja_env.get_template(tile.template)
        except TemplateNotFound as error:
            raise ProductError(
                f"{product.import_name}: there is no template {error.name}."
            ) from None

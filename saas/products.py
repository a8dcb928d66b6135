"""The product that stands on this starter: what its package declares, and where it is registered.

The package (`product/` at the top) holds one object by the name `product`; everything that pages
show of it is read from there, so that no file outside of the package names it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from flask import Blueprint, Flask, current_app
from jinja2 import ChoiceLoader, FileSystemLoader


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
    """A card on the dashboard: a template, and what it is given for the signed-in `User`."""

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

    `import_name` is the package's `__name__`; its folder `templates/` is looked in before ours, so
    that a file with the path of one of our templates replaces it.
    """

    import_name: str
    blueprints: tuple[Blueprint, ...] = ()
    navigation: tuple[NavigationLink, ...] = ()
    tiles: tuple[Tile, ...] = ()
    next_steps: tuple[NextStep, ...] = ()


def load(package: str) -> Product:
    """Return the declaration of a package. Raises `ProductError`."""
    found = getattr(import_module(package), "product", None)
    if not isinstance(found, Product):
        raise ProductError(
            f"{package}/__init__.py must declare `product = Product(...)`; see saas/products.py."
        )
    return found


def use_templates(app: Flask, product: Product) -> None:
    """Look for templates in the product first, then in ours."""
    own = Path(str(import_module(product.import_name).__file__)).parent / "templates"
    app.jinja_loader = ChoiceLoader(
        [FileSystemLoader(own), FileSystemLoader(str(app.template_folder))]
    )


def init_app(app: Flask, product: Product) -> None:
    """Register the product's blueprints, and check what the declaration leads to."""
    app.extensions["product"] = product
    for blueprint in product.blueprints:
        app.register_blueprint(blueprint)
    app.context_processor(lambda: {"product": product})
    _check(app, product)


def current() -> Product:
    """Return the declaration of the product that this application runs."""
    return cast("Product", current_app.extensions["product"])


def _check(app: Flask, product: Product) -> None:
    links: tuple[NavigationLink | NextStep, ...] = (*product.navigation, *product.next_steps)
    for link in links:
        if link.endpoint not in app.view_functions:
            raise ProductError(
                f"{product.import_name}: {link!r} leads to no view: {link.endpoint} is unknown."
            )
    with app.app_context():
        for tile in product.tiles:
            _check_template(app, product, tile)


def _check_template(app: Flask, product: Product, tile: Tile) -> None:
    loader: Any = app.jinja_env.loader
    if tile.template not in loader.list_templates():
        raise ProductError(f"{product.import_name}: there is no template {tile.template}.")

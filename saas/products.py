"""The product that this application runs: loaded, checked, and read by the starter's pages."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, cast

from flask import Flask, current_app, render_template
from flask.helpers import get_root_path
from jinja2 import ChoiceLoader, FileSystemLoader, TemplateNotFound
from markupsafe import Markup

from saas.declaration import NavigationLink, NextStep, Product, ProductError
from saas.plans import Catalogue, Interval, Plan


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
            f"{package}/__init__.py must declare `product = Product(...)`; see saas/declaration.py."
        )
    return declared


def use_files(app: Flask, product: Product) -> None:
    """Look for templates and static files in the product first, then in ours."""
    own = Path(get_root_path(product.import_name))
    app.jinja_loader = ChoiceLoader(
        [FileSystemLoader(own / "templates"), FileSystemLoader(str(app.template_folder))]
    )
    app.config["STATIC_FOLDERS"] = (own / "static", Path(str(app.static_folder)))


def init_app(app: Flask, product: Product) -> None:
    """Register the blueprints. Raises `ProductError` for a link or tile that cannot work."""
    app.extensions["product"] = product
    for blueprint in product.blueprints:
        app.register_blueprint(blueprint)
    app.context_processor(lambda: {"product": product, "catalogue": catalogue()})
    _check(app, product)


def current() -> Product:
    """Return the declaration of the product that this application runs."""
    return cast("Product", current_app.extensions["product"])


def catalogue() -> Catalogue:
    """Return the plans that this application sells."""
    return cast("Catalogue", current_app.config["CATALOGUE"])


def sold_as(price_id: str | None) -> tuple[Plan, Interval] | None:
    """Return the plan and interval that a price of Stripe stands for; None for other prices."""
    return catalogue().sold_as(price_id, current_app.config["STRIPE_PRICES"])


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
    for endpoint, view in app.view_functions.items():
        required = getattr(view, "required_plan", None)
        if required is not None and required not in product.catalogue.by_id:
            plans = ", ".join(product.catalogue.by_id)
            raise ProductError(
                f"{product.import_name}: the view {endpoint} requires the plan {required!r}; "
                f"the catalogue has {plans}."
            )
    for tile in product.tiles:
        try:
            app.jinja_env.get_template(tile.template)
        except TemplateNotFound as error:
            raise ProductError(
                f"{product.import_name}: there is no template {error.name}."
            ) from None

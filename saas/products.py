"""The product that this application runs: load, validate and return it."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from dataclasses import fields, replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from flask import Flask, current_app, render_template
from flask.helpers import get_root_path
from jinja2 import ChoiceLoader, FileSystemLoader, TemplateNotFound
from markupsafe import Markup

from saas.declaration import Feature, NavigationLink, NextStep, Product, ProductError, Scope
from saas.plans import Catalogue, Interval, Plan

_SCOPES = (Scope("user:read", "Read your profile and subscription"),)


def load(package: str) -> Product:
    """Return the declaration of a package. Raises `ProductError`."""
    try:
        module = import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise ProductError(f"The package {package} does not exist.") from None
    product = getattr(module, "product", None)
    if not isinstance(product, Product):
        raise ProductError(
            f"{package}/__init__.py must declare `product = Product(...)`; see saas/declaration.py."
        )
    parts = (product, *_features(module))
    lists: dict[str, Any] = {
        field.name: tuple(entry for part in parts for entry in getattr(part, field.name))
        for field in fields(Feature)
    }
    return replace(product, **lists)


def _features(package: ModuleType) -> Iterator[Feature]:
    """Yield the features of the packages inside this one, in alphabetical order."""
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        if not module.ispkg or module.name.endswith(".tests"):
            continue
        feature = getattr(import_module(module.name), "feature", None)
        if isinstance(feature, Feature):
            yield feature
        elif feature is not None:
            raise ProductError(f"{module.name}.feature must be a Feature; see saas/declaration.py.")


def use_files(app: Flask, product: Product) -> None:
    """Search for templates and static files in the product first, then in the starter."""
    own = Path(get_root_path(product.import_name))
    app.jinja_loader = ChoiceLoader(
        [FileSystemLoader(own / "templates"), FileSystemLoader(str(app.template_folder))]
    )
    app.config["STATIC_FOLDERS"] = (own / "static", Path(app.root_path) / "static")


def init_app(app: Flask, product: Product) -> None:
    """Register the blueprints. Raises `ProductError` for an invalid link or tile."""
    app.extensions["product"] = product
    for blueprint in product.blueprints:
        app.register_blueprint(blueprint)
    app.jinja_env.globals["product"] = product
    app.context_processor(lambda: {"catalogue": catalogue()})
    _check(app, product)


def current() -> Product:
    """Return the declaration of the product that this application runs."""
    return cast("Product", current_app.extensions["product"])


def catalogue() -> Catalogue:
    """Return the plans that this application sells."""
    return cast("Catalogue", current_app.config["CATALOGUE"])


def sold_as(price_id: str | None) -> tuple[Plan, Interval] | None:
    """Return the plan and interval of a Stripe price; None for other prices."""
    return catalogue().sold_as(price_id, current_app.config["STRIPE_PRICES"])


def scopes() -> tuple[Scope, ...]:
    """Return the scopes of API tokens: the starter's and the product's."""
    return (*_SCOPES, *current().scopes)


def render_tiles(user: Any) -> list[Markup]:
    """Return the product's dashboard tiles as HTML for this `User`."""
    return [
        Markup(render_template(tile.template, **tile.context(user)))  # noqa: S704 - templates escape
        for tile in current().tiles
    ]


def _check(app: Flask, product: Product) -> None:
    for problem in (*_wrong_links(app, product), *_wrong_views(app, product)):
        raise ProductError(f"{product.import_name}: {problem}")
    for tile in product.tiles:
        try:
            app.jinja_env.get_template(tile.template)
        except TemplateNotFound as error:
            raise ProductError(
                f"{product.import_name}: there is no template {error.name}."
            ) from None


def _wrong_links(app: Flask, product: Product) -> Iterator[str]:
    icons = app.jinja_env.get_template("macros/icons.html").module.shapes  # type: ignore[attr-defined]  # set there
    links: tuple[NavigationLink | NextStep, ...] = (*product.navigation, *product.next_steps)
    for link in links:
        if link.endpoint not in app.view_functions:
            yield f"{link!r} has an unknown endpoint."
        if link.icon not in icons:
            yield f"{link!r} has an unknown icon; see assets/icons.txt and docs/building.md."


def _wrong_views(app: Flask, product: Product) -> Iterator[str]:
    """Yield errors for views that require undeclared plans, features or scopes."""
    plans, features = product.catalogue.by_id, product.catalogue.features
    known = [scope.name for scope in (*_SCOPES, *product.scopes)]
    for endpoint, view in app.view_functions.items():
        plan, scope = getattr(view, "required_plan", None), getattr(view, "required_scope", None)
        feature = getattr(view, "required_feature", None)
        if plan is not None and plan not in plans:
            yield (
                f"the view {endpoint} requires the plan {plan!r}; the catalogue has "
                f"{', '.join(plans)}."
            )
        if feature is not None and feature not in features:
            yield (
                f"the view {endpoint} requires the feature {feature!r}; the catalogue has "
                f"{', '.join(sorted(features)) or 'none'}."
            )
        if scope is not None and scope not in known:
            yield f"the view {endpoint} requires the scope {scope!r}, which is not declared."

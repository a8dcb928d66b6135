"""Functions for templates that each page calls dozens of times, so their results are cached."""

from __future__ import annotations

from functools import cache
from typing import Any

import flask
from flask import Flask
from markupsafe import Markup


def init_app(app: Flask) -> None:
    """Give templates `icon`, and a faster `url_for`."""

    @app.template_global()
    @cache
    def icon(name: str, css_class: str = "") -> Markup:
        """Return a Lucide icon as SVG; `assets/icons.txt` names them."""
        macros: Any = app.jinja_env.get_template("macros/icons.html").module
        return Markup(macros.icon(name, css_class))  # noqa: S704 - a macro escapes

    @cache
    def url_of(endpoint: str) -> str:
        return flask.url_for(endpoint)

    @app.template_global()
    def url_for(endpoint: str, **values: Any) -> str:
        """Return the same as Flask's; URLs without values are built once.

        `saas.proxies` ensures that the root path is the same for all requests.
        """
        depends_on_request = values or endpoint.startswith(".") or app.url_default_functions
        return flask.url_for(endpoint, **values) if depends_on_request else url_of(endpoint)

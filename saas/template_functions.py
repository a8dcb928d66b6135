"""Functions for templates that each page calls dozens of times, so their results are cached."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Hashable, KeysView, MutableMapping
from functools import cache, lru_cache
from typing import Any

import flask.templating
from flask import Flask
from jinja2.runtime import Macro
from markupsafe import Markup


class _Globals(ChainMap[str, Any]):
    """Jinja's global names. It compares them at each import, which takes a ChainMap 20 µs."""

    def keys(self) -> KeysView[str]:
        return dict.fromkeys(self).keys()


class Environment(flask.templating.Environment):
    """Flask's environment, with faster imports."""

    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        return _Globals({} if d is None else d, self.globals)


def init_app(app: Flask) -> None:
    """Give templates `icon`, `cached`, and a faster `url_for`.

    In development, templates can change, so `icon` and `cached` keep nothing.
    """
    # 0 keeps nothing.
    kept = lru_cache(maxsize=0 if app.config["TEMPLATES_AUTO_RELOAD"] else 1000)

    @app.template_global()
    @kept
    def cached(macro: Macro, *arguments: Hashable) -> Markup:
        """Return what an imported macro returns, which must depend only on its arguments."""
        return Markup(macro(*arguments))  # noqa: S704 - macros escape

    @app.template_global()
    @kept
    def icon(name: str, css_class: str = "") -> Markup:
        """Return a Lucide icon as SVG; `assets/icons.txt` names them."""
        macros: Any = app.jinja_env.get_template("macros/icons.html").module
        return Markup(macros.icon(name, css_class))  # noqa: S704 - a macro escapes

    @cache
    def url_of(endpoint: str) -> str:
        # Independent of the request, because it is cached for all users.
        return app.url_map.bind("localhost").build(endpoint)

    @app.template_global()
    def url_for(endpoint: str, **values: Any) -> str:
        """Return the same as Flask's; URLs without values are built once.

        `saas.proxies` ensures that the root path is the same for all requests.
        """
        depends_on_request = values or endpoint.startswith(".") or app.url_default_functions
        return flask.url_for(endpoint, **values) if depends_on_request else url_of(endpoint)

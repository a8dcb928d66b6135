"""A SaaS on Flask: sign-in, Stripe subscriptions, users and roles, share cards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Flask

from saas import config as configuration


def create_app(config: Mapping[str, Any] | None = None, product: str = "product") -> Flask:
    """Create the application for the product with this import name.

    `config` comes from `config.from_env`, which by default reads the environment.
    """
    from saas import cli, products, schema_state, template_functions

    declared = products.load(product)
    # No static folder: `saas.static_files` serves the product's files and ours.
    templates = str(configuration.ROOT / "templates")
    app = Flask(__name__, template_folder=templates, static_folder=None)
    app.jinja_environment = template_functions.Environment
    app.config.from_mapping(config or configuration.from_env(configuration.environment(), declared))
    products.use_files(app, declared)
    _init_extensions(app)
    schema_state.init_app(app, product)
    _register_blueprints(app)
    products.init_app(app, declared)
    cli.init_app(app)
    return app


def _init_extensions(app: Flask) -> None:
    from saas import (
        database,
        errors,
        jobs,
        limits,
        local_host,
        logs,
        proxies,
        security,
        sentry,
        static_files,
        template_filters,
        template_functions,
    )
    from saas.auth import sessions

    logs.init_app(app)
    sentry.init_app(app)
    local_host.init_app(app)
    errors.init_app(app)
    database.init_app(app)
    jobs.init_app(app)
    sessions.init_app(app)
    static_files.init_app(app)
    proxies.init_app(app)
    security.init_app(app)
    limits.init_app(app)
    template_filters.init_app(app)
    template_functions.init_app(app)


def _register_blueprints(app: Flask) -> None:
    from saas import admin, auth, billing, og, site, users

    for room in (site, admin, auth, billing, users, og):
        app.register_blueprint(room.bp)

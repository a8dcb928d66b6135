"""A SaaS on Flask: sign-in, Stripe subscriptions, people and roles, share cards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Flask

from saas import config as configuration


def create_app(config: Mapping[str, Any] | None = None, product: str = "product") -> Flask:
    """The application for a product, named by the import name of its package.

    `config` is what `config.from_env` gives, by default for the environment.
    """
    from saas import (
        cli,
        database,
        errors,
        jobs,
        limits,
        local_host,
        logs,
        products,
        proxies,
        schema_state,
        security,
        template_filters,
    )
    from saas.auth import bp as auth
    from saas.auth import sessions
    from saas.billing import bp as billing
    from saas.og import bp as og
    from saas.site import bp as site
    from saas.users import bp as users

    declared = products.load(product)
    app = Flask(__name__, template_folder=str(configuration.ROOT / "templates"))
    app.config.from_mapping(config or configuration.from_env(configuration.environment(), declared))
    logs.init_app(app)
    local_host.init_app(app)
    errors.init_app(app)
    database.init_app(app)
    schema_state.init_app(app, product)
    jobs.init_app(app)
    sessions.init_app(app)
    proxies.init_app(app)
    security.init_app(app)
    limits.init_app(app)
    template_filters.init_app(app)

    products.use_files(app, declared)
    for room in (site, auth, billing, users, og):
        app.register_blueprint(room)
    products.init_app(app, declared)
    cli.init_app(app)
    return app

"""Applications for tests: their settings, their databases, and how they are closed."""

from __future__ import annotations

import os
from typing import Any

import pytest
from flask import Flask
from flask_migrate import upgrade

from saas import create_app, products
from saas.config import from_env
from saas.database import db

os.environ["FLASK_SKIP_DOTENV"] = "1"  # the .env of `make run` is not for tests
PRODUCT = "tests.harness.sample_product"  # not imported here: tests of product/ run without it
SECRET = "a-secret-for-tests-of-more-than-32-characters"

both_databases = pytest.mark.parametrize(
    "database_url", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)


def settings(product: str = PRODUCT, /, **changes: str) -> dict[str, Any]:
    """Return the configuration of a test application, as its environment would give it."""
    env = {
        "SAAS_ENV": "test", "SECRET_KEY": SECRET, "JOBS_URL": "inline:",
        "DATABASE_POOL_SIZE": "50",  # tests of races have more threads than a server
    }  # fmt: skip
    return from_env({**env, **changes}, products.load(product))


def own_env(**env: str) -> dict[str, str]:
    """Return the environment for a process of ours, without that of the test run."""
    kept = {
        name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ
    }
    return {**kept, "FLASK_SKIP_DOTENV": "1", "SECRET_KEY": SECRET, **env}


def migrate(url: str, product: str = PRODUCT) -> None:
    """Apply all migrations to a database."""
    app = create_app(settings(product, DATABASE_URL=url), product)
    with app.app_context():
        upgrade(revision="heads")
    close(app)


def close(app: Flask) -> None:
    """Release everything that an application holds open."""
    with app.app_context():
        db.session.remove()
        for engine in db.engines.values():
            engine.dispose()
    if queue := vars(app.extensions["queue"]).get("huey"):  # created when it was first needed
        queue.storage.close()
    if app.config["REDIS_URL"]:
        app.extensions["limits"].close()
    for client in app.extensions.get("stripe", {}).values():
        client._requestor._client.close()  # Stripe's client has no public way to close it

"""Settings: a pure function of the environment that reports all errors together.

This is the only module of the application that reads `os.environ`; `wsgi.py` and `gunicorn.conf.py`
read the server's settings. Secrets have no guessable defaults: `make run` writes random values to
`instance/.env`, which all processes share.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from dotenv import dotenv_values
from flask.helpers import get_load_dotenv
from marshmallow import Schema, ValidationError

from saas import plan_checks
from saas.config.contradictions import contradictions
from saas.config.derived import derived_settings
from saas.config.schema import EnvironmentSchema, environment_schema
from saas.declaration import Product

__all__ = ["ROOT", "ConfigError", "EnvironmentSchema", "environment", "from_env"]

ROOT = Path(__file__).resolve().parent.parent.parent


class ConfigError(Exception):
    """The configuration is invalid. `problems` maps each invalid variable to its errors."""

    def __init__(self, problems: Mapping[str, list[str]]) -> None:
        self.problems = {name: list(messages) for name, messages in sorted(problems.items())}
        lines = [f"{name}: {' '.join(messages)}" for name, messages in self.problems.items()]
        super().__init__("The configuration is invalid.\n" + "\n".join(lines))


_FILES = ("instance/sandbox.env", "instance/.env", ".env")  # later files override earlier ones


def environment(root: Path = ROOT) -> dict[str, str]:
    """Return the variables of the files in `_FILES`, overridden by the process environment.

    With Flask's FLASK_SKIP_DOTENV, return only the process environment:
    https://flask.palletsprojects.com/en/stable/cli/#environment-variables-from-dotenv
    """
    merged: dict[str, str] = {}
    for name in _FILES if get_load_dotenv() else ():
        try:
            values = dotenv_values(root / name, interpolate=False)
        except UnicodeDecodeError:
            raise ConfigError({name: ["is not a text file in UTF-8."]}) from None
        merged.update({key: value for key, value in values.items() if value})
    return {**merged, **{key: value for key, value in os.environ.items() if value}}


def from_env(env: Mapping[str, str], product: Product) -> dict[str, Any]:
    """Return Flask's configuration from environment variables, for a product.

    Raises `ConfigError` with the names of all invalid variables, never their values. Settings that
    are valid but probably unintended, such as a test key in production, cause a warning.
    """
    catalogue = product.catalogue
    if refused := plan_checks.problems(catalogue):
        raise ConfigError({f"{product.import_name}/catalogue.py": refused})
    schema = environment_schema(catalogue)
    if unreadable := _not_text(env, schema):
        raise ConfigError(unreadable)
    settings, problems = _load(dict(env), schema)
    if "SECRET_KEY" in problems and "SECRET_KEY" not in env and env.get("FLASK_SKIP_DOTENV"):
        problems["SECRET_KEY"].append("FLASK_SKIP_DOTENV is set, so this file is not read.")
    if env.get("APP_NAME"):
        warnings.warn("APP_NAME is no longer read: set the name in brand.toml.", stacklevel=2)
    for name, messages in contradictions(settings, catalogue).items():
        problems.setdefault(name, messages)
    if problems:
        raise ConfigError(problems)
    return {**settings, **derived_settings(settings, product)}


def _not_text(env: Mapping[str, str], schema: type[Schema]) -> dict[str, list[str]]:
    """Return errors for our variables whose value is not valid UTF-8."""
    ours = schema().fields
    return {
        name: ["must be valid UTF-8."]
        for name, value in env.items()
        if name in ours and not value.isascii() and not _is_utf8(value)
    }


def _is_utf8(value: str) -> bool:
    try:
        return bool(value.encode())
    except UnicodeEncodeError:  # os.environ keeps such bytes as lone surrogates
        return False


def _load(env: dict[str, str], schema: type[Schema]) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Return the settings and the errors by variable. Invalid variables keep their raw value."""
    try:
        return schema().load(env), {}
    except ValidationError as error:
        problems = cast("dict[str, list[str]]", error.messages)
    as_given = {name: env.get(name, "") for name in problems}
    rest = {name: value for name, value in env.items() if name not in problems}
    settings = schema(partial=("SECRET_KEY",)).load(rest)
    return {**settings, **as_given}, problems

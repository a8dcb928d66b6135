"""The variables of the environment, with type and validation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import EXCLUDE, Schema, fields, post_load, pre_load, validate

from saas.config.validators import (
    SECRET_LENGTH,
    database_url,
    folders,
    https_origins,
    long_enough,
    no_google_secret,
    no_prefix,
    normalize_origin,
    origin,
    port,
    redis_url,
    sender,
    sentry_dsn,
    smtp_url,
    starts_with,
    token,
    tokens,
)
from saas.declaration import check_printable
from saas.plans import Catalogue


def _optional(*checks: Any) -> fields.String:
    return fields.String(load_default="", validate=list(checks))


class EnvironmentSchema(Schema):
    """All variables of the application, with type and validation.

    `environment_schema` adds the prices of a catalogue.
    """

    class Meta:
        unknown = EXCLUDE

    SAAS_ENV = fields.String(
        load_default="development",
        validate=validate.OneOf(
            ("development", "test", "production"),
            error="must be development, test or production.",
        ),
    )
    APP_URL = fields.String(load_default="http://localhost:5000", validate=origin)
    SECRET_KEY = fields.String(
        required=True,
        validate=validate.Length(
            min=SECRET_LENGTH, error=f"must have at least {SECRET_LENGTH} characters."
        ),
        error_messages={
            "required": "is missing. `make run` writes one to instance/.env. On a server, generate "
            "a long random one: python3 -c 'import secrets; print(secrets.token_urlsafe(48))'."
        },
    )
    SECRET_KEY_FALLBACKS = _optional(long_enough)
    DATABASE_URL = _optional(database_url)
    DATABASE_POOL_SIZE = fields.Integer(
        load_default=6,
        validate=validate.Range(1, 100, error="must be a whole number from 1 to 100."),
        error_messages={"invalid": "must be a whole number."},
    )
    REDIS_URL = _optional(starts_with("redis://", "rediss://"), port, redis_url)
    JOBS_URL = _optional(
        starts_with(
            "sqlite:///",
            "postgresql://",
            "postgresql+psycopg://",
            "redis://",
            "rediss://",
            "inline:",
        ),
        port,
        redis_url,
    )
    SANDBOX_URL = _optional(origin)
    STRIPE_API_KEY = _optional(starts_with("sk_", "rk_"), token)
    STRIPE_WEBHOOK_SECRET = _optional(starts_with("whsec_"), tokens)
    STRIPE_PORTAL_CONFIGURATION_ID = _optional(starts_with("bpc_"), token)
    STRIPE_PAGES = _optional(https_origins)
    STRIPE_AUTOMATIC_TAX = fields.Boolean(
        load_default=False, error_messages={"invalid": "must be true or false."}
    )
    STRIPE_MANAGED_PAYMENTS = fields.Boolean(
        load_default=False, error_messages={"invalid": "must be true or false."}
    )
    GOOGLE_CLIENT_ID = _optional(token, no_google_secret)
    GOOGLE_CLIENT_SECRET = _optional(token)
    GITHUB_CLIENT_ID = _optional(token)
    GITHUB_CLIENT_SECRET = _optional(token)
    RESEND_API_KEY = _optional(starts_with("re_"), token)
    SMTP_URL = _optional(smtp_url)
    EMAIL_FROM = _optional(check_printable, sender)
    SENTRY_DSN = _optional(sentry_dsn)
    METRICS_HOST = fields.String(load_default="127.0.0.1")
    METRICS_PORT = fields.Integer(
        load_default=0,
        validate=validate.Range(1, 65534, error="must be a port from 1 to 65534."),
        error_messages={"invalid": "must be a port, such as 9100."},
    )
    TRUSTED_PROXIES = fields.Integer(
        load_default=0,
        validate=validate.Range(0, 5, error="must be a whole number from 0 to 5."),
        error_messages={"invalid": "must be a whole number."},
    )
    HSTS_INCLUDE_SUBDOMAINS = fields.Boolean(
        load_default=False, error_messages={"invalid": "must be true or false."}
    )
    # Read by requests: https://requests.readthedocs.io/en/latest/user/advanced/#ssl-cert-verification
    REQUESTS_CA_BUNDLE = _optional()
    CURL_CA_BUNDLE = _optional()
    # gunicorn reads it too, and would add it to every link.
    SCRIPT_NAME = _optional(no_prefix)
    VIEW_AS_EMAIL = fields.Boolean(
        load_default=False, error_messages={"invalid": "must be true or false."}
    )
    PAST_DUE_GRACE_DAYS = fields.Integer(
        load_default=7,
        validate=validate.Range(0, 90, error="must be a whole number of days from 0 to 90."),
        error_messages={"invalid": "must be a whole number of days."},
    )
    OG_FONTS = _optional(folders)

    @pre_load
    def _tidy(self, env: dict[str, str], **_: Any) -> dict[str, str]:
        """Drop empty values, and use the sandbox's values of Stripe if there is no real key."""
        env = {name: value.strip().strip("\ufeff") for name, value in env.items()}
        env = {name: value for name, value in env.items() if value}
        if _uses_sandbox_stripe(env):
            for name in self.fields:
                if name.startswith("STRIPE_") and name not in _STRIPE_OPTIONS:
                    env[name] = env.get(f"SANDBOX_{name}", "")
            env = {name: value for name, value in env.items() if value}
        if "APP_URL" in env:
            env["APP_URL"] = normalize_origin(env["APP_URL"])
        for name in ("DATABASE_URL", "JOBS_URL"):
            if env.get(name, "").startswith("postgres://"):
                env[name] = "postgresql://" + env[name].removeprefix("postgres://")
        return env

    @post_load(pass_original=True)
    def _fill(self, data: dict[str, Any], env: Mapping[str, str], **_: Any) -> dict[str, Any]:
        data["APP_URL"] = data["APP_URL"].rstrip("/")
        data["SANDBOX_URL"] = data["SANDBOX_URL"].rstrip("/")
        data["STRIPE_IS_SANDBOX"] = _uses_sandbox_stripe(env) or not data["STRIPE_API_KEY"]
        if data["SAAS_ENV"] != "production":
            data["DATABASE_URL"] = data["DATABASE_URL"] or "sqlite:///app.db"
            if _needs_sandbox(data):
                data["SANDBOX_URL"] = data["SANDBOX_URL"] or "http://localhost:5001"
        return data


# The other Stripe variables are keys and ids, which the sandbox provides as well.
_STRIPE_OPTIONS = ("STRIPE_PAGES", "STRIPE_AUTOMATIC_TAX", "STRIPE_MANAGED_PAYMENTS")


def environment_schema(catalogue: Catalogue) -> type[Schema]:
    """Return the schema with the price variables of a catalogue."""
    names = catalogue.price_variables.values()
    return EnvironmentSchema.from_dict(
        {name: _optional(starts_with("price_"), tokens) for name in names}
    )


def _uses_sandbox_stripe(env: Mapping[str, str]) -> bool:
    """Return whether the sandbox's key and ids replace Stripe's; never in production."""
    is_production = env.get("SAAS_ENV") == "production"
    return "SANDBOX_STRIPE_API_KEY" in env and not env.get("STRIPE_API_KEY") and not is_production


def _needs_sandbox(settings: Mapping[str, Any]) -> bool:
    has_mail = bool(settings["SMTP_URL"] or settings["RESEND_API_KEY"])
    return bool(settings["STRIPE_IS_SANDBOX"]) or not has_mail

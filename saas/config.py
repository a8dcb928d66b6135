"""Settings: a pure function of the environment that reports all errors at once.

This is the only module of the application that reads `os.environ`; `wsgi.py` and
`gunicorn.conf.py` read the server's settings. Secrets have no default that could be guessed:
`make run` writes random values to `instance/.env`, which all processes share.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping
from email.headerregistry import Address
from email.utils import getaddresses, parseaddr
from ipaddress import ip_address
from pathlib import Path
from typing import Any, cast
from urllib.parse import SplitResult, urlsplit

import idna
from dotenv import dotenv_values
from email_validator import EmailNotValidError, validate_email
from flask.helpers import get_load_dotenv
from marshmallow import EXCLUDE, Schema, ValidationError, fields, post_load, pre_load, validate
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from saas import hosts
from saas.declaration import Brand, Product, check_printable
from saas.plans import Catalogue

ROOT = Path(__file__).resolve().parent.parent

SIGN_IN_VARIABLES = {
    provider: (f"{provider.upper()}_CLIENT_ID", f"{provider.upper()}_CLIENT_SECRET")
    for provider in ("google", "github")
}


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
    if refused := catalogue.problems():
        raise ConfigError({f"{product.import_name}/catalogue.py": refused})
    schema = environment_schema(catalogue)
    if unreadable := _not_text(env, schema):
        raise ConfigError(unreadable)
    settings, problems = _load(dict(env), schema)
    if "SECRET_KEY" in problems and "SECRET_KEY" not in env and env.get("FLASK_SKIP_DOTENV"):
        problems["SECRET_KEY"].append("FLASK_SKIP_DOTENV is set, so this file is not read.")
    if env.get("APP_NAME"):
        warnings.warn("APP_NAME is no longer read: set the name in brand.toml.", stacklevel=2)
    for name, messages in _contradictions(settings, catalogue).items():
        problems.setdefault(name, messages)
    if problems:
        raise ConfigError(problems)
    return {**settings, **_derived(settings, product)}


def _not_text(env: Mapping[str, str], schema: type[Schema]) -> dict[str, list[str]]:
    """Return errors for variables of ours whose value is not valid UTF-8."""
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


def _origin(value: str) -> None:
    parts = _split_address(value)
    named = parts and parts.scheme in ("http", "https") and _HOST.fullmatch(parts.netloc)
    if (
        not parts
        or not named
        or not hosts.is_host(parts.hostname)
        or parts.path.strip("/")
        or parts.query
        or parts.fragment
    ):
        raise ValidationError("must be a URL without a path, such as https://example.com.")


def _normalize_host(url: str) -> str:
    """Return an origin in the form that browsers send, or an invalid value unchanged.

    Passkeys and forms compare origins as strings: https://url.spec.whatwg.org/#concept-url-origin
    """
    parts = _split_address(url)
    if parts is None or parts.path.strip("/") or parts.query or parts.fragment or parts.username:
        return url
    host = (parts.hostname or "").removesuffix(".")
    try:
        host = host if host.isascii() else idna.encode(host, uts46=True).decode()
    except idna.IDNAError:
        return url
    host = f"[{ip_address(host)}]" if ":" in host and hosts.is_ip(host) else host
    is_default = parts.port in (None, {"http": 80, "https": 443}.get(parts.scheme))
    return f"{parts.scheme}://{host}" + ("" if is_default else f":{parts.port}")


def _https_origins(value: str) -> None:
    for part in _split(value):
        try:
            _origin(part)
            is_https = part.lower().startswith("https://") and not part.endswith(("#", "?"))
        except ValidationError:
            is_https = False
        if not is_https:
            raise ValidationError(
                "must be https URLs without a path, such as https://pay.example.com."
            )


_HOST = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?")


def _refuse_prefix(_: str) -> None:
    raise ValidationError("is not supported: the application must be at the root of its own host.")


def _split_address(value: str) -> SplitResult | None:
    """Return the parts of a URL, or None for an invalid one, such as one with an invalid port."""
    try:
        parts = urlsplit(value)
        return parts if parts.hostname and (parts.port is None or parts.port > 0) else None
    except ValueError:
        return None


def _smtp_url(value: str) -> None:
    if not value.startswith(("smtp://", "smtps://", "smtp+starttls://")):
        raise ValidationError("must start with smtp://, smtps:// or smtp+starttls://.")
    parts = _split_address(value)
    if parts is None or not hosts.is_host(parts.hostname):
        raise ValidationError("must be like smtp+starttls://user:password@host:port.")


def _sender(value: str) -> None:
    if len(getaddresses([value])) != 1:
        raise ValidationError(
            "must be one email address. Quote a name that contains a comma: "
            '"App, Inc." <hello@example.com>.'
        )
    if not _ascii_email(parseaddr(value)[1]):
        raise ValidationError(
            "must be an email address, with ASCII before the @, such as App <hello@example.com>."
        )


def _ascii_email(email: str) -> str | None:
    """Return an email address with its domain in punycode, or None if it is invalid."""
    try:
        return validate_email(email, check_deliverability=False, test_environment=True).ascii_email
    except EmailNotValidError:
        return None


def _mailbox(name: str, email: str) -> str:
    """Return a `From` header with exactly one address, whatever the name contains."""
    return str(Address(display_name=name, addr_spec=email)) if name else email


def _from(settings: Mapping[str, Any], brand: Brand, host: str) -> str:
    """Return the sender of emails: `EMAIL_FROM`, or `hello@` at the application's host."""
    if not settings["EMAIL_FROM"]:
        return _mailbox(brand.name, f"hello@{'localhost' if ':' in host else host}")
    name, email = parseaddr(settings["EMAIL_FROM"])
    return _mailbox(name, _ascii_email(email) or email)


def _token(value: str) -> None:
    """Check that a key can be sent in an HTTP header."""
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise ValidationError(
            "must be ASCII without spaces: other characters were pasted along with it."
        )
    if "," in value or ";" in value:
        raise ValidationError("must be a single value.")


def _no_google_secret(value: str) -> None:
    if value.startswith("GOCSPX-"):
        raise ValidationError("is a client secret: set it as GOOGLE_CLIENT_SECRET.")


def _folders(value: str) -> None:
    for part in value.split(os.pathsep):
        if part and not Path(part).is_dir():
            raise ValidationError(f"must list existing folders; {part} does not exist.")


def _tokens(value: str) -> None:
    for part in _split(value):
        _token(part)


def _port(value: str) -> None:
    try:
        urlsplit(value).port  # noqa: B018 - reading it checks it
    except ValueError:
        raise ValidationError("has a port that is not a number from 0 to 65535.") from None


def _redis_url(value: str) -> None:
    if not value.startswith(("redis://", "rediss://")):
        return
    import redis  # slow to import, and only needed with Redis

    try:
        redis.ConnectionPool.from_url(value)
    except (ValueError, TypeError):
        raise ValidationError(
            "must be like redis://:password@host:6379/0. Check the options after the question mark."
        ) from None


def _database_url(value: str) -> None:
    try:
        url = make_url(value)
        known = url.drivername.partition("+")[0] in ("sqlite", "postgresql") and url.database
    except (ArgumentError, ValueError):
        known = None
    if known and url.drivername not in _DRIVERS:
        raise ValidationError(f"has an unsupported driver: use {', '.join(_DRIVERS)}.")
    if not known or ":memory:" in known:
        raise ValidationError(
            "must be like sqlite:///file.db or postgresql://user:password@host/name."
        )


_DRIVERS = ("sqlite", "postgresql", "postgresql+psycopg")

# Ids that are easily copied by mistake, by their prefix.
_OTHER_IDS = {
    "prod": "a product: copy the id of one of its prices instead",
    "pk": "a publishable key: use the secret key instead",
    "plink": "a payment link",
    "sub": "a subscription",
    "we": "a webhook endpoint: use its signing secret instead",
}


def _starts_with(*prefixes: str) -> Any:
    def check(value: str) -> None:
        if value and not _split(value):
            raise ValidationError("is empty.")
        for part in _split(value):
            if part.endswith("_"):
                raise ValidationError("is incomplete: it consists only of the prefix.")
            if not part.startswith(prefixes):
                other = _OTHER_IDS.get(part.partition("_")[0])
                hint = f" This is the id of {other}." if other else ""
                raise ValidationError(f"must start with {' or '.join(prefixes)}.{hint}")

    return check


def _split(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _long_enough(value: str) -> None:
    if any(len(part) < _SECRET_LENGTH for part in _split(value)):
        raise ValidationError(f"must have at least {_SECRET_LENGTH} characters each.")


_SECRET_LENGTH = 32
_SIGNING_SECRET_LENGTH = 32  # Stripe's have whsec_ and 32 more characters


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
    APP_URL = fields.String(load_default="http://localhost:5000", validate=_origin)
    SECRET_KEY = fields.String(
        required=True,
        validate=validate.Length(
            min=_SECRET_LENGTH, error=f"must have at least {_SECRET_LENGTH} characters."
        ),
        error_messages={
            "required": "is missing. `make run` writes one to instance/.env. On a server, generate "
            "a long random one: python3 -c 'import secrets; print(secrets.token_urlsafe(48))'."
        },
    )
    SECRET_KEY_FALLBACKS = _optional(_long_enough)
    DATABASE_URL = _optional(_database_url)
    REDIS_URL = _optional(_starts_with("redis://", "rediss://"), _port, _redis_url)
    JOBS_URL = _optional(
        _starts_with(
            "sqlite:///",
            "postgresql://",
            "postgresql+psycopg://",
            "redis://",
            "rediss://",
            "inline:",
        ),
        _port,
        _redis_url,
    )
    SANDBOX_URL = _optional(_origin)
    STRIPE_API_KEY = _optional(_starts_with("sk_", "rk_"), _token)
    STRIPE_WEBHOOK_SECRET = _optional(_starts_with("whsec_"), _tokens)
    STRIPE_PORTAL_CONFIGURATION_ID = _optional(_starts_with("bpc_"), _token)
    STRIPE_PAGES = _optional(_https_origins)
    STRIPE_AUTOMATIC_TAX = fields.Boolean(
        load_default=False, error_messages={"invalid": "must be true or false."}
    )
    GOOGLE_CLIENT_ID = _optional(_token, _no_google_secret)
    GOOGLE_CLIENT_SECRET = _optional(_token)
    GITHUB_CLIENT_ID = _optional(_token)
    GITHUB_CLIENT_SECRET = _optional(_token)
    RESEND_API_KEY = _optional(_starts_with("re_"), _token)
    SMTP_URL = _optional(_smtp_url)
    EMAIL_FROM = _optional(check_printable, _sender)
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
    SCRIPT_NAME = _optional(_refuse_prefix)
    PAST_DUE_GRACE_DAYS = fields.Integer(
        load_default=7,
        validate=validate.Range(0, 90, error="must be a whole number of days from 0 to 90."),
        error_messages={"invalid": "must be a whole number of days."},
    )
    OG_FONTS = _optional(_folders)

    @pre_load
    def _tidy(self, env: dict[str, str], **_: Any) -> dict[str, str]:
        """Drop empty values, and use the sandbox's values of Stripe if there is no real key."""
        env = {name: value.strip().strip("\ufeff") for name, value in env.items()}
        env = {name: value for name, value in env.items() if value}
        if _plays_stripe(env):
            for name in self.fields:
                if name.startswith("STRIPE_") and name not in _STRIPE_OPTIONS:
                    env[name] = env.get(f"SANDBOX_{name}", "")
            env = {name: value for name, value in env.items() if value}
        if "APP_URL" in env:
            env["APP_URL"] = _normalize_host(env["APP_URL"])
        for name in ("DATABASE_URL", "JOBS_URL"):
            if env.get(name, "").startswith("postgres://"):
                env[name] = "postgresql://" + env[name].removeprefix("postgres://")
        return env

    @post_load(pass_original=True)
    def _fill(self, data: dict[str, Any], env: Mapping[str, str], **_: Any) -> dict[str, Any]:
        data["APP_URL"] = data["APP_URL"].rstrip("/")
        data["SANDBOX_URL"] = data["SANDBOX_URL"].rstrip("/")
        data["STRIPE_IS_SANDBOX"] = _plays_stripe(env) or not data["STRIPE_API_KEY"]
        if data["SAAS_ENV"] != "production":
            data["DATABASE_URL"] = data["DATABASE_URL"] or "sqlite:///app.db"
            if _needs_sandbox(data):
                data["SANDBOX_URL"] = data["SANDBOX_URL"] or "http://localhost:5001"
        return data


# Options; the other variables of Stripe are keys and ids, which the sandbox provides too.
_STRIPE_OPTIONS = ("STRIPE_PAGES", "STRIPE_AUTOMATIC_TAX")


def environment_schema(catalogue: Catalogue) -> type[Schema]:
    """Return the schema with the price variables of a catalogue."""
    names = catalogue.price_variables.values()
    return EnvironmentSchema.from_dict(
        {name: _optional(_starts_with("price_"), _tokens) for name in names}
    )


def _plays_stripe(env: Mapping[str, str]) -> bool:
    """Return whether the sandbox's key and ids replace Stripe's; never in production."""
    is_production = env.get("SAAS_ENV") == "production"
    return "SANDBOX_STRIPE_API_KEY" in env and not env.get("STRIPE_API_KEY") and not is_production


def _needs_sandbox(settings: Mapping[str, Any]) -> bool:
    has_mail = bool(settings["SMTP_URL"] or settings["RESEND_API_KEY"])
    return bool(settings["STRIPE_IS_SANDBOX"]) or not has_mail


def _contradictions(settings: Mapping[str, Any], catalogue: Catalogue) -> dict[str, list[str]]:
    """Return errors that concern several variables, and those of production."""
    problems: dict[str, list[str]] = {}

    def refuse(name: str, why: str) -> None:
        problems.setdefault(name, []).append(why)

    if settings["SMTP_URL"] and settings["RESEND_API_KEY"]:
        refuse("SMTP_URL", "cannot be used together with RESEND_API_KEY: set one of them.")
    if settings["SANDBOX_URL"] == settings["APP_URL"]:
        refuse("SANDBOX_URL", "must differ from APP_URL: the sandbox listens on its own port.")
    if ":memory:" in settings["JOBS_URL"]:
        refuse("JOBS_URL", "must be a file: the web processes and the worker share it.")
    if settings["JOBS_URL"] == "inline:" and settings["SAAS_ENV"] != "test":
        refuse("JOBS_URL", "may be inline: only in tests.")
    _refuse_incomplete_provider(settings, refuse)
    _refuse_one_price_for_two_plans(settings, catalogue, refuse)
    if settings["SAAS_ENV"] == "production":
        _refuse_incomplete_production(settings, refuse)
        _refuse_missing_certificates(settings, refuse)
        _refuse_incomplete_stripe(settings, catalogue, refuse)
        _refuse_regular_secrets(settings, refuse)
    return problems


def _refuse_regular_secrets(settings: Mapping[str, Any], refuse: Any) -> None:
    for name in ("SECRET_KEY", "SECRET_KEY_FALLBACKS"):
        keys = _split(settings[name]) if name.endswith("S") else (settings[name],)
        if any(len(set(key)) < 12 for key in keys):
            refuse(name, "is not random enough.")
        if any("token_urlsafe" in key for key in keys):
            refuse(
                name, "contains the command that generates a key. Use the output of the command."
            )
    for secret in _split(settings["STRIPE_WEBHOOK_SECRET"]):
        if len(secret) < _SIGNING_SECRET_LENGTH or len(set(secret)) < 12:
            refuse(
                "STRIPE_WEBHOOK_SECRET",
                "is not a signing secret from Stripe. Copy it from the webhook endpoint.",
            )


def _refuse_missing_certificates(settings: Mapping[str, Any], refuse: Any) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if settings[name] and not Path(settings[name]).exists():
            refuse(name, "must be an existing file. Without it, every HTTPS request fails.")


def _refuse_incomplete_stripe(
    settings: Mapping[str, Any], catalogue: Catalogue, refuse: Any
) -> None:
    """Check only in production: elsewhere `flask billing setup` starts with only a key."""
    for name in ("STRIPE_WEBHOOK_SECRET", *catalogue.price_variables.values()):
        if settings["STRIPE_API_KEY"] and not settings[name]:
            refuse(name, "is required with STRIPE_API_KEY: see docs/operations.md.")


def _refuse_incomplete_provider(settings: Mapping[str, Any], refuse: Any) -> None:
    for pair in SIGN_IN_VARIABLES.values():
        for missing, other in (pair, pair[::-1]):
            if settings[other] and not settings[missing]:
                refuse(missing, f"is required with {other}.")


def _refuse_one_price_for_two_plans(
    settings: Mapping[str, Any], catalogue: Catalogue, refuse: Any
) -> None:
    owners: dict[str, str] = {}
    for name in catalogue.price_variables.values():
        for price in _split(settings[name]):
            if owners.setdefault(price, name) != name:
                refuse(name, f"contains a price that {owners[price]} also contains.")


def _refuse_incomplete_production(settings: Mapping[str, Any], refuse: Any) -> None:
    for name, why in _MISSING_IN_PRODUCTION.items():
        if not settings[name]:
            refuse(name, why)
    if not settings["APP_URL"].startswith("https://"):
        refuse("APP_URL", "must be an https:// URL in production.")
    if settings["SANDBOX_URL"]:
        refuse("SANDBOX_URL", "must not be set in production: the sandbox is for development.")
    if not settings["SMTP_URL"] and not settings["RESEND_API_KEY"]:
        refuse("SMTP_URL", "or RESEND_API_KEY is required: without email no user can sign in.")
    if "_test_" in settings["STRIPE_API_KEY"]:
        warnings.warn(
            "STRIPE_API_KEY is a test key, so no real payments are possible.", stacklevel=4
        )
    if not settings["TRUSTED_PROXIES"]:
        warnings.warn(
            "TRUSTED_PROXIES is 0. Behind a proxy, all clients then share one IP and its rate "
            "limits. Set it to the number of proxies.",
            stacklevel=4,
        )


_MISSING_IN_PRODUCTION = {
    "DATABASE_URL": "is missing.",
    "STRIPE_API_KEY": "is missing.",
    "EMAIL_FROM": "is missing: the sender of emails.",
}


def _derived(settings: Mapping[str, Any], product: Product) -> dict[str, Any]:
    """Return derived settings: typed tuples, and the names that extensions expect."""
    production = settings["SAAS_ENV"] == "production"
    host = urlsplit(settings["APP_URL"]).hostname or "localhost"
    database = make_url(settings["DATABASE_URL"])
    postgres = database.get_backend_name() == "postgresql"
    if postgres:
        database = database.set(drivername="postgresql+psycopg")
    return {
        "SECRET_KEY_FALLBACKS": list(_split(settings["SECRET_KEY_FALLBACKS"])),
        "STRIPE_WEBHOOK_SECRETS": _split(settings["STRIPE_WEBHOOK_SECRET"]),
        "APP_NAME": product.brand.name,
        "BRAND": product.brand,
        "CATALOGUE": product.catalogue,
        "STRIPE_PRICES": {
            key: _split(settings[name])
            for key, name in product.catalogue.price_variables.items()
            if settings[name]
        },
        "STRIPE_PAGES": tuple(
            page.lower().rstrip("/").removesuffix(":443")
            for page in _split(settings["STRIPE_PAGES"])
        ),
        "STRIPE_API_BASE": f"{settings['SANDBOX_URL']}/stripe"
        if settings["STRIPE_IS_SANDBOX"]
        else "https://api.stripe.com",
        "SIGN_IN_PROVIDERS": _providers(settings),
        "EMAIL_FROM": _from(settings, product.brand, host),
        "SUPPORT_EMAIL": product.brand.support_email
        or parseaddr(_from(settings, product.brand, host))[1],
        "JOBS_URL": settings["JOBS_URL"]
        or settings["REDIS_URL"]
        or (settings["DATABASE_URL"] if postgres else "sqlite:///jobs.db"),
        "SQLALCHEMY_DATABASE_URI": database,
        # Tests change the clock of their own process.
        "FOLLOW_DATABASE_CLOCK": settings["SAAS_ENV"] != "test",
        # Keep email addresses out of tracebacks of failed statements.
        "SQLALCHEMY_ENGINE_OPTIONS": {
            "pool_size": 20,
            "pool_pre_ping": postgres,
            "hide_parameters": True,
        },
        "SESSION_COOKIE_NAME": "__Host-session" if production else "session",
        "SESSION_COOKIE_SECURE": production,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "TRUSTED_HOSTS": [f"[{host}]" if ":" in host else host] if production else None,
        # Forms are valid as long as the session, so one left open overnight still works.
        "WTF_CSRF_TIME_LIMIT": None,
        # security.protect_from_forgery checks instead, so that /api returns 401 before 403.
        "WTF_CSRF_CHECK_DEFAULT": False,
        "WTF_CSRF_SSL_STRICT": False,
        # The last key signs, all are accepted: https://itsdangerous.palletsprojects.com/en/stable/concepts/#key-rotation
        "WTF_CSRF_SECRET_KEY": [*_split(settings["SECRET_KEY_FALLBACKS"]), settings["SECRET_KEY"]],
        "MAX_CONTENT_LENGTH": 1024 * 1024,
        "MAX_FORM_MEMORY_SIZE": 64 * 1024,
        "MAX_FORM_PARTS": 100,
        # In development, reload templates, stylesheets and public pages from their files.
        "TEMPLATES_AUTO_RELOAD": settings["SAAS_ENV"] == "development",
        "TESTING": settings["SAAS_ENV"] == "test",
    }


_REAL_PROVIDERS = {
    # https://accounts.google.com/.well-known/openid-configuration
    "google": {"issuer": "https://accounts.google.com"},
    # https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps
    "github": {"issuer": "https://github.com", "api": "https://api.github.com/"},
}


def _providers(settings: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return the sign-in providers: those with keys, and the sandbox's in development."""
    sandbox = settings["SANDBOX_URL"]
    providers = {}
    for name, (client_id, client_secret) in SIGN_IN_VARIABLES.items():
        if settings[client_id]:
            keys = {"client_id": settings[client_id], "client_secret": settings[client_secret]}
            providers[name] = {**_REAL_PROVIDERS[name], **keys}
        elif sandbox:
            issuer = f"{sandbox}/identity/{name}"
            keys = {"client_id": "development", "client_secret": "known-to-everybody"}
            providers[name] = {"issuer": issuer, "api": f"{issuer}/api/", **keys}
    return providers

"""Validators of single variables. Each raises `ValidationError` that describes valid values."""

from __future__ import annotations

import os
import re
from email.utils import getaddresses, parseaddr
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import idna
from email_validator import EmailNotValidError, validate_email
from marshmallow import ValidationError
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from saas import hosts

SECRET_LENGTH = 32
SIGNING_SECRET_LENGTH = 32  # Stripe's have whsec_ and 32 more characters


_HOST = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?")


def origin(value: str) -> None:
    parts = split_url(value)
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


def https_origins(value: str) -> None:
    for part in split_list(value):
        try:
            origin(part)
            is_https = part.lower().startswith("https://") and not part.endswith(("#", "?"))
        except ValidationError:
            is_https = False
        if not is_https:
            raise ValidationError(
                "must be https URLs without a path, such as https://pay.example.com."
            )


def normalize_origin(url: str) -> str:
    """Return an origin in the form that browsers send, or an invalid value unchanged.

    Passkeys and forms compare origins as strings: https://url.spec.whatwg.org/#concept-url-origin
    """
    parts = split_url(url)
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


def no_prefix(_: str) -> None:
    raise ValidationError("is not supported: the application must be at the root of its own host.")


def split_url(value: str) -> SplitResult | None:
    """Return the parts of a URL, or None for an invalid one, such as one with an invalid port."""
    try:
        parts = urlsplit(value)
        return parts if parts.hostname and (parts.port is None or parts.port > 0) else None
    except ValueError:
        return None


def smtp_url(value: str) -> None:
    if not value.startswith(("smtp://", "smtps://", "smtp+starttls://")):
        raise ValidationError("must start with smtp://, smtps:// or smtp+starttls://.")
    parts = split_url(value)
    if parts is None or not hosts.is_host(parts.hostname):
        raise ValidationError("must be like smtp+starttls://user:password@host:port.")


def sender(value: str) -> None:
    if len(getaddresses([value])) != 1:
        raise ValidationError(
            "must be one email address. Quote a name that contains a comma: "
            '"App, Inc." <hello@example.com>.'
        )
    if not ascii_email(parseaddr(value)[1]):
        raise ValidationError(
            "must be an email address, with ASCII before the @, such as App <hello@example.com>."
        )


def sentry_dsn(value: str) -> None:
    parts = split_url(value)
    project = parts.path.rpartition("/")[2] if parts else ""
    if not parts or parts.scheme not in ("http", "https") or not parts.username or not project:
        raise ValidationError(
            "must be a DSN from Sentry, such as https://key@o1.ingest.sentry.io/2."
        )
    if find_spec("sentry_sdk") is None:
        raise ValidationError("needs the package sentry-sdk: install the extra `sentry`.")


def ascii_email(email: str) -> str | None:
    """Return an email address with its domain in punycode, or None if it is invalid."""
    try:
        return validate_email(email, check_deliverability=False, test_environment=True).ascii_email
    except EmailNotValidError:
        return None


def token(value: str) -> None:
    """Check that a key can be sent in an HTTP header."""
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise ValidationError(
            "must be ASCII without spaces; something else may have been pasted with it."
        )
    if "," in value or ";" in value:
        raise ValidationError("must be a single value.")


def no_google_secret(value: str) -> None:
    if value.startswith("GOCSPX-"):
        raise ValidationError("is a client secret: set it as GOOGLE_CLIENT_SECRET.")


def folders(value: str) -> None:
    for part in value.split(os.pathsep):
        if part and not Path(part).is_dir():
            raise ValidationError(f"must list existing folders; {part} does not exist.")


def tokens(value: str) -> None:
    for part in split_list(value):
        token(part)


def port(value: str) -> None:
    try:
        urlsplit(value).port  # noqa: B018 - reading it checks it
    except ValueError:
        raise ValidationError("has a port that is not a number from 0 to 65535.") from None


def redis_url(value: str) -> None:
    if not value.startswith(("redis://", "rediss://")):
        return
    import redis  # slow to import, and only needed with Redis

    try:
        redis.ConnectionPool.from_url(value)
    except (ValueError, TypeError):
        raise ValidationError(
            "must be like redis://:password@host:6379/0. Check the options after the question mark."
        ) from None


def database_url(value: str) -> None:
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


def starts_with(*prefixes: str) -> Any:
    def check(value: str) -> None:
        if value and not split_list(value):
            raise ValidationError("is empty.")
        for part in split_list(value):
            if part.endswith("_"):
                raise ValidationError("is incomplete: it consists only of the prefix.")
            if not part.startswith(prefixes):
                other = _OTHER_IDS.get(part.partition("_")[0])
                hint = f" This is the id of {other}." if other else ""
                raise ValidationError(f"must start with {' or '.join(prefixes)}.{hint}")

    return check


def split_list(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def long_enough(value: str) -> None:
    if any(len(part) < SECRET_LENGTH for part in split_list(value)):
        raise ValidationError(f"must have at least {SECRET_LENGTH} characters each.")

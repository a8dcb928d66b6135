"""Flask's settings that follow from the variables and the product."""

from __future__ import annotations

from collections.abc import Mapping
from email.headerregistry import Address
from email.utils import parseaddr
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy.engine import make_url

from saas.bulkheads import BoundedPool
from saas.config.providers import sign_in_providers
from saas.config.validators import ascii_email, split_list
from saas.declaration import Brand, Product

# The same for all applications.
_CONSTANTS: dict[str, Any] = {
    "SESSION_COOKIE_HTTPONLY": True,
    "SESSION_COOKIE_SAMESITE": "Lax",
    # Forms are valid for as long as the session, so one left open overnight still works.
    "WTF_CSRF_TIME_LIMIT": None,
    # security.protect_from_forgery checks instead, so that /api returns 401 before 403.
    "WTF_CSRF_CHECK_DEFAULT": False,
    "WTF_CSRF_SSL_STRICT": False,
    "MAX_CONTENT_LENGTH": 1024 * 1024,
    "MAX_FORM_MEMORY_SIZE": 64 * 1024,
    "MAX_FORM_PARTS": 100,
}


def derived_settings(settings: Mapping[str, Any], product: Product) -> dict[str, Any]:
    """Return derived settings: typed tuples, and the names that extensions expect."""
    environment = settings["SAAS_ENV"]
    return {
        **_CONSTANTS,
        **_security(settings),
        **_databases(settings),
        **_stripe(settings, product),
        **_product(settings, product),
        "SIGN_IN_PROVIDERS": sign_in_providers(settings),
        # Tests change the clock of their own process.
        "FOLLOW_DATABASE_CLOCK": environment != "test",
        # In development, reload templates, stylesheets and public pages from their files.
        "TEMPLATES_AUTO_RELOAD": environment == "development",
        "TESTING": environment == "test",
    }


def _security(settings: Mapping[str, Any]) -> dict[str, Any]:
    production = settings["SAAS_ENV"] == "production"
    host, fallbacks = _host(settings), split_list(settings["SECRET_KEY_FALLBACKS"])
    return {
        "SECRET_KEY_FALLBACKS": list(fallbacks),
        # The last key signs, all are accepted:
        # https://itsdangerous.palletsprojects.com/en/stable/concepts/#key-rotation
        "WTF_CSRF_SECRET_KEY": [*fallbacks, settings["SECRET_KEY"]],
        "SESSION_COOKIE_NAME": "__Host-session" if production else "session",
        "SESSION_COOKIE_SECURE": production,
        "TRUSTED_HOSTS": [f"[{host}]" if ":" in host else host] if production else None,
    }


def _databases(settings: Mapping[str, Any]) -> dict[str, Any]:
    url = make_url(settings["DATABASE_URL"])
    postgres = url.get_backend_name() == "postgresql"
    jobs = settings["DATABASE_URL"] if postgres else "sqlite:///jobs.db"
    return {
        "SQLALCHEMY_DATABASE_URI": url.set(drivername="postgresql+psycopg") if postgres else url,
        "SQLALCHEMY_ENGINE_OPTIONS": {
            "poolclass": BoundedPool,
            "pool_size": settings["DATABASE_POOL_SIZE"],
            "max_overflow": 0,
            "pool_timeout": 2,  # seconds
            "pool_pre_ping": postgres,
            "hide_parameters": True,  # keeps email addresses out of tracebacks
        },
        "JOBS_URL": settings["JOBS_URL"] or settings["REDIS_URL"] or jobs,
    }


def _stripe(settings: Mapping[str, Any], product: Product) -> dict[str, Any]:
    sandbox = f"{settings['SANDBOX_URL']}/stripe"
    return {
        "STRIPE_API_BASE": sandbox if settings["STRIPE_IS_SANDBOX"] else "https://api.stripe.com",
        "STRIPE_WEBHOOK_SECRETS": split_list(settings["STRIPE_WEBHOOK_SECRET"]),
        "STRIPE_PRICES": {
            key: split_list(settings[name])
            for key, name in product.catalogue.price_variables.items()
            if settings[name]
        },
        "STRIPE_PAGES": tuple(
            page.lower().rstrip("/").removesuffix(":443")
            for page in split_list(settings["STRIPE_PAGES"])
        ),
    }


def _product(settings: Mapping[str, Any], product: Product) -> dict[str, Any]:
    sender = _sender(settings, product.brand)
    return {
        "APP_NAME": product.brand.name,
        "BRAND": product.brand,
        "CATALOGUE": product.catalogue,
        "EMAIL_FROM": sender,
        "SUPPORT_EMAIL": product.brand.support_email or parseaddr(sender)[1],
    }


def _sender(settings: Mapping[str, Any], brand: Brand) -> str:
    """Return the sender of emails: `EMAIL_FROM`, or `hello@` at the application's host."""
    if not settings["EMAIL_FROM"]:
        host = _host(settings)
        return _mailbox(brand.name, f"hello@{'localhost' if ':' in host else host}")
    name, email = parseaddr(settings["EMAIL_FROM"])
    return _mailbox(name, ascii_email(email) or email)


def _mailbox(name: str, email: str) -> str:
    """Return a `From` header with exactly one address, for any name."""
    return str(Address(display_name=name, addr_spec=email)) if name else email


def _host(settings: Mapping[str, Any]) -> str:
    return urlsplit(settings["APP_URL"]).hostname or "localhost"

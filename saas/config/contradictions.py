"""Errors that no single variable shows: incomplete pairs, and violated rules of production."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from saas.config.providers import SIGN_IN_VARIABLES
from saas.config.validators import SIGNING_SECRET_LENGTH, split_list
from saas.plans import Catalogue


def contradictions(settings: Mapping[str, Any], catalogue: Catalogue) -> dict[str, list[str]]:
    """Return errors that concern several variables, and errors of production settings."""
    problems: dict[str, list[str]] = {}

    def refuse(name: str, why: str) -> None:
        problems.setdefault(name, []).append(why)

    _refuse_two_of_a_kind(settings, refuse)
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


def _refuse_two_of_a_kind(settings: Mapping[str, Any], refuse: Any) -> None:
    if settings["SMTP_URL"] and settings["RESEND_API_KEY"]:
        refuse("SMTP_URL", "cannot be used together with RESEND_API_KEY: set one of them.")
    if settings["STRIPE_MANAGED_PAYMENTS"] and settings["STRIPE_AUTOMATIC_TAX"]:
        refuse(
            "STRIPE_MANAGED_PAYMENTS",
            "includes taxes and cannot be used together with STRIPE_AUTOMATIC_TAX.",
        )


def _refuse_regular_secrets(settings: Mapping[str, Any], refuse: Any) -> None:
    for name in ("SECRET_KEY", "SECRET_KEY_FALLBACKS"):
        keys = split_list(settings[name]) if name.endswith("S") else (settings[name],)
        if any(len(set(key)) < 12 for key in keys):
            refuse(name, "is not random enough.")
        if any("token_urlsafe" in key for key in keys):
            refuse(
                name, "contains the command that generates a key. Use the output of the command."
            )
    for secret in split_list(settings["STRIPE_WEBHOOK_SECRET"]):
        if len(secret) < SIGNING_SECRET_LENGTH or len(set(secret)) < 12:
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
    """Check only in production: elsewhere, `flask billing setup` starts with just a key."""
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
        for price in split_list(settings[name]):
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

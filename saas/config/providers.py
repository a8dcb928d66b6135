"""The identity providers, and the variables that configure them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SIGN_IN_VARIABLES = {
    provider: (f"{provider.upper()}_CLIENT_ID", f"{provider.upper()}_CLIENT_SECRET")
    for provider in ("google", "github")
}


_REAL_PROVIDERS = {
    # https://accounts.google.com/.well-known/openid-configuration
    "google": {"issuer": "https://accounts.google.com"},
    # https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps
    "github": {"issuer": "https://github.com", "api": "https://api.github.com/"},
}


def sign_in_providers(settings: Mapping[str, Any]) -> dict[str, dict[str, str]]:
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

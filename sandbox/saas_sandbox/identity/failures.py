"""Failures of a provider that a client must handle."""

import time
from collections.abc import Mapping

from flask import Response, current_app

HANG_SECONDS = 15.0
"""How long a hanging endpoint hangs. Longer than the ten seconds that a client should wait."""

OAUTH_FAILURES = {
    "no_state": "The response has no state",
    "token_error": "The token endpoint returns 500",
    "token_hang": "The token endpoint hangs",
    "token_rubbish": "The token endpoint returns something other than JSON",
    "api_error": "The profile request returns 500",
}

OPENID_FAILURES = {
    "response_issuer": "The response names another issuer (RFC 9207)",
    "wrong_issuer": "The id_token has a different issuer",
    "wrong_audience": "The id_token is for another client",
    "foreign_audience": "The id_token names this client (azp), but another audience",
    "expired": "The id_token expired an hour ago",
    "no_id_token": "The response has no id_token",
    "wrong_nonce": "The id_token has the nonce of another sign-in",
    "no_nonce": "The id_token has no nonce",
    "bad_signature": "The id_token has an invalid signature",
    "unsigned": "The id_token is unsigned (alg: none)",
    "word_verified": "email_verified is the string \u201ctrue\u201d, not the boolean",
}


def list_failures(provider: str) -> Mapping[str, str]:
    """Return the failures of a provider, each with its description."""
    return OAUTH_FAILURES | OPENID_FAILURES if provider == "google" else OAUTH_FAILURES


def build_token_failure(failure: str) -> Response | None:
    """Return the token endpoint's failure response, or None. Simulate a hang by waiting first."""
    if failure == "token_error":
        return Response("Internal Server Error\n", 500, mimetype="text/plain")
    if failure == "token_rubbish":
        return Response("<!doctype html><title>Back soon</title>", mimetype="text/html")
    if failure == "token_hang":
        time.sleep(current_app.config["IDENTITY_HANG_SECONDS"])
    return None


def build_profile_failure(failure: str) -> Response | None:
    """Return the failure response of the profile endpoints, or None."""
    if failure == "api_error":
        return Response("Internal Server Error\n", 500, mimetype="text/plain")
    return None

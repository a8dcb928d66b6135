"""The id_token: its claims, signature, and possible defects."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from joserfc import jwt
from joserfc.jwk import RSAKey
from joserfc.util import urlsafe_b64encode

from saas_sandbox.identity.grants import TOKEN_LIFETIME, Grant
from saas_sandbox.identity.profiles import Email

Claims = dict[str, Any]

OTHER_AUDIENCE = "another-client.apps.example"

CLAIM_FAILURES: Mapping[str, Callable[[Claims], Claims]] = {
    "wrong_issuer": lambda claims: claims | {"iss": "https://accounts.evil.example"},
    "wrong_audience": lambda claims: claims | {"aud": OTHER_AUDIENCE},
    "foreign_audience": lambda claims: claims | {"aud": OTHER_AUDIENCE, "azp": claims["aud"]},
    "expired": lambda claims: (
        claims
        | {"iat": claims["iat"] - 2 * TOKEN_LIFETIME, "exp": claims["exp"] - 2 * TOKEN_LIFETIME}
    ),
    "wrong_nonce": lambda claims: claims | {"nonce": "the-nonce-of-another-sign-in"},
    "no_nonce": lambda claims: {name: claims[name] for name in claims if name != "nonce"},
}


def build_id_token(key: RSAKey, now: float, issuer: str, grant: Grant) -> str | None:
    """Return the token, or None if the chosen failure omits it."""
    if grant.failure == "no_id_token":
        return None

    claims: Claims = {"iss": issuer, "aud": grant.client_id, "iat": int(now)}
    claims |= {"exp": int(now) + TOKEN_LIFETIME, **build_user_claims(grant)}
    if grant.nonce:
        claims["nonce"] = grant.nonce
    falsify = CLAIM_FAILURES.get(grant.failure, dict)
    return _sign(key, falsify(claims), grant.failure)


def build_user_claims(grant: Grant) -> Claims:
    """Return the claims that the scopes include (OpenID Connect Core 1.0, 5.4)."""
    user, scopes = grant.user, grant.scope.split()
    claims: Claims = {"sub": user.number}
    if "email" in scopes and user.primary:
        verified = user.primary.verified
        claims["email"] = user.primary.email
        claims["email_verified"] = "true" if grant.failure == "word_verified" else verified
        claims |= _hosted_domain(user.primary)
    if "profile" in scopes and user.name:
        claims["name"] = user.name
    return claims


def _hosted_domain(email: Email) -> Claims:
    """Return Google's `hd`, the domain of a hosted organization; None for Gmail."""
    domain = email.email.rpartition("@")[2]
    is_organization = email.hosted and domain not in ("gmail.com", "googlemail.com")
    return {"hd": domain} if is_organization else {}


def _sign(key: RSAKey, claims: Claims, failure: str) -> str:
    token = jwt.encode({"alg": "RS256", "kid": key.kid}, claims, key, algorithms=["RS256"])
    header, payload, _ = token.split(".")
    if failure == "unsigned":
        header = urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT"}).encode()).decode()
        return f"{header}.{payload}."
    if failure == "bad_signature":
        other = jwt.encode({"alg": "RS256"}, {"sub": "0"}, key, algorithms=["RS256"])
        return f"{header}.{payload}.{other.split('.')[2]}"
    return token

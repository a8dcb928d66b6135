"""Google and GitHub sign-in, through Authlib: the only module that imports it.

Google uses OpenID Connect Core 1.0 (code flow, PKCE S256, nonce, signed id_token). GitHub uses
plain OAuth 2, where the profile is a separate request. This module adds checks that Authlib 1.9
lacks: a deadline, the presence and audience of the id_token, RFC 9207's `iss`, and `email_verified`
as a boolean. Import it lazily, because Authlib takes a third of a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import requests
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.flask_client import OAuth
from authlib.integrations.flask_client.apps import FlaskOAuth2App
from authlib.integrations.requests_client import OAuth2Session
from flask import current_app
from joserfc.errors import JoseError

from saas import database, deadlines, http
from saas.auth import accounts
from saas.auth.errors import SignInRefused
from saas.auth.identities import Claim
from saas.auth.pending_sign_ins import SignInState

_TIMEOUT = 8.0  # seconds for all requests to a provider
_REQUEST_TIMEOUT = 4.0
_UNTRUSTED = (
    OAuthError, JoseError, ValueError, TypeError, LookupError, AttributeError, RuntimeError,
)  # fmt: skip


def authorization_url(started: SignInState, back: str) -> str:
    """Return the provider's URL; the browser returns to `back`. Raises `SignInRefused`."""
    with deadlines.deadline(_TIMEOUT), _ExplainedErrors(started.method):
        client = _client(started.method)
        made = client.create_authorization_url(
            back,
            state=started.state,
            code_verifier=started.verifier,
            **({"nonce": started.nonce} if _is_openid(started.method) else {}),
        )
        return str(made["url"])


def fetch_claim(started: SignInState, back: str, params: Mapping[str, str]) -> Claim:
    """Return the claim for the parameters of a callback. Raises `SignInRefused`."""
    if error := params.get("error"):
        reason = "cancelled" if error == "access_denied" else "provider_error"
        raise SignInRefused(reason, started.method)
    with deadlines.deadline(_TIMEOUT), _ExplainedErrors(started.method):
        client = _client(started.method)
        _check_issuer(client, started.method, params.get("iss"))
        token = client.fetch_access_token(
            back, code=params["code"], state=started.state, code_verifier=started.verifier
        )
        read = _read_google if _is_openid(started.method) else _read_github
        return read(client, token, started)


def _check_issuer(client: Any, provider: str, named: str | None) -> None:
    """Check RFC 9207's `iss`: a response from another issuer must not be used (mix-up attack)."""
    if not _is_openid(provider):
        return
    metadata = client.load_server_metadata()
    if metadata.get("issuer") != _issuer(provider):
        raise ValueError("the discovery document has a different issuer")
    required = metadata.get("authorization_response_iss_parameter_supported") is True
    if (required or named is not None) and named != _issuer(provider):
        raise ValueError("the response has a different issuer")


def _read_google(client: Any, token: Mapping[str, Any], started: SignInState) -> Claim:
    if "id_token" not in token:
        raise ValueError("the id_token is missing")
    must_be = {"iss": [_issuer(started.method)], "aud": [client.client_id]}
    userinfo = client.parse_id_token(
        token,
        nonce=started.nonce,
        claims_options={
            name: {"essential": True, "values": values} for name, values in must_be.items()
        },
    )
    claim = _claim(
        started.method, userinfo["sub"], userinfo.get("email"), userinfo.get("email_verified")
    )
    return replace(claim, is_authoritative=_runs_mailbox(claim.email, userinfo.get("hd")))


def _runs_mailbox(email: str | None, hosted_domain: object) -> bool:
    """Return whether Google is authoritative for the mailbox: Gmail, or a hosted domain."""
    domain = (email or "").rpartition("@")[2]
    hosted = hosted_domain.lower() if isinstance(hosted_domain, str) else None
    return domain in ("gmail.com", "googlemail.com") or domain == hosted


def _read_github(client: Any, token: Mapping[str, Any], started: SignInState) -> Claim:
    """Read the verified primary email; the profile's `email` may be unverified."""
    number = _get(client, "user", token)["id"]
    if not isinstance(number, int):
        raise TypeError("the user id is not a number")
    listed = _get(client, "user/emails", token)
    primary: Mapping[str, Any] = next((email for email in listed if email["primary"] is True), {})
    return _claim(started.method, str(number), primary.get("email"), primary.get("verified"))


def _get(client: Any, path: str, token: Mapping[str, Any]) -> Any:
    response = client.get(path, token=token)
    response.raise_for_status()
    return response.json()


def _claim(provider: str, subject: object, email: object, verified: object) -> Claim:
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:
        raise ValueError("the subject is missing or unusable")
    return Claim(provider, _issuer(provider), subject, _email(email), verified is True)


def _email(email: object) -> str | None:
    try:
        return accounts.clean_email(email) if isinstance(email, str) else None
    except ValueError:
        return None


def _is_openid(provider: str) -> bool:
    return provider == "google"


def _issuer(provider: str) -> str:
    return str(current_app.config["SIGN_IN_PROVIDERS"][provider]["issuer"])


def _client(provider: str) -> Any:
    """Return the client of this application, which caches the discovery document and the keys."""
    if "sign_in_providers" not in current_app.extensions:
        current_app.extensions["sign_in_providers"] = _register_all()
    return current_app.extensions["sign_in_providers"].create_client(provider)


def _register_all() -> OAuth:
    oauth = OAuth(current_app)
    for provider, settings in current_app.config["SIGN_IN_PROVIDERS"].items():
        issuer = settings["issuer"]
        places: dict[str, str] = {
            "server_metadata_url": f"{issuer}/.well-known/openid-configuration"
        }
        if not _is_openid(provider):
            places = {
                "authorize_url": f"{issuer}/login/oauth/authorize",
                "access_token_url": f"{issuer}/login/oauth/access_token",
                "api_base_url": settings["api"],
            }
        oauth.register(
            provider,
            client_id=settings["client_id"],
            client_secret=settings["client_secret"],
            client_cls=_Client,
            client_kwargs={
                "scope": "openid email" if _is_openid(provider) else "user:email",
                "code_challenge_method": "S256",
            },
            **places,
        )
    return oauth


class _DeadlineSession(http.Session, OAuth2Session):  # type: ignore[misc]  # Authlib has no types
    """A session with timeouts, which Authlib does not set."""

    def request(self, method: Any, url: Any, *arguments: Any, **options: Any) -> Any:
        timeout = deadlines.remaining(otherwise=_REQUEST_TIMEOUT)
        if timeout <= 0:
            raise requests.Timeout("the deadline for this sign-in has passed")
        options["timeout"] = min(timeout, _REQUEST_TIMEOUT)
        ask = partial(super().request, method, url, *arguments, **options)
        try:
            return deadlines.run_within_deadline(ask, name="sign-in")
        except TimeoutError:
            raise requests.Timeout("the response was too slow") from None


class _Client(FlaskOAuth2App):  # type: ignore[misc]  # Authlib has no types
    client_cls = _DeadlineSession


class _ExplainedErrors:
    """Turn exceptions into `SignInRefused`. A provider's own text is never shown."""

    def __init__(self, provider: str) -> None:
        self.provider = provider

    def __enter__(self) -> None:
        database.release_connection()  # release the connection before calling the provider

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, requests.RequestException):
            raise SignInRefused("down", self.provider, type(error).__name__) from None
        if isinstance(error, _UNTRUSTED):
            # The cached discovery document or keys may be wrong.
            current_app.extensions.pop("sign_in_providers", None)
            raise SignInRefused("untrusted", self.provider, type(error).__name__) from None

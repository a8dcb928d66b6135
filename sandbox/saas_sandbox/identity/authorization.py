"""Authorization requests, and their refusal (RFC 6749, 4.1).

The redirect URI is validated first. If it is invalid, nothing is redirected, and a page shows the
error (4.1.2.1: "MUST NOT automatically redirect the user-agent to the invalid redirection URI").
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from werkzeug.datastructures import MultiDict

from saas_sandbox.identity import pkce, redirects

MAX_LENGTH = 2000
VISIBLE_ASCII = re.compile(r"[\x20-\x7e]*")
"""RFC 6749, appendix A: client_id, state, scope and code are made of these characters."""


@dataclass(frozen=True)
class Provider:
    """A simulated provider."""

    key: str
    name: str
    openid: bool


@dataclass(frozen=True)
class AuthorizationRequest:
    """A valid authorization request."""

    client_id: str
    redirect_uri: str
    state: str
    scope: str
    nonce: str
    challenge: str


class InvalidClientRequestError(Exception):
    """An error without a valid redirect URI; it is shown on a page."""


class AuthorizationError(Exception):
    """An error for the client, sent to its redirect URI."""

    def __init__(self, redirect_uri: str, state: str, error: str, description: str) -> None:
        super().__init__(description)
        self.redirect_uri = redirect_uri
        self.params = {"error": error, "error_description": description}
        if state:
            self.params["state"] = state


def parse_query(query: bytes) -> MultiDict[str, str]:
    """Return the query parameters, without empty ones.

    RFC 6749, 3.1: "Parameters sent without a value MUST be treated as if they were omitted from the
    request."

    Invalid UTF-8 becomes U+FFFD, which no parameter may contain. Werkzeug's `args` turns such bytes
    into percent signs, or raises if they are not encoded.
    """
    return MultiDict(parse_qsl(query.decode(errors="replace")))


def parse_request(provider: Provider, params: MultiDict[str, str]) -> AuthorizationRequest:
    """Return the validated request, or raise an error."""
    client_id, redirect_uri = _validate_client(params)
    error = _find_error(provider, params)
    state = params.get("state", "")
    if error:
        raise AuthorizationError(redirect_uri, state if _is_valid_value(state) else "", *error)
    return AuthorizationRequest(
        client_id,
        redirect_uri,
        state,
        params.get("scope", ""),
        params.get("nonce", ""),
        params.get("code_challenge", ""),
    )


def _validate_client(params: MultiDict[str, str]) -> tuple[str, str]:
    """Return the client id and the redirect URI."""
    for name in ("client_id", "redirect_uri"):
        if len(params.getlist(name)) > 1:
            raise InvalidClientRequestError(f"The parameter {name} was sent more than once.")
    client_id = params.get("client_id", "")
    if not is_client_id(client_id):
        raise InvalidClientRequestError(
            "The parameter client_id is missing or invalid. The sandbox accepts any 4 to "
            "255 letters, digits and punctuation."
        )
    redirect_uri = params.get("redirect_uri", "")
    if not redirects.is_allowed(redirect_uri):
        raise InvalidClientRequestError(
            "The parameter redirect_uri is missing or invalid. It must be an absolute URL "
            "without a fragment: https, or http on this machine (localhost, 127.0.0.1)."
        )
    return client_id, redirect_uri


def is_client_id(value: str) -> bool:
    return 4 <= len(value) <= 255 and VISIBLE_ASCII.fullmatch(value) is not None


def _find_error(provider: Provider, params: MultiDict[str, str]) -> tuple[str, str] | None:
    """Return the first error: RFC 6749's error code, and a sentence."""
    return (
        _check_parameters(params)
        or _check_response_type(provider, params)
        or (_check_openid(params) if provider.openid else None)
        or pkce.find_error(
            params.get("code_challenge", ""), params.get("code_challenge_method", "")
        )
    )


def _check_parameters(params: MultiDict[str, str]) -> tuple[str, str] | None:
    for name, values in params.lists():
        if len(values) > 1:
            # 3.1: "Request and response parameters MUST NOT be included more than once."
            return "invalid_request", f"{_quote(name)} was sent more than once."
        if not name.startswith("sandbox_") and not _is_valid_value(values[0]):
            return "invalid_request", f"{_quote(name)} is too long or has invalid characters."
    return None


def _check_response_type(provider: Provider, params: MultiDict[str, str]) -> tuple[str, str] | None:
    response_type = params.get("response_type", "")
    # GitHub has only one flow, and does not require response_type.
    if not response_type and provider.openid:
        return "invalid_request", "response_type is missing. Only code is supported."
    if response_type not in ("", "code"):
        return "unsupported_response_type", "Only response_type=code is supported."
    return None


UNSUPPORTED_PARAMETERS: Mapping[str, tuple[str, str]] = {
    "request": ("request_not_supported", "Request objects are not supported."),
    "request_uri": ("request_uri_not_supported", "Request objects are not supported."),
}


def _check_openid(params: MultiDict[str, str]) -> tuple[str, str] | None:
    """Return errors in the parameters that OpenID Connect Core 1.0 adds (3.1.2.1, 3.1.2.6)."""
    for name, error in UNSUPPORTED_PARAMETERS.items():
        if name in params:
            return error
    if "openid" not in params.get("scope", "").split():
        return "invalid_scope", "The scope must contain openid."
    if params.get("response_mode", "query") != "query":
        return "invalid_request", "Only response_mode=query is supported."
    if "none" in params.get("prompt", "").split():
        return "login_required", "Users are never signed in here, so prompt=none is not possible."
    return None


def _is_valid_value(value: str) -> bool:
    return len(value) <= MAX_LENGTH and VISIBLE_ASCII.fullmatch(value) is not None


def _quote(name: str) -> str:
    return name if re.fullmatch(r"\w{1,50}", name, re.ASCII) else "A parameter"

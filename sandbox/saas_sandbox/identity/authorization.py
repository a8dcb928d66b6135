"""The authorization request: what a client asks for, and how it is told no (RFC 6749, 4.1).

Whom to answer is found out first. As long as that is unclear nobody is redirected anywhere, and
the person reads what is wrong (4.1.2.1: "MUST NOT automatically redirect the user-agent to the
invalid redirection URI").
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from werkzeug.datastructures import MultiDict

from saas_sandbox.identity import pkce, redirects

LONGEST = 2000
VISIBLE = re.compile(r"[\x20-\x7e]*")
"""RFC 6749, appendix A: client_id, state, scope and code are made of these characters."""


@dataclass(frozen=True)
class Provider:
    """Whom the sandbox plays."""

    key: str
    name: str
    openid: bool


@dataclass(frozen=True)
class Ask:
    """An authorization request that can be granted."""

    client: str
    redirect_uri: str
    state: str
    scope: str
    nonce: str
    challenge: str


class UnusableError(Exception):
    """Nobody to answer: said on a page."""


class RefusedError(Exception):
    """An error for the client, at its redirect address."""

    def __init__(self, redirect_uri: str, state: str, error: str, description: str) -> None:
        super().__init__(description)
        self.redirect_uri = redirect_uri
        self.answer = {"error": error, "error_description": description}
        if state:
            self.answer["state"] = state


def parameters(query: bytes) -> MultiDict[str, str]:
    """The query string, as it was sent. RFC 6749, 3.1: "Parameters sent without a value MUST be
    treated as if they were omitted from the request."

    Bytes that are no UTF-8 become U+FFFD, which no parameter may contain. Werkzeug's `args` turns
    them into percent signs, or raises when they come as they are.
    """
    return MultiDict(parse_qsl(query.decode(errors="replace")))


def read(provider: Provider, given: MultiDict[str, str]) -> Ask:
    """The request, or the way in which it is refused."""
    client, redirect_uri = _addressee(given)
    fault = _fault(provider, given)
    state = given.get("state", "")
    if fault:
        raise RefusedError(redirect_uri, state if _is_sound(state) else "", *fault)
    return Ask(
        client,
        redirect_uri,
        state,
        given.get("scope", ""),
        given.get("nonce", ""),
        given.get("code_challenge", ""),
    )


def _addressee(given: MultiDict[str, str]) -> tuple[str, str]:
    for name in ("client_id", "redirect_uri"):
        if len(given.getlist(name)) > 1:
            raise UnusableError(f"The parameter {name} was sent more than once.")
    client = given.get("client_id", "")
    if not is_client_id(client):
        raise UnusableError(
            "The parameter client_id is missing or unusable. "
            "Any 4 to 255 letters, digits and signs will do here."
        )
    redirect_uri = given.get("redirect_uri", "")
    if not redirects.is_usable(redirect_uri):
        raise UnusableError(
            "The parameter redirect_uri is missing or unusable. It is an absolute address without "
            "a fragment: https, or http on this machine (localhost, 127.0.0.1)."
        )
    return client, redirect_uri


def is_client_id(client: str) -> bool:
    return 4 <= len(client) <= 255 and VISIBLE.fullmatch(client) is not None


def _fault(provider: Provider, given: MultiDict[str, str]) -> tuple[str, str] | None:
    """The first thing that is wrong with it: RFC 6749's error code, and a sentence."""
    return (
        _malformed(given)
        or _response_type(provider, given)
        or (_openid(given) if provider.openid else None)
        or pkce.fault(given.get("code_challenge", ""), given.get("code_challenge_method", ""))
    )


def _malformed(given: MultiDict[str, str]) -> tuple[str, str] | None:
    for name, values in given.lists():
        if len(values) > 1:
            # 3.1: "Request and response parameters MUST NOT be included more than once."
            return "invalid_request", f"{_quoted(name)} was sent more than once."
        if not name.startswith("sandbox_") and not _is_sound(values[0]):
            return "invalid_request", f"{_quoted(name)} is too long or has unusual characters."
    return None


def _response_type(provider: Provider, given: MultiDict[str, str]) -> tuple[str, str] | None:
    wanted = given.get("response_type", "")
    # GitHub knows one flow only, and does not ask for its name.
    if not wanted and provider.openid:
        return "invalid_request", "response_type is missing: only code is known here."
    if wanted not in ("", "code"):
        return "unsupported_response_type", "Only response_type=code is known here."
    return None


UNSUPPORTED: Mapping[str, tuple[str, str]] = {
    "request": ("request_not_supported", "Request objects are not supported."),
    "request_uri": ("request_uri_not_supported", "Request objects are not supported."),
}


def _openid(given: MultiDict[str, str]) -> tuple[str, str] | None:
    """What OpenID Connect Core 1.0 adds (3.1.2.1, 3.1.2.6)."""
    for name, fault in UNSUPPORTED.items():
        if name in given:
            return fault
    if "openid" not in given.get("scope", "").split():
        return "invalid_scope", "The scope must contain openid."
    if given.get("response_mode", "query") != "query":
        return "invalid_request", "Only response_mode=query is known here."
    if "none" in given.get("prompt", "").split():
        return "login_required", "Nobody is ever signed in here: the page has to be shown."
    return None


def _is_sound(value: str) -> bool:
    return len(value) <= LONGEST and VISIBLE.fullmatch(value) is not None


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"\w{1,50}", name, re.ASCII) else "A parameter"

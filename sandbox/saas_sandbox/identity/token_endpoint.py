"""The parts of the token endpoint that both providers share: client and code."""

from urllib.parse import unquote_plus

from flask import current_app, request

from saas_sandbox.identity import grants, pkce
from saas_sandbox.identity.authorization import Provider, is_client_id
from saas_sandbox.identity.grants import Grant


class TokenError(Exception):
    """The token request is refused: RFC 6749's error code (5.2) and a sentence."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error


def redeem_request(provider: Provider) -> Grant:
    """Return the grant of the code in this request, and use it up."""
    client_id = _authenticate_client(provider)
    _check_duplicates()
    _check_grant_type(provider)
    sandbox = current_app.extensions["sandbox"]
    code = request.form.get("code", "")
    grant = grants.redeem_code(sandbox.store, sandbox.now(), provider.key, client_id, code)
    if grant is None:
        raise TokenError("invalid_grant", "The code is unknown, expired or already used.")

    _check_grant(provider, grant)
    return grant


def _authenticate_client(provider: Provider) -> str:
    client_id, secret = _read_basic_auth() if "Authorization" in request.headers else _read_form()
    store = current_app.extensions["sandbox"].store
    if not is_client_id(client_id):
        raise TokenError("invalid_client", "The client id is missing or invalid.")
    if not grants.check_client_secret(store, provider.key, client_id, secret):
        raise TokenError(
            "invalid_client",
            "The secret is missing, shorter than 8 characters, or differs from the one "
            "first used with this client id. To use another secret, use another client id.",
        )
    return client_id


def _read_basic_auth() -> tuple[str, str]:
    """Return id and secret. RFC 6749, 2.3.1: both are form-encoded before they are joined."""
    credentials = request.authorization
    if credentials is None or credentials.type != "basic":
        raise TokenError("invalid_client", "The Authorization header must be Basic.")
    if request.form.get("client_secret"):
        # 2.3: "The client MUST NOT use more than one authentication method in each request."
        raise TokenError("invalid_request", "The client secret was sent in two ways.")
    return unquote_plus(credentials.username or ""), unquote_plus(credentials.password or "")


def _read_form() -> tuple[str, str]:
    return request.form.get("client_id", ""), request.form.get("client_secret", "")


def _check_duplicates() -> None:
    if any(len(values) > 1 for _, values in request.form.lists()):
        raise TokenError("invalid_request", "A parameter was sent more than once.")


def _check_grant_type(provider: Provider) -> None:
    """Check the grant type; GitHub has only one, and does not require it."""
    grant_type = request.form.get("grant_type") or ("" if provider.openid else "authorization_code")
    if not grant_type:
        raise TokenError("invalid_request", "The parameter grant_type is missing.")
    if grant_type != "authorization_code":
        raise TokenError("unsupported_grant_type", "Only authorization_code is supported.")
    if not request.form.get("code"):
        raise TokenError("invalid_request", "The parameter code is missing.")


def _check_grant(provider: Provider, grant: Grant) -> None:
    """Check the redirect URI and the verifier against the authorization request.

    RFC 6749, 4.1.3: the redirect URI must be identical; GitHub may omit it. RFC 7636, 4.6: a wrong
    verifier is an invalid_grant too.
    """
    default = "" if provider.openid else grant.redirect_uri
    if (request.form.get("redirect_uri") or default) != grant.redirect_uri:
        raise TokenError(
            "redirect_uri_mismatch",
            "The redirect_uri differs from the one in the authorization request.",
        )
    if not pkce.verify(grant.challenge, request.form.get("code_verifier", "")):
        raise TokenError("invalid_grant", "The code_verifier does not match the challenge.")

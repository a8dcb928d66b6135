"""The page for choosing a user and a failure.

Tests can use query parameters instead of the page: `sandbox_as` (a prepared user, "somebody",
"refuse" or "error") skips the page, `sandbox_email`, `sandbox_name`, `sandbox_address` and
`sandbox_account` describe a custom user, and `sandbox_failure` selects a failure (failures.py).
"""

from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit

from flask import current_app, redirect, render_template, request
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as BaseResponse

from saas_sandbox.identity import authorization, failures, grants, profiles, redirects
from saas_sandbox.identity.authorization import (
    AuthorizationError,
    AuthorizationRequest,
    InvalidClientRequestError,
    Provider,
)
from saas_sandbox.identity.profiles import InvalidProfileError, User

Params = MultiDict[str, str]
Page = str | tuple[str, int] | BaseResponse

OTHER_ISSUER = "https://accounts.evil.example"


def handle_authorization(provider: Provider) -> Page:
    """Show the page, or respond directly if the parameters contain the choice."""
    params = authorization.parse_query(request.query_string)
    try:
        auth_request = authorization.parse_request(provider, params)
        failure = _read_failure(provider, params)
        return _authorize(provider, auth_request, failure, params)
    except InvalidClientRequestError as error:
        return render_template("identity/unusable.html", message=error), 400
    except AuthorizationError as error:
        failure = params.get("sandbox_failure", "")
        return _redirect_back(provider, error.redirect_uri, error.params, failure)


def get_issuer(provider: Provider) -> str:
    return f"{request.host_url}identity/{provider.key}"


def _authorize(
    provider: Provider, auth_request: AuthorizationRequest, failure: str, params: Params
) -> Page:
    choice = request.form if request.method == "POST" else params
    if "sandbox_as" not in choice:
        return _render_choices(provider, auth_request, failure, params)
    try:
        user = _choose_user(auth_request, choice)
    except InvalidProfileError as error:
        return _render_choices(provider, auth_request, failure, params, error), 422

    sandbox = current_app.extensions["sandbox"]
    code = grants.issue_code(
        sandbox.store, sandbox.now(), provider.key, auth_request, user, failure
    )
    response = {"code": code} | ({"state": auth_request.state} if auth_request.state else {})
    return _redirect_back(provider, auth_request.redirect_uri, response, failure)


def _choose_user(auth_request: AuthorizationRequest, choice: Mapping[str, str]) -> User:
    name = choice["sandbox_as"]
    if name == "refuse":
        raise AuthorizationError(
            auth_request.redirect_uri,
            auth_request.state,
            "access_denied",
            "The user refused to sign in.",
        )
    if name == "error":
        raise AuthorizationError(
            auth_request.redirect_uri,
            auth_request.state,
            "server_error",
            "The provider returned an error.",
        )
    if name == "somebody":
        return profiles.build_custom_user(
            choice.get("sandbox_email", "").strip(),
            choice.get("sandbox_name", "").strip(),
            choice.get("sandbox_address", "verified"),
            choice.get("sandbox_account", "").strip(),
        )
    if name not in profiles.TEST_USERS:
        raise InvalidProfileError("as", "Choose a test account, or enter another account.")
    return profiles.TEST_USERS[name]


def _read_failure(provider: Provider, params: Params) -> str:
    failure = params.get("sandbox_failure", "")
    known = failures.list_failures(provider.key)
    if failure and failure not in known:
        raise InvalidClientRequestError(
            f"The parameter sandbox_failure is one of: {', '.join(known)}."
        )
    return failure


def _redirect_back(
    provider: Provider, uri: str, response: dict[str, str], failure: str
) -> BaseResponse:
    """Redirect to the client.

    RFC 9700, 4.12: 303, so that browsers never post the choice to the client. RFC 9207, 2: `iss` is
    in every response, including errors. GitHub has no issuer.
    """
    if failure == "no_state":
        response = {name: response[name] for name in response if name != "state"}
    if provider.openid:
        response = response | {
            "iss": OTHER_ISSUER if failure == "response_issuer" else get_issuer(provider)
        }
    return redirect(redirects.append_params(uri, response), 303)


def _render_choices(
    provider: Provider,
    auth_request: AuthorizationRequest,
    failure: str,
    params: Params,
    error: InvalidProfileError | None = None,
) -> str:
    kept_params = [(n, v) for n, v in params.items() if n != "sandbox_as"]
    return render_template(
        "identity/choose.html",
        provider=provider,
        client_host=urlsplit(auth_request.redirect_uri).netloc,
        users=profiles.TEST_USERS,
        failure=failure,
        failures=failures.list_failures(provider.key),
        hidden_fields=[pair for pair in kept_params if pair[0] != "sandbox_failure"],
        query=urlencode(kept_params),
        form=request.form or _read_email_hint(params) | params.to_dict(),
        error=error,
    )


def _read_email_hint(params: Params) -> dict[str, str]:
    """Return OpenID Connect's `login_hint` or GitHub's `login`."""
    hint = params.get("login_hint") or params.get("login", "")
    return {"sandbox_email": hint} if "@" in hint else {}

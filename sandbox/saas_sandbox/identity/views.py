"""The page on which one chooses a user and a failure.

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
from saas_sandbox.identity.authorization import Ask, Provider, RefusedError, UnusableError
from saas_sandbox.identity.profiles import NobodyError, Person

Given = MultiDict[str, str]
Page = str | tuple[str, int] | BaseResponse

ELSEWHERE = "https://accounts.evil.example"


def shown_or_answered(provider: Provider) -> Page:
    """Show the page, or answer if the choice is already made."""
    params = authorization.parameters(request.query_string)
    try:
        ask = authorization.read(provider, params)
        failure = _failure(provider, params)
        return _conversation(provider, ask, failure, params)
    except UnusableError as error:
        return render_template("identity/unusable.html", message=error), 400
    except RefusedError as error:
        failure = params.get("sandbox_failure", "")
        return _back(provider, error.redirect_uri, error.answer, failure)


def issuer(provider: Provider) -> str:
    return f"{request.host_url}identity/{provider.key}"


def _conversation(provider: Provider, ask: Ask, failure: str, params: Given) -> Page:
    choice = request.form if request.method == "POST" else params
    if "sandbox_as" not in choice:
        return _page(provider, ask, failure, params)
    try:
        person = _chosen(ask, choice)
    except NobodyError as error:
        return _page(provider, ask, failure, params, error), 422

    sandbox = current_app.extensions["sandbox"]
    code = grants.give_code(sandbox.store, sandbox.now(), provider.key, ask, person, failure)
    response = {"code": code} | ({"state": ask.state} if ask.state else {})
    return _back(provider, ask.redirect_uri, response, failure)


def _chosen(ask: Ask, choice: Mapping[str, str]) -> Person:
    chosen = choice["sandbox_as"]
    if chosen == "refuse":
        raise RefusedError(
            ask.redirect_uri, ask.state, "access_denied", "The user refused to sign in."
        )
    if chosen == "error":
        raise RefusedError(
            ask.redirect_uri, ask.state, "server_error", "The provider returned an error."
        )
    if chosen == "somebody":
        return profiles.typed_in(
            choice.get("sandbox_email", "").strip(),
            choice.get("sandbox_name", "").strip(),
            choice.get("sandbox_address", "verified"),
            choice.get("sandbox_account", "").strip(),
        )
    if chosen not in profiles.READY:
        raise NobodyError("as", "Choose a test account, or enter another account.")
    return profiles.READY[chosen]


def _failure(provider: Provider, params: Given) -> str:
    failure = params.get("sandbox_failure", "")
    known = failures.of(provider.key)
    if failure and failure not in known:
        raise UnusableError(f"The parameter sandbox_failure is one of: {', '.join(known)}.")
    return failure


def _back(provider: Provider, address: str, response: dict[str, str], failure: str) -> BaseResponse:
    """Redirect to the client.

    RFC 9700, 4.12: 303, so that browsers never post the choice to the client. RFC 9207, 2: `iss` is
    in every response, including errors. GitHub has no issuer.
    """
    if failure == "no_state":
        response = {name: response[name] for name in response if name != "state"}
    if provider.openid:
        response = response | {
            "iss": ELSEWHERE if failure == "response_issuer" else issuer(provider)
        }
    return redirect(redirects.with_answer(address, response), 303)


def _page(
    provider: Provider, ask: Ask, failure: str, params: Given, error: NobodyError | None = None
) -> str:
    hidden = [(n, v) for n, v in params.items() if n != "sandbox_as"]
    return render_template(
        "identity/choose.html",
        provider=provider,
        client_host=urlsplit(ask.redirect_uri).netloc,
        people=profiles.READY,
        failure=failure,
        failures=failures.of(provider.key),
        asked=[pair for pair in hidden if pair[0] != "sandbox_failure"],
        query=urlencode(hidden),
        form=request.form or _hinted(params) | params.to_dict(),
        error=error,
    )


def _hinted(params: Given) -> dict[str, str]:
    """Return OpenID Connect's `login_hint` or GitHub's `login`."""
    hint = params.get("login_hint") or params.get("login", "")
    return {"sandbox_email": hint} if "@" in hint else {}

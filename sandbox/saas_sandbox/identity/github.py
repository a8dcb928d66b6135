"""GitHub's OAuth, and the two API endpoints for the user and their emails.

https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps
"""

from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, current_app, jsonify, request

from saas_sandbox.identity import failures, grants, token_endpoint, views
from saas_sandbox.identity.authorization import Provider
from saas_sandbox.identity.profiles import Person
from saas_sandbox.identity.token_endpoint import RedeemingError

from .grants import Grant

bp = Blueprint("github", __name__, url_prefix="/github")

GITHUB = Provider("github", "GitHub", openid=False)

# "Troubleshooting OAuth app access token request errors": all of them come with 200.
ERRORS = {
    "invalid_client": "incorrect_client_credentials",
    "invalid_grant": "bad_verification_code",
    "invalid_request": "bad_verification_code",
}
EXPLAINED = (
    "https://docs.github.com/apps/managing-oauth-apps/"
    "troubleshooting-oauth-app-access-token-request-errors/"
)


class ApiError(Exception):
    """An error of GitHub's API."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@bp.route("/login/oauth/authorize", methods=["GET", "POST"])
def authorize() -> views.Page:
    return views.shown_or_answered(GITHUB)


@bp.post("/login/oauth/access_token")
def access_token() -> Response:
    grant = token_endpoint.grant_for(GITHUB)
    failing = failures.at_token_endpoint(grant.failure)
    if failing:
        return failing

    sandbox = current_app.extensions["sandbox"]
    token = grants.give_token(sandbox.store, sandbox.now(), grant, "gho_")
    return _as_asked(
        {"access_token": token, "scope": ",".join(_scopes(grant)), "token_type": "bearer"}
    )


@bp.get("/api/user")
def user() -> Response:
    grant = _bearer()
    return failures.at_profile(grant.failure) or _api(_profile(grant.person), grant)


@bp.get("/api/user/emails")
def emails() -> Response:
    """ "Lists all of your email addresses": primary first, each verified or not."""
    grant = _bearer()
    if not {"user", "user:email"} & set(_scopes(grant)):
        # GitHub returns 404 rather than 403, to reveal nothing.
        raise ApiError(404, "Not Found")

    listed = [
        {
            "email": address.email,
            "primary": place == 0,
            "verified": address.verified,
            "visibility": "private" if place == 0 else None,
        }
        for place, address in enumerate(grant.person.addresses)
    ]
    return failures.at_profile(grant.failure) or _api(listed, grant)


@bp.errorhandler(RedeemingError)
def refused(error: RedeemingError) -> Response:
    code = ERRORS.get(error.error, error.error)
    uri = f"{EXPLAINED}#{code.replace('_', '-')}"
    return _as_asked({"error": code, "error_description": str(error), "error_uri": uri})


@bp.errorhandler(ApiError)
def refused_by_api(error: ApiError) -> tuple[Response, int]:
    body = jsonify(
        message=str(error),
        documentation_url="https://docs.github.com/rest",
        status=str(error.status),
    )
    return body, error.status


def _as_asked(fields: dict[str, str]) -> Response:
    """ "By default, the response takes the following form": a form; JSON for who accepts it."""
    if "application/json" in list(request.accept_mimetypes.values()):
        return jsonify(fields)
    return Response(urlencode(fields), mimetype="application/x-www-form-urlencoded")


def _bearer() -> Grant:
    """ "Authorization: Bearer", or "token" as GitHub had it before."""
    credentials = request.authorization
    if credentials is None or credentials.type not in ("bearer", "token"):
        raise ApiError(401, "Requires authentication")
    sandbox = current_app.extensions["sandbox"]
    grant = grants.behind_token(sandbox.store, sandbox.now(), GITHUB.key, credentials.token or "")
    if grant is None:
        raise ApiError(401, "Bad credentials")
    return grant


def _profile(person: Person) -> dict[str, Any]:
    """Return the profile. `email` is the public address, which no user here has."""
    address = f"{request.host_url}identity/github/{person.login}"
    return {
        "login": person.login,
        "id": int(person.number) % 10**9,
        "html_url": address,
        "type": "User",
        "site_admin": False,
        "name": person.name or None,
        "email": None,
    }


def _api(body: Any, grant: Grant) -> Response:
    response = jsonify(body)
    response.headers["X-OAuth-Scopes"] = ", ".join(_scopes(grant))
    return response


def _scopes(grant: Grant) -> list[str]:
    """Return the requested scopes, separated by spaces or commas."""
    return grant.scope.replace(",", " ").split()

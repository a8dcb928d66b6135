"""GitHub's OAuth, and the two API endpoints for the user and their emails.

https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps
"""

from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, current_app, jsonify, request

from saas_sandbox.identity import failures, grants, token_endpoint, views
from saas_sandbox.identity.authorization import Provider
from saas_sandbox.identity.profiles import User
from saas_sandbox.identity.token_endpoint import TokenError

from .grants import Grant

bp = Blueprint("github", __name__, url_prefix="/github")

GITHUB = Provider("github", "GitHub", openid=False)

# "Troubleshooting OAuth app access token request errors": all of them come with 200.
ERROR_CODES = {
    "invalid_client": "incorrect_client_credentials",
    "invalid_grant": "bad_verification_code",
    "invalid_request": "bad_verification_code",
}
DOCUMENTATION_URL = (
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
    return views.handle_authorization(GITHUB)


@bp.post("/login/oauth/access_token")
def access_token() -> Response:
    grant = token_endpoint.redeem_request(GITHUB)
    failure_response = failures.build_token_failure(grant.failure)
    if failure_response:
        return failure_response

    sandbox = current_app.extensions["sandbox"]
    token = grants.issue_token(sandbox.store, sandbox.now(), grant, "gho_")
    return _negotiate(
        {"access_token": token, "scope": ",".join(_parse_scopes(grant)), "token_type": "bearer"}
    )


@bp.get("/api/user")
def get_user() -> Response:
    grant = _authenticate()
    return failures.build_profile_failure(grant.failure) or _api_response(
        _user_fields(grant.user), grant
    )


@bp.get("/api/user/emails")
def list_emails() -> Response:
    """ "Lists all of your email addresses": primary first, each verified or not."""
    grant = _authenticate()
    if not {"user", "user:email"} & set(_parse_scopes(grant)):
        # GitHub returns 404 rather than 403, to reveal nothing.
        raise ApiError(404, "Not Found")

    emails = [
        {
            "email": email.email,
            "primary": position == 0,
            "verified": email.verified,
            "visibility": "private" if position == 0 else None,
        }
        for position, email in enumerate(grant.user.emails)
    ]
    return failures.build_profile_failure(grant.failure) or _api_response(emails, grant)


@bp.errorhandler(TokenError)
def handle_token_error(error: TokenError) -> Response:
    code = ERROR_CODES.get(error.error, error.error)
    uri = f"{DOCUMENTATION_URL}#{code.replace('_', '-')}"
    return _negotiate({"error": code, "error_description": str(error), "error_uri": uri})


@bp.errorhandler(ApiError)
def handle_api_error(error: ApiError) -> tuple[Response, int]:
    body = jsonify(
        message=str(error),
        documentation_url="https://docs.github.com/rest",
        status=str(error.status),
    )
    return body, error.status


def _negotiate(fields: dict[str, str]) -> Response:
    """ "By default, the response takes the following form": or JSON if accepted."""
    if "application/json" in list(request.accept_mimetypes.values()):
        return jsonify(fields)
    return Response(urlencode(fields), mimetype="application/x-www-form-urlencoded")


def _authenticate() -> Grant:
    """Check "Authorization: Bearer", or GitHub's older form "token"."""
    credentials = request.authorization
    if credentials is None or credentials.type not in ("bearer", "token"):
        raise ApiError(401, "Requires authentication")
    sandbox = current_app.extensions["sandbox"]
    grant = grants.find_by_token(sandbox.store, sandbox.now(), GITHUB.key, credentials.token or "")
    if grant is None:
        raise ApiError(401, "Bad credentials")
    return grant


def _user_fields(user: User) -> dict[str, Any]:
    """Return the profile. `email` is the public address, which is always empty here."""
    return {
        "login": user.login,
        "id": int(user.number) % 10**9,
        "html_url": f"{request.host_url}identity/github/{user.login}",
        "type": "User",
        "site_admin": False,
        "name": user.name or None,
        "email": None,
    }


def _api_response(body: Any, grant: Grant) -> Response:
    response = jsonify(body)
    response.headers["X-OAuth-Scopes"] = ", ".join(_parse_scopes(grant))
    return response


def _parse_scopes(grant: Grant) -> list[str]:
    """Return the requested scopes, separated by spaces or commas."""
    return grant.scope.replace(",", " ").split()

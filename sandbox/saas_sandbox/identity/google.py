"""Google as an OpenID Connect provider: discovery, authorization, token, keys, userinfo.

https://openid.net/specs/openid-connect-core-1_0.html, with Google's paths below our own URL. The
authorization endpoint accepts GET; its own page sends the user's choice with POST.
"""

from flask import Blueprint, Response, current_app, jsonify, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from saas_sandbox.identity import failures, grants, id_tokens, keys, token_endpoint, views
from saas_sandbox.identity.authorization import Provider
from saas_sandbox.identity.token_endpoint import TokenError

bp = Blueprint("google", __name__, url_prefix="/google")

GOOGLE = Provider("google", "Google", openid=True)


@bp.get("/.well-known/openid-configuration")
def discovery() -> Response:
    """Serve the discovery document: OpenID Connect Discovery 1.0, 3, and RFC 9207, 3."""
    return jsonify(
        issuer=views.get_issuer(GOOGLE),
        authorization_endpoint=_external_url("authorize"),
        token_endpoint=_external_url("token"),
        userinfo_endpoint=_external_url("userinfo"),
        jwks_uri=_external_url("jwks"),
        response_types_supported=["code"],
        response_modes_supported=["query"],
        grant_types_supported=["authorization_code"],
        subject_types_supported=["public"],
        id_token_signing_alg_values_supported=["RS256"],
        scopes_supported=["openid", "email", "profile"],
        claims_supported=[
            "iss",
            "sub",
            "aud",
            "exp",
            "iat",
            "email",
            "email_verified",
            "hd",
            "name",
        ],
        token_endpoint_auth_methods_supported=["client_secret_basic", "client_secret_post"],
        code_challenge_methods_supported=["S256"],
        authorization_response_iss_parameter_supported=True,
        request_parameter_supported=False,
        request_uri_parameter_supported=False,
    )


@bp.route("/o/oauth2/v2/auth", methods=["GET", "POST"])
def authorize() -> views.Page:
    return views.handle_authorization(GOOGLE)


@bp.post("/token")
def token() -> Response:
    grant = token_endpoint.redeem_request(GOOGLE)
    failure_response = failures.build_token_failure(grant.failure)
    if failure_response:
        return failure_response

    sandbox = current_app.extensions["sandbox"]
    now = sandbox.now()
    fields = {
        "access_token": grants.issue_token(sandbox.store, now, grant, "ya29."),
        "token_type": "Bearer",
        "expires_in": grants.TOKEN_LIFETIME,
        "scope": grant.scope,
    }
    key = keys.get_signing_key(sandbox.store)
    id_token = id_tokens.build_id_token(key, now, views.get_issuer(GOOGLE), grant)
    return jsonify(fields | ({"id_token": id_token} if id_token else {}))


@bp.get("/oauth2/v3/certs")
def jwks() -> Response:
    return jsonify(keys.public_jwks(current_app.extensions["sandbox"].store))


@bp.route("/v1/userinfo", methods=["GET", "POST"])
def userinfo() -> Response | tuple[Response, int, dict[str, str]]:
    """Return the user's claims. Errors follow RFC 6750, 3.1."""
    sandbox = current_app.extensions["sandbox"]
    bearer = request.authorization.token if request.authorization else None
    grant = grants.find_by_token(sandbox.store, sandbox.now(), GOOGLE.key, bearer or "")
    if grant is None:
        challenge = 'Bearer error="invalid_token"' if bearer else "Bearer"
        return jsonify(error="invalid_token"), 401, {"WWW-Authenticate": challenge}

    return failures.build_profile_failure(grant.failure) or jsonify(
        id_tokens.build_user_claims(grant)
    )


@bp.errorhandler(TokenError)
def handle_token_error(error: TokenError) -> tuple[BaseResponse, int, dict[str, str]]:
    """Return an error (RFC 6749, 5.2): 400, or 401 with a challenge for an unknown client."""
    code = "invalid_grant" if error.error == "redirect_uri_mismatch" else error.error
    body = jsonify(error=code, error_description=str(error))
    if code != "invalid_client":
        return body, 400, {}
    return body, 401, {"WWW-Authenticate": 'Basic realm="identity"'}


def _external_url(endpoint: str) -> str:
    return url_for(f".{endpoint}", _external=True)

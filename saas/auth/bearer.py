"""Authorization by API token: `@token_required("links:read")` for JSON views.

https://www.rfc-editor.org/rfc/rfc6750
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from flask import current_app, g, request
from flask_login import current_user
from werkzeug.local import LocalProxy

from saas import limits, security
from saas.auth import api_tokens
from saas.auth.models import ApiToken, User
from saas.errors import APIError

View = TypeVar("View", bound=Callable[..., Any])

current_token = cast("ApiToken", LocalProxy(lambda: g.api_token))


def token_required(scope: str) -> Callable[[View], View]:
    """Require a token with `scope`; `current_token.user` is its owner.

    Missing and invalid tokens get 401, and tokens without the scope get 403. Cookies are ignored,
    so no CSRF token is required.
    """

    def guard(view: View) -> View:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            _authenticate(scope)
            return view(*args, **kwargs)

        guarded.required_scope = scope  # type: ignore[attr-defined]  # checked at startup
        return security.csrf_exempt(guarded)  # type: ignore[return-value]  # by functools.wraps

    return guard


def token_or_session_required(scope: str) -> Callable[[View], View]:
    """Require a token with `scope`, or a signed-in user.

    For read-only views. `api_user()` returns the user.
    """

    def guard(view: View) -> View:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            if "Authorization" in request.headers or not current_user.is_authenticated:
                _authenticate(scope)
            return view(*args, **kwargs)

        guarded.required_scope = scope  # type: ignore[attr-defined]  # checked at startup
        return guarded  # type: ignore[return-value]  # the same signature, by functools.wraps

    return guard


def api_user() -> User:
    """Return the owner of the token, or the signed-in user."""
    token: ApiToken | None = g.get("api_token")
    return token.user if token else cast("User", current_user)


def _authenticate(scope: str) -> None:
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token.strip():
        raise _challenge(401, "unauthorized", "Send an API token: Authorization: Bearer pat_…", "")
    row = api_tokens.find(token.strip())
    if row is None:
        limits.API_TOKENS_BY_IP.hit(limits.client_ip())
        message = "This token is invalid, revoked or expired."
        raise _challenge(401, "invalid_token", message, 'error="invalid_token"')
    limits.API_BY_TOKEN.hit(str(row.id))
    if scope not in row.scopes:
        message = f"This token lacks the scope {scope}."
        detail = f'error="insufficient_scope", scope="{scope}"'
        raise _challenge(403, "insufficient_scope", message, detail)
    api_tokens.note_use(row)
    g.api_token = row


def _challenge(status: int, code: str, message: str, detail: str) -> APIError:
    realm = f'realm="{current_app.config["APP_URL"]}"'
    challenge = f"Bearer {realm}" + (f", {detail}" if detail else "")
    return APIError(status, code, message, headers={"WWW-Authenticate": challenge})

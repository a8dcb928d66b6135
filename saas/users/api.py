"""The JSON API of the user: /api/user."""

from __future__ import annotations

from typing import Any

from flask_login import current_user

from saas import openapi, security
from saas.auth import sessions
from saas.auth.bearer import api_user, token_or_session_required
from saas.auth.reauthentication import reauthentication_required
from saas.errors import APIError
from saas.users import account_deletion, bp
from saas.users.schemas import UserAnswerSchema, UserSchema


@bp.get("/api/user")
@openapi.describe("Show the owner of the token", response=UserAnswerSchema)
@token_or_session_required("user:read")
def show() -> dict[str, Any]:
    return {"user": UserSchema().dump(api_user())}


@bp.delete("/api/user")
@security.api_login_required
@reauthentication_required
def delete() -> dict[str, Any]:
    try:
        account_deletion.delete_account(current_user)
    except account_deletion.DeletionFailed as error:
        raise APIError(409, error.code, str(error)) from None
    sessions.clear_cookie()
    return {"deleted": True}

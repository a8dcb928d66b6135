"""The person as a resource for programs: /api/user."""

from __future__ import annotations

from typing import Any

from flask_login import current_user

from saas import openapi, security
from saas.auth import sessions
from saas.auth.bearer import api_user, token_or_session_required
from saas.auth.fresh import fresh_sign_in_required
from saas.errors import APIError
from saas.users import bp, closing
from saas.users.schemas import UserAnswerSchema, UserSchema


@bp.get("/api/user")
@openapi.describe("Show the user that the token belongs to", response=UserAnswerSchema)
@token_or_session_required("user:read")
def show() -> dict[str, Any]:
    return {"user": UserSchema().dump(api_user())}


@bp.delete("/api/user")
@security.api_login_required
@fresh_sign_in_required
def delete() -> dict[str, Any]:
    try:
        closing.close_account(current_user)
    except closing.CannotClose as error:
        raise APIError(409, error.code, str(error)) from None
    sessions.forget()
    return {"deleted": True}

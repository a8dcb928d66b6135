"""Sign-in with a passkey: a challenge and the browser's response, as JSON."""

from __future__ import annotations

from typing import Any

from flask import request, url_for
from flask_login import current_user
from marshmallow import EXCLUDE, Schema, ValidationError, fields, post_load

from saas import database, limits, security
from saas.auth import bp, passkeys, pending_sign_ins, sessions
from saas.auth.errors import SignInRefused
from saas.auth.views.oauth import remember_in_browser, started_in_browser
from saas.errors import APIError


class AskSchema(Schema):
    """The path to return to after signing in."""

    class Meta:
        unknown = EXCLUDE

    next = fields.String(load_default="")


class AnswerSchema(Schema):
    """A PublicKeyCredential in the form of `toJSON()`, and the name of a new one."""

    class Meta:
        unknown = EXCLUDE

    credential = fields.Dict(keys=fields.String(), required=True)
    name = fields.String(load_default="")

    @post_load
    def _with_a_name(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        try:
            return {**data, "name": passkeys.clean_name(data["name"])}
        except ValueError as error:
            raise ValidationError(str(error), "name") from None


@bp.post("/auth/passkey/options")
def passkey_options() -> dict[str, Any]:
    options = read_json(AskSchema())
    _limit()
    purpose = "confirm" if current_user.is_authenticated else "sign_in"
    next_path = security.safe_path(options["next"], url_for("users.dashboard"))
    start = pending_sign_ins.start("passkey", purpose, next_path, _user_or_none())
    remember_in_browser(start)
    return {"options": passkeys.options_to_sign_in(start.challenge)}


@bp.post("/auth/passkey")
def sign_in_with_passkey() -> dict[str, Any]:
    """Sign in; signed-in users reauthenticate."""
    response = read_json(AnswerSchema())
    start = finish_passkey("sign_in", "confirm")
    with database.write_transaction():
        user = passkeys.sign_in(start.challenge, response["credential"])
        if start.user_id and start.user_id != user.id:
            raise SignInRefused("other_user", "passkey")
        sessions.start(user)
    return {"next": security.safe_path(start.next_path, url_for("users.dashboard"))}


def finish_passkey(*purposes: str) -> pending_sign_ins.SignInState:
    """Return this browser's latest challenge, and use it up. Raises `SignInRefused`."""
    start = pending_sign_ins.complete_latest("passkey", started_in_browser())
    user = _user_or_none()
    if start is None or start.purpose not in purposes:
        raise SignInRefused("state", "passkey")
    if start.user_id != (user.id if user else None):
        raise SignInRefused("state", "passkey")
    return start


def read_json(schema: Schema) -> dict[str, Any]:
    """Return the validated body; raise 400 if it is invalid, however deeply it is nested."""
    try:
        return dict(schema.load(request.get_json()))
    except (ValidationError, RecursionError):
        raise APIError(400, "bad_request", "We couldn't read that request.") from None


def _limit() -> None:
    limits.OTHER_METHODS_BY_IP.hit(limits.client_ip())


def _user_or_none() -> Any:
    return current_user._get_current_object() if current_user.is_authenticated else None

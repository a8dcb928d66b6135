"""API tokens in the settings: list, create, revoke."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from flask import abort, flash, redirect, render_template, url_for
from flask_login import current_user, login_required
from werkzeug.wrappers import Response

from saas import products
from saas.auth import api_tokens
from saas.auth.accounts import AccountError
from saas.auth.reauthentication import reauthentication_required
from saas.users import bp
from saas.users.forms import ApiTokenForm

Answer = str | Response | tuple[str, int]


@bp.get("/dashboard/settings/tokens")
@login_required
def tokens() -> Answer:
    return _render(ApiTokenForm(formdata=None))


@bp.post("/dashboard/settings/tokens")
@login_required
@reauthentication_required
def create_token() -> Answer:
    form = ApiTokenForm()
    if not form.validate_on_submit():
        return _render(form), 422

    days = int(form.expires.data)
    lifetime = timedelta(days=days) if days else None
    try:
        row, token = api_tokens.create(
            current_user, form.name.data or "", form.scopes.data or [], lifetime
        )
    except AccountError as error:
        flash(str(error), "error")
        return _render(form), 409
    # Shown in this response only: it is not stored, not even in the browser's cookie.
    return _render(ApiTokenForm(formdata=None), created=row.name, token=token), 201


@bp.post("/dashboard/settings/tokens/<uuid:token_id>/revoke")
@login_required
def revoke_token(token_id: UUID) -> Answer:
    if not api_tokens.revoke(current_user, token_id):
        abort(404)
    flash("The token was revoked. Programs can no longer use it.", "success")
    return redirect(url_for("users.tokens"), code=303)


def _render(form: ApiTokenForm, **created: str) -> str:
    return render_template(
        "users/tokens.html",
        form=form,
        tokens=api_tokens.list_for_user(current_user),
        scopes={scope.name: scope.description for scope in products.scopes()},
        **created,
    )

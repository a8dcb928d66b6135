"""The dashboard and the settings."""

from __future__ import annotations

from uuid import UUID

from flask import abort, flash, redirect, render_template, url_for
from flask_login import current_user, login_required
from werkzeug.wrappers import Response

from saas.auth import accounts, sessions
from saas.auth.fresh import fresh_sign_in_required
from saas.billing import access
from saas.users import bp, closing
from saas.users.forms import DeleteForm, NameForm

Answer = str | Response | tuple[str, int]


@bp.get("/dashboard")
@login_required
def dashboard() -> Answer:
    return render_template("users/dashboard.html", usage=access.usage(current_user, "cards"))


@bp.get("/dashboard/settings")
@login_required
def settings() -> Answer:
    return _settings(NameForm(obj=current_user), DeleteForm(formdata=None))


@bp.post("/dashboard/settings/name")
@login_required
def update_name() -> Answer:
    form = NameForm()
    if not form.validate_on_submit():
        return _settings(form, DeleteForm(formdata=None)), 422

    accounts.rename(current_user, form.name.data or "")
    flash("Your name is saved.", "success")
    return redirect(url_for("users.settings"), code=303)


@bp.post("/dashboard/settings/sessions/<uuid:session_id>/revoke")
@login_required
def revoke_session(session_id: UUID) -> Answer:
    if not sessions.revoke(current_user, session_id):
        abort(404)
    flash("That browser is signed out.", "success")
    return redirect(url_for("users.settings", _anchor="sessions"), code=303)


@bp.post("/dashboard/settings/sessions/revoke-others")
@login_required
def revoke_other_sessions() -> Answer:
    count = sessions.revoke_others(current_user)
    flash(f"{count} other browser{'s are' if count != 1 else ' is'} signed out.", "success")
    return redirect(url_for("users.settings", _anchor="sessions"), code=303)


@bp.post("/dashboard/settings/delete")
@login_required
@fresh_sign_in_required
def delete_account() -> Answer:
    form = DeleteForm()
    if not form.validate_on_submit():
        return _settings(NameForm(formdata=None, obj=current_user), form), 422

    try:
        closing.close_account(current_user)
    except closing.CannotClose as error:
        flash(str(error), "error")
        return _settings(NameForm(formdata=None, obj=current_user), form), 409
    sessions.forget()
    flash("Your account is deleted, and nothing will be charged any more.", "success")
    return redirect(url_for("site.home"), code=303)


def _settings(name_form: NameForm, delete_form: DeleteForm) -> str:
    return render_template(
        "users/settings.html",
        name_form=name_form,
        delete_form=delete_form,
        sessions=sessions.of(current_user),
    )

"""The dashboard and the settings."""

from __future__ import annotations

import json
from uuid import UUID

from flask import abort, flash, redirect, render_template, url_for
from flask_login import current_user, login_required
from werkzeug.wrappers import Response

from saas import database, limits, products, template_filters
from saas.auth import accounts, email_changes, roles, sessions, sign_in_limits
from saas.auth.reauthentication import reauthentication_required
from saas.auth.roles import admin_required
from saas.security import Form
from saas.users import account_deletion, bp
from saas.users.export import export_user
from saas.users.forms import ChangeEmailForm, DeleteForm, NameForm, RoleForm

Answer = str | Response | tuple[str, int]


@bp.get("/dashboard")
@login_required
def dashboard() -> Answer:
    return render_template("users/dashboard.html", tiles=products.render_tiles(current_user))


@bp.get("/dashboard/settings")
@login_required
def settings() -> Answer:
    return _settings()


@bp.post("/dashboard/settings/name")
@login_required
def update_name() -> Answer:
    form = NameForm()
    if not form.validate_on_submit():
        return _settings(name_form=form), 422

    accounts.rename(current_user, form.name.data or "")
    flash("Your name was saved.", "success")
    return redirect(url_for("users.settings"), code=303)


@bp.post("/dashboard/settings/sessions/<uuid:session_id>/revoke")
@login_required
def revoke_session(session_id: UUID) -> Answer:
    if not sessions.revoke(current_user, session_id):
        abort(404)
    flash("That browser was signed out.", "success")
    return redirect(url_for("users.settings", _anchor="sessions"), code=303)


@bp.post("/dashboard/settings/sessions/revoke-others")
@login_required
def revoke_other_sessions() -> Answer:
    count = sessions.revoke_others(current_user)
    flash(f"{count} other browser{'s were' if count != 1 else ' was'} signed out.", "success")
    return redirect(url_for("users.settings", _anchor="sessions"), code=303)


@bp.post("/dashboard/settings/email")
@login_required
@reauthentication_required
def update_email() -> Answer:
    form = ChangeEmailForm()
    if not form.validate_on_submit():
        return _settings(email_form=form), 422

    email = form.email.data or ""
    sign_in_limits.hit_email_change(str(current_user.id), email)
    email_changes.request_change(current_user, email)
    new_email = template_filters.email(email)
    flash(f"We sent an email to {new_email}. Nothing changes until you open its link.", "success")
    return redirect(url_for("users.settings"), code=303)


@bp.post("/dashboard/settings/role")
@admin_required
@reauthentication_required
def update_role() -> Answer:
    form = RoleForm()
    if not form.validate_on_submit():
        return _settings(role_form=form), 422

    try:
        with database.write_transaction():
            roles.step_down(current_user)
            sessions.start(
                current_user._get_current_object()
            )  # the role change has ended all sessions
    except accounts.AccountError as error:
        flash(str(error), "error")
        return _settings(role_form=form), 409
    flash("You are no longer an administrator.", "success")
    return redirect(url_for("users.settings"), code=303)


@bp.get("/dashboard/settings/export")
@login_required
def export() -> Answer:
    everything = json.dumps(export_user(current_user), indent=2, ensure_ascii=False)
    attached = {"Content-Disposition": 'attachment; filename="account.json"'}
    return Response(everything, headers=attached, mimetype="application/json")


@bp.post("/dashboard/settings/delete")
@login_required
@reauthentication_required
def delete_account() -> Answer:
    form = DeleteForm()
    if not form.validate_on_submit():
        return _settings(delete_form=form), 422

    limits.STRIPE_BY_USER.hit(f"delete:{current_user.id}")
    was_customer = bool(current_user.stripe_customer_id)
    try:
        account_deletion.delete_account(current_user)
    except account_deletion.DeletionFailed as error:
        flash(str(error), "error")
        return _settings(delete_form=form), 409
    sessions.clear_cookie()
    suffix = ", and you won't be charged again" if was_customer else ""
    flash(f"Your account was deleted{suffix}.", "success")
    return redirect(url_for("site.home"), code=303)


def _settings(**tried: Form) -> str:
    """Render the page; `tried` contains the invalid forms, by name."""
    forms = {
        "name_form": NameForm(formdata=None, obj=current_user),
        "email_form": ChangeEmailForm(formdata=None),
        "role_form": RoleForm(formdata=None, role="user"),
        "delete_form": DeleteForm(formdata=None),
        **tried,
    }
    accounts.load_sign_in_methods(current_user)
    return render_template(
        "users/settings.html", sessions=sessions.list_for_user(current_user), **forms
    )

"""Sign-in methods besides email: linking, unlinking, passkeys."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import abort, flash, redirect, render_template, url_for
from flask_login import current_user, login_required
from werkzeug.wrappers import Response

from saas import limits
from saas.auth import identities, passkeys, pending_sign_ins
from saas.auth.errors import PROVIDER_NAMES
from saas.auth.reauthentication import reauthentication_required
from saas.auth.views import oauth as oauth_views
from saas.auth.views.passkeys import AnswerSchema, finish_passkey, read_json
from saas.users import bp
from saas.users.forms import PasskeyForm

Answer = str | Response | tuple[str, int]


@bp.post("/dashboard/settings/identities/<provider>/link")
@login_required
@reauthentication_required
def link_identity(provider: str) -> Answer:
    settings = url_for("users.settings", _anchor="sign-in-methods")
    return oauth_views.send_to(provider, "link", settings)


@bp.post("/dashboard/settings/identities/<uuid:identity_id>/unlink")
@login_required
@reauthentication_required
def unlink_identity(identity_id: UUID) -> Answer:
    identity = identities.unlink(current_user, identity_id)
    if identity is None:
        abort(404)
    flash(f"{PROVIDER_NAMES[identity.provider]} was unlinked.", "success")
    return _back()


@bp.get("/dashboard/settings/passkeys/new")
@login_required
@reauthentication_required
def new_passkey() -> Answer:
    return render_template("users/new_passkey.html", form=PasskeyForm(formdata=None))


@bp.post("/dashboard/settings/passkeys/options")
@login_required
@reauthentication_required
def new_passkey_options() -> dict[str, Any]:
    limits.OTHER_METHODS_BY_IP.hit(limits.client_ip())
    user = current_user._get_current_object()
    start = pending_sign_ins.start("passkey", "register", url_for("users.settings"), user)
    oauth_views.remember_in_browser(start)
    return {"options": passkeys.options_to_register(user, start.challenge)}


@bp.post("/dashboard/settings/passkeys")
@login_required
@reauthentication_required
def add_passkey() -> dict[str, Any]:
    response = read_json(AnswerSchema())
    start = finish_passkey("register")
    name = response["name"]
    passkeys.register(current_user, start.challenge, response["credential"], name)
    flash(f"You can now sign in with the passkey \u201c{name}\u201d.", "success")
    return {"next": url_for("users.settings", _anchor="sign-in-methods")}


@bp.post("/dashboard/settings/passkeys/<uuid:passkey_id>/name")
@login_required
def rename_passkey(passkey_id: UUID) -> Answer:
    form = PasskeyForm()
    if not form.validate_on_submit():
        flash(
            " ".join(message for messages in form.errors.values() for message in messages), "error"
        )
        return _back()

    if not passkeys.rename(current_user, passkey_id, form.name.data or ""):
        abort(404)
    flash("The passkey was renamed.", "success")
    return _back()


@bp.post("/dashboard/settings/passkeys/<uuid:passkey_id>/remove")
@login_required
@reauthentication_required
def remove_passkey(passkey_id: UUID) -> Answer:
    if not passkeys.remove(current_user, passkey_id):
        abort(404)
    flash("The passkey was removed. Delete it on your device, too.", "success")
    return _back()


def _back() -> Response:
    return redirect(url_for("users.settings", _anchor="sign-in-methods"), code=303)

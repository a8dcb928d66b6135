"""The links in the two emails about an email change."""

from __future__ import annotations

from flask import Response, flash, redirect, render_template, url_for
from flask_login import current_user, login_required
from werkzeug.wrappers import Response as BaseResponse

from saas import limits, template_filters
from saas.auth import bp, email_changes, sessions
from saas.auth.email_changes import InvalidChange
from saas.auth.forms import ConfirmForm


@bp.get("/auth/email/<token>")
@login_required
def email_change(token: str) -> Response:
    """Show the page that the link in the email opens; change nothing."""
    change = email_changes.find_open(token, current_user)
    return _page("auth/email_change.html", new_email=change.new_email)


@bp.post("/auth/email/<token>")
@login_required
def confirm_email_change(token: str) -> BaseResponse:
    limits.SECRETS_BY_IP.hit(limits.client_ip())
    email = email_changes.confirm(token, current_user)
    flash(
        f"Your email address is now {template_filters.email(email)}. We notified the old one.",
        "success",
    )
    return redirect(url_for("users.settings"), code=303)


@bp.get("/auth/email/undo/<token>")
def email_undo(token: str) -> Response:
    """Show the page that the undo link opens; change nothing."""
    change = email_changes.find_undoable(token)
    return _page("auth/email_undo.html", old_email=change.old_email)


@bp.post("/auth/email/undo/<token>")
def undo_email_change(token: str) -> BaseResponse:
    limits.SECRETS_BY_IP.hit(limits.client_ip())
    user_id = current_user.is_authenticated and current_user.id
    if email_changes.undo(token) == user_id:
        sessions.clear_cookie()
    flash(
        "Your email address has been restored, and all browsers were signed out.",
        "success",
    )
    return redirect(url_for("auth.login"), code=303)


@bp.errorhandler(InvalidChange)
def explain_bad_change(error: InvalidChange) -> Response:
    status = {"unknown": 404, "other_user": 403, "taken": 409}.get(error.reason, 410)
    return _page("auth/email_invalid.html", status, reason=error.reason)


def _page(template: str, status: int = 200, **values: str) -> Response:
    page = render_template(template, form=ConfirmForm(formdata=None), **values)
    return Response(page, status, mimetype="text/html")

"""Sign-in: one field, one mail, one button."""

from __future__ import annotations

from flask import flash, redirect, render_template, request, session, url_for
from flask_login import current_user, login_required
from werkzeug.wrappers import Response

from saas import limits, security
from saas.auth import accounts, bp, links, sessions
from saas.auth.forms import ConfirmForm, LoginForm
from saas.auth.links import BadLink

Answer = str | Response | tuple[str, int]


@bp.route("/login", methods=["GET", "POST"])
def login() -> Answer:
    return _ask_for_address("auth/login.html")


@bp.route("/register", methods=["GET", "POST"])
def register() -> Answer:
    return _ask_for_address("auth/register.html")


def _ask_for_address(template: str) -> Answer:
    if current_user.is_authenticated:
        return redirect(security.safe_path(request.values.get("next"), "/dashboard"), code=303)
    form = LoginForm(formdata=request.form or None, next=request.args.get("next"))
    if not form.is_submitted():
        return render_template(template, form=form)
    if not form.validate():
        return render_template(template, form=form), 422

    email = form.email.data or ""
    _limit_mails_to(email)
    links.send(email, security.safe_path(form.next.data, "/dashboard"))
    session["asked_for"] = email
    return redirect(url_for("auth.check_inbox"), code=303)


def _limit_mails_to(email: str) -> None:
    limits.count(limits.SIGN_IN_BY_IP, "sign-in-ip", limits.caller())
    limits.count(limits.SIGN_IN_BY_ADDRESS, "sign-in-address", limits.fold(email))


@bp.get("/auth/check-inbox")
def check_inbox() -> Answer:
    email = session.get("asked_for")
    if email is None:
        return redirect(url_for("auth.login"), code=303)
    return render_template("auth/check_inbox.html", email=email)


@bp.get("/auth/link/<token>")
def link(token: str) -> Answer:
    found = links.read(token)
    page = render_template(
        "auth/link.html",
        email=found.email,
        new=accounts.find(found.email) is None,
        form=ConfirmForm(),
    )
    return Response(page, mimetype="text/html", headers=[("Referrer-Policy", "strict-origin")])


@bp.post("/auth/link/<token>")
def redeem(token: str) -> Answer:
    limits.count(limits.SECRET_BY_IP, "secret-ip", limits.caller())
    person, next_path = links.redeem(token)
    sessions.start(person)
    return redirect(security.safe_path(next_path, "/dashboard"), code=303)


@bp.errorhandler(BadLink)
def explain_bad_link(error: BadLink) -> Answer:
    status = 404 if error.reason == "unknown" else 410
    return render_template("auth/link_invalid.html", reason=error.reason), status


@bp.post("/logout")
@login_required
def logout() -> Answer:
    sessions.end()
    flash("You are signed out.", "success")
    return redirect(url_for("site.home"), code=303)

"""Sign-in by email, with a link or a code."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import flash, redirect, render_template, request, session, url_for
from flask_login import current_user, login_required
from werkzeug.wrappers import Response

from saas import limits, security, template_filters
from saas.auth import (
    accounts,
    bp,
    inbox,
    magic_links,
    pending_identities,
    reauthentication,
    sessions,
    sign_in_limits,
)
from saas.auth.forms import CodeForm, ConfirmForm, LoginForm, ResendForm, SwitchForm
from saas.auth.magic_links import InvalidCode, InvalidLink
from saas.auth.models import SignInLink
from saas.database import now

Answer = str | Response | tuple[str, int]


# --- requesting an email ------------------------------------------------------------------------


@bp.route("/login", methods=["GET", "POST"])
def login() -> Answer:
    return _email_form("auth/login.html")


@bp.route("/register", methods=["GET", "POST"])
def register() -> Answer:
    return _email_form("auth/register.html")


def _email_form(template: str) -> Answer:
    if current_user.is_authenticated:
        return redirect(security.safe_path(request.values.get("next"), "/dashboard"), code=303)
    form = LoginForm(formdata=request.form or None, next=request.args.get("next"))
    if not form.is_submitted():
        return render_template(template, form=form)
    if not form.validate():
        return render_template(template, form=form), 422

    email = form.email.data or ""
    sign_in_limits.hit_by_anyone(email)
    return inbox.send_sign_in_email(email, security.safe_path(form.next.data, "/dashboard"))


@bp.route("/auth/confirm", methods=["GET", "POST"])
@login_required
def confirm() -> Answer:
    """Reauthenticate before an operation that cannot be undone."""
    next_path = security.safe_path(request.values.get("next"), "/dashboard")
    if reauthentication.is_recent():
        return redirect(next_path, code=303)
    form = ConfirmForm()
    if not form.validate_on_submit():
        back = security.safe_path(_path_of_referrer(), next_path)
        return render_template("auth/confirm.html", form=form, next=next_path, back=back)

    sign_in_limits.hit_by_owner(str(current_user.id))
    return inbox.send_sign_in_email(current_user.email, next_path)


def _path_of_referrer() -> str | None:
    """Return the path of the page that led here, or None. It is kept across a redirect."""
    url = urlsplit(request.referrer or "")
    return url.path if url.netloc == request.host and url.path != request.path else None


@bp.post("/auth/resend")
def resend() -> Answer:
    """Send another email, to the address of this browser's request or of an emailed link."""
    form = ResendForm()
    before = magic_links.find_by_token(form.token.data) if form.token.data else _latest_link()
    if before is None or not form.validate_on_submit():
        return redirect(url_for("auth.login"), code=303)

    sign_in_link = _latest_link()
    if sign_in_link and (wait := magic_links.seconds_until_resend(sign_in_link)):
        flash(f"You can request another email in {wait} second{'s'[: wait != 1]}.", "info")
        return redirect(url_for("auth.check_inbox"), code=303)
    if form.token.data:
        sign_in_limits.hit_by_owner(before.email)  # the holder of an emailed token has the mailbox
    else:
        sign_in_limits.hit_by_browser(session["browser"], before.email)
    sent = inbox.send_sign_in_email(before.email, before.next_path)
    flash("We sent another email. Earlier ones no longer work.", "success")
    return sent


def _latest_link() -> SignInLink | None:
    return magic_links.latest_for_browser(session["browser"]) if "browser" in session else None


# --- redeeming it -------------------------------------------------------------------------------


@bp.get("/auth/check-inbox")
def check_inbox() -> Answer:
    return _inbox(CodeForm(formdata=None))


@bp.post("/auth/code")
def code() -> Answer:
    sign_in_link = _latest_link()
    if sign_in_link is None:
        flash("Request an email in this browser first. A code works only where it was requested.")
        return redirect(url_for("auth.login"), code=303)
    if _is_other_user(sign_in_link):
        email = template_filters.email(current_user.email)
        flash(f"You're signed in as {email}. To use a different account, sign out first.")
        return redirect(url_for("users.dashboard"), code=303)
    form = CodeForm()
    if not form.validate_on_submit():
        return _inbox(form, 422)

    limits.SECRETS_BY_IP.hit(limits.client_ip())
    try:
        going_to = magic_links.redeem_code(
            session["browser"], form.code.data or "", pending_identities.sign_in
        )
    except InvalidCode as error:
        form.code.errors = [str(error)]
        return _inbox(form, 422)
    return redirect(security.safe_path(going_to, "/dashboard"), code=303)


def _inbox(form: CodeForm, status: int = 200) -> Answer:
    sign_in_link = _latest_link()
    if sign_in_link and sign_in_link.used_at:
        flash("That email was already used. To sign in here, request another one.", "info")
    if sign_in_link is None or sign_in_link.used_at:
        return redirect(url_for("auth.login"), code=303)
    page = render_template(
        "auth/check_inbox.html",
        form=form,
        resend_form=ResendForm(formdata=None),
        email=sign_in_link.email,
        is_over=sign_in_link.expires_at <= now(),
        wait=magic_links.seconds_until_resend(sign_in_link),
    )
    return page, status


@bp.get("/auth/link/<token>")
def link(token: str) -> Answer:
    return _link_page(magic_links.find_valid(token))


@bp.post("/auth/link/<token>")
def redeem(token: str) -> Answer:
    limits.SECRETS_BY_IP.hit(limits.client_ip())
    sign_in_link, form = magic_links.find_valid(token), SwitchForm()
    if _is_other_user(sign_in_link) and form.switch.data != str(current_user.id):
        return _link_page(sign_in_link, 409)  # a different user has signed in in another tab
    going_to = magic_links.redeem(token, pending_identities.sign_in)
    return redirect(security.safe_path(going_to, "/dashboard"), code=303)


def _link_page(sign_in_link: SignInLink, status: int = 200) -> Response:
    page = render_template(
        "auth/link.html",
        email=sign_in_link.email,
        new=accounts.find_by_email(sign_in_link.email) is None,
        is_other_user=_is_other_user(sign_in_link),
        form=SwitchForm(formdata=None, switch=getattr(current_user, "id", "")),
    )
    return Response(page, status, mimetype="text/html")


def _is_other_user(sign_in_link: SignInLink) -> bool:
    return bool(current_user.is_authenticated and current_user.email != sign_in_link.email)


@bp.errorhandler(InvalidLink)
def explain_bad_link(error: InvalidLink) -> Answer:
    status = 404 if error.reason == "unknown" else 410
    page = render_template(
        "auth/link_invalid.html",
        reason=error.reason,
        link=error.link,
        token=(request.view_args or {}).get("token", ""),
        form=ResendForm(formdata=None),
    )
    return page, status


@bp.post("/logout")
@login_required
def logout() -> Answer:
    sessions.end()
    flash("You're signed out.", "success")
    return redirect(url_for("site.home"), code=303)

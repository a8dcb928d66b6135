"""Sign-in with Google or GitHub: redirect to the provider, and its callback."""

from __future__ import annotations

import logging
from collections.abc import Callable

from flask import abort, current_app, flash, g, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from werkzeug.wrappers import Response

from saas import database, errors, limits, security, template_filters
from saas.auth import (
    bp,
    identities,
    inbox,
    pending_identities,
    pending_sign_ins,
    sessions,
    sign_in_limits,
)
from saas.auth.errors import ERROR_TEXTS, PROVIDER_NAMES, SignInRefused
from saas.auth.identities import Claim, EmailNotVerified
from saas.auth.pending_sign_ins import SignInState
from saas.errors import APIError

log = logging.getLogger("saas.auth")


@bp.post("/auth/oauth/<provider>")
def begin_oauth(provider: str) -> Response:
    """Start a sign-in; signed-in users reauthenticate instead."""
    purpose = "confirm" if current_user.is_authenticated else "sign_in"
    return send_to(provider, purpose, security.safe_path(request.form.get("next"), "/dashboard"))


def send_to(provider: str, purpose: str, next_path: str) -> Response:
    """Redirect to a provider's page; `purpose` is sign_in, confirm or link."""
    from saas.auth import oauth  # imported here because Authlib takes a third of a second

    _require_enabled(provider)
    limits.OTHER_METHODS_BY_IP.hit(limits.client_ip())
    user = current_user if current_user.is_authenticated else None
    start = pending_sign_ins.start(provider, purpose, next_path, user)
    remember_in_browser(start)
    return redirect(oauth.authorization_url(start, _back(provider)), code=303)


@bp.get("/auth/oauth/<provider>/callback")
def finish_oauth(provider: str) -> Response:
    from saas.auth import oauth

    _require_enabled(provider)
    # Not rate-limited: the start was, and other sites can send a browser here.
    start = pending_sign_ins.complete(provider, request.args.get("state", ""), started_in_browser())
    if start is None:
        raise SignInRefused("state", provider)
    g.going_to = start.next_path  # even if this is refused
    _require_same_user(start)

    claim = oauth.fetch_claim(start, _back(provider), request.args)
    try:
        _FINISH[start.purpose](claim)
    except EmailNotVerified:
        return _confirm_email(claim, start.next_path)
    return redirect(security.safe_path(start.next_path, "/dashboard"), code=303)


def _confirm_email(claim: Claim, next_path: str) -> Response:
    """Send the ordinary sign-in email; using it in this browser links the identity."""
    email = claim.email or ""
    sign_in_limits.hit_by_anyone(email)
    pending_identities.store(claim)
    flash(
        f"{PROVIDER_NAMES[claim.provider]} does not host your mailbox, so verify it once: use the "
        f"email that we sent to {template_filters.email(email)} in this browser. After that, you "
        f"can sign in with {PROVIDER_NAMES[claim.provider]}.",
        "info",
    )
    return inbox.send_sign_in_email(email, next_path)


def remember_in_browser(start: SignInState) -> None:
    """Keep the newest few pending sign-ins in the cookie, so that it stays small."""
    session["begun"] = [*started_in_browser(), start.id.hex][-pending_sign_ins.MAX_PER_BROWSER :]


def started_in_browser() -> list[str]:
    """Return this browser's pending sign-ins, newest last."""
    return list(session.get("begun", []))


def _require_enabled(provider: str) -> None:
    if provider not in current_app.config["SIGN_IN_PROVIDERS"]:
        abort(404)


def _require_same_user(start: SignInState) -> None:
    """Refuse to complete the sign-in if another user has signed in since it started."""
    signed_in = current_user.id if current_user.is_authenticated else None
    if start.user_id is None and signed_in:
        raise SignInRefused("signed_in", start.method)
    if start.user_id != signed_in:
        raise SignInRefused("other_user" if signed_in else "state", start.method)


def _sign_in(claim: Claim) -> None:
    with database.write_transaction():
        sessions.start(identities.sign_in(claim))


def _confirm(claim: Claim) -> None:
    with database.write_transaction():
        identities.confirm(current_user, claim)
        sessions.start(current_user._get_current_object())


def _link(claim: Claim) -> None:
    identities.link(current_user, claim)
    flash(f"You can now sign in with {PROVIDER_NAMES[claim.provider]}.", "success")


_FINISH: dict[str, Callable[[Claim], None]] = {
    "sign_in": _sign_in,
    "confirm": _confirm,
    "link": _link,
}


def _back(provider: str) -> str:
    return security.public_url("auth.finish_oauth", provider=provider)


@bp.app_errorhandler(SignInRefused)
def explain_refusal(error: SignInRefused) -> ResponseReturnValue:
    log.info("%s", error)
    words = ERROR_TEXTS[error.reason]
    name = PROVIDER_NAMES.get(error.provider, "the provider")
    title, advice = words.title.format(provider=name), words.advice.format(provider=name)
    if errors.wants_json():
        problem = APIError(words.status, error.reason, f"{title}. {advice}")
        return current_app.handle_http_exception(problem)
    page = render_template(
        "auth/refused.html",
        reason=error.reason,
        title=title,
        advice=advice,
        again=url_for("users.settings")
        if current_user.is_authenticated
        else url_for("auth.login", next=g.get("going_to")),
    )
    return page, words.status

"""Who may see the admin pages, and what an administrator cannot do while viewing as a user."""

from __future__ import annotations

from flask import abort, render_template, request
from flask.blueprints import BlueprintSetupState
from flask_login import current_user
from werkzeug.wrappers import Response

from saas import errors
from saas.admin import bp
from saas.auth import viewing
from saas.auth.reauthentication import reauthentication_required
from saas.errors import APIError
from saas.extensions import login_manager

_SAFE = ("GET", "HEAD", "OPTIONS")
_STOP = "admin.stop_viewing"
# Not shown to others: the ways to sign in, the user's data as a file, and pages of Stripe's data.
HIDDEN = frozenset(
    ("users.settings", "users.export", "users.tokens", "users.new_passkey", "billing.invoices",
     "billing.receipt", "billing.returned", "auth.confirm")
)  # fmt: skip
_REFUSED = "You are viewing the pages of another user, so nothing can be changed."

_Answer = Response | str | None


@bp.before_request
def require_admin() -> _Answer:
    """Send anonymous visitors to sign-in, and answer users with 404.

    What changes something requires a recent sign-in, and so do its form, so that nothing typed is
    lost, and the files, which contain many users.
    """
    if not current_user.is_authenticated:
        return login_manager.unauthorized()
    if request.endpoint == _STOP:
        return None
    if not current_user.is_admin:
        abort(404)
    endpoint = str(request.endpoint)
    if request.method not in _SAFE or endpoint == "admin.act" or endpoint.endswith("_file"):
        return reauthentication_required(lambda: None)()
    return None


def refuse_while_viewing() -> tuple[str, int] | None:
    """Refuse every change, and the pages that show more than the product, while viewing.

    A form that was opened while viewing is refused too once that is over, because it would change
    the administrator's own account.
    """
    is_safe = request.method in _SAFE and request.endpoint not in HIDDEN
    if request.endpoint == _STOP or is_safe and request.blueprint != "admin":
        return None
    if viewing.has_run_out(current_user):
        viewing.end(current_user)
    elif getattr(current_user, "viewer", None) is None:
        return None
    if errors.wants_json():
        raise APIError(403, "viewing", _REFUSED)
    return render_template("admin/viewing.html"), 403


@bp.record_once
def _init_app(state: BlueprintSetupState) -> None:
    state.app.before_request(refuse_while_viewing)
